"""The ports of the models; state uses the port of `mesh.state`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from services.scoring.domain.learning import AS_SHIPPED, LearnedRules
from services.scoring.domain.schema import FEATURES
from services.scoring.domain.stages import EVERYBODY, Stages, Wanted

Matrix = npt.NDArray[np.float64]


class Prediction(NamedTuple):
    """The model's result for a batch, one probability per row.

    `packed_terms` holds for each row the baseline and one term per column it takes, in logits, as 32-bit little-endian
    floats; their sum is the logit of the probability up to that precision.
    """

    probabilities: Sequence[float]
    packed_terms: bytes


@dataclass(frozen=True)
class Card:
    """A model's description. `training_time_us` is in Unix microseconds, `text` the model card in Markdown."""

    version: str
    training_source: str
    training_time_us: int
    schema_version: str
    text: str
    features: tuple[str, ...] = FEATURES
    """The names of the columns it takes, in their order; the first are the 13 of every schema."""
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The words it knows, by the name of the column; see `services.scoring.domain.inputs`."""
    outcome: str = ""
    """What it tells the probability of, with the horizon, in words; empty if that is not known."""
    own_users: int = 0
    """From how many users of this installation it learned."""
    is_recalibrated: bool = False
    """Whether it is a model of other users that was recalibrated on these."""
    rules: LearnedRules = AS_SHIPPED
    """What it learned about the rules."""


class Model(Protocol):
    """One version of the exit-risk model; it never changes."""

    @property
    def card(self) -> Card:
        """Its description."""

    def predict(self, rows: Matrix) -> Prediction:
        """The calibrated probabilities of leaving for rows of the columns it takes, 0 to 1.

        A row's result MUST NOT depend on other rows, to the last bit.
        """


class Serving(NamedTuple):
    """The models that serve a tenant. The canary decides for `percent` of the users, above 0 to 100."""

    live: Model
    canary: Model | None = None
    percent: float = 0.0
    shadow: Model | None = None


class Served(NamedTuple):
    """The models that serve everybody, and those of tenants with models of their own."""

    tenants: Mapping[str, Serving]

    def of(self, tenant: str) -> Serving:
        """The models that serve a tenant."""
        return self.tenants.get(tenant) or self.tenants[EVERYBODY]

    def card(self, version: str) -> Card | None:
        """The card of a version that decides for anybody; None if it does not."""
        deciding = (model for each in self.tenants.values() for model in (each.live, each.canary) if model is not None)
        return next((model.card for model in deciding if model.card.version == version), None)

    @property
    def takes_history(self) -> bool:
        """Whether any model takes more than the 13 features."""
        return any(
            len(model.card.features) > len(FEATURES)
            for live, canary, _, shadow in self.tenants.values()
            for model in (live, canary, shadow)
            if model is not None
        )

    @property
    def only(self) -> Model | None:
        """The model that decides for all; None if there are several."""
        first, *others = self.tenants.values()
        return first.live if not others and first.canary is None else None


class Models(Protocol):
    """The models in service."""

    def served(self) -> Served:
        """The models in service now. MAY change between two calls, if stages were changed.

        A model that cannot be loaded MUST NOT take the place of one that serves.

        Raises:
            Unavailable: there is no model that can be loaded.
        """


class Canaries(Protocol):
    """How canaries do."""

    def faulty(self) -> Sequence[Wanted]:
        """The changes that take back canaries out of their bounds."""

    def taken_back(self) -> None:
        """Notes that one was taken back."""


class Described(NamedTuple):
    """A version in the registry. `problem` says in one sentence why it cannot be loaded; empty if it can."""

    version: str
    training_source: str
    training_time_us: int
    schema_version: str
    problem: str = ""
    own_users: int = 0
    is_recalibrated: bool = False


class Registry(Protocol):
    """All versions, and their stages. It MAY be shared by processes; each sees changes within seconds."""

    def stages(self) -> Stages:
        """Who is served by what.

        Raises:
            Unavailable: it cannot be read.
        """

    def versions(self) -> Sequence[Described]:
        """All versions, by name."""

    def load(self, version: str) -> Model:
        """A version, loaded and checked.

        Raises:
            NotFound: `MODEL_NOT_FOUND`.
            FailedPrecondition: `MODEL_UNUSABLE`, it is incomplete, damaged, or for other features.
        """

    def change(self, change: Callable[[Stages], Stages]) -> Stages:
        """Replaces the stages by what `change` makes of them, and returns that. Of two changes, one comes first.

        What `change` raises is raised, and nothing is changed.

        Raises:
            FailedPrecondition: `MODELS_READ_ONLY`, nothing can be written here.
            Unavailable: the stages cannot be read.
        """
