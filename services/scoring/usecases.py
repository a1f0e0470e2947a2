"""The use cases: assess the users of a batch, read a user's risk, read the models and change their stages."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from mesh.clock import Clock
from mesh.errors import FailedPrecondition, MeshError, NotFound, Unavailable
from mesh.state import applied, erasing, exporting, keyed
from mesh.state.port import StateStore
from services.scoring import serving
from services.scoring.domain import assessment, learning, risk, rules, stages
from services.scoring.domain.assessment import Assessment, Columns, Explained
from services.scoring.domain.history import Journal, Settled, Signal
from services.scoring.domain.inputs import NO_INPUTS, Inputs
from services.scoring.domain.risk import Risk
from services.scoring.domain.schema import SCHEMA_VERSION
from services.scoring.domain.stages import EVERYBODY, Stage, StageError, Stages, Wanted
from services.scoring.ports import Canaries, Card, Described, Matrix, Models, Registry
from services.scoring.serving import Part, Shadow
from services.scoring.states import JOURNALS

_LOOK_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class Rows(NamedTuple):
    """Feature vectors to assess, each user's in the order of the stream.

    `signals` are the new signals by row, `settled` those that ended. `use_counts` is how many things that the user did
    each row stands for, 0 if only others did something; empty for one each.
    """

    user_ids: Sequence[str]
    event_times_us: Sequence[int]
    values: Matrix
    schema_version: str
    signals: Mapping[int, Sequence[Signal]]
    settled: Mapping[int, Collection[Settled]] = {}
    use_counts: Sequence[int] = ()
    inputs: Inputs = NO_INPUTS

    def at(self, numbers: Sequence[int]) -> "Rows":
        """Some of the rows, by number, ascending."""
        if len(numbers) == len(self.user_ids):
            return self
        place = {number: at for at, number in enumerate(numbers)}
        return self._replace(
            user_ids=[self.user_ids[number] for number in numbers],
            event_times_us=[self.event_times_us[number] for number in numbers],
            values=self.values[numbers],
            signals={place[number]: found for number, found in self.signals.items() if number in place},
            settled={place[number]: found for number, found in self.settled.items() if number in place},
            use_counts=[self.use_counts[number] for number in numbers] if self.use_counts else (),
            inputs=self.inputs.at(numbers),
        )


class Assessed(NamedTuple):
    """The result of a batch: one assessment per row, and the probability that is told, 0 to 1, None if none is.

    `model_version` made all of them but those in `others`, which has rows by version. `outcomes` has, by version, what
    it tells the probability of, in words, if that is known.
    """

    assessments: list[Assessment]
    told: list[float | None]
    model_version: str
    others: Mapping[str, Sequence[int]] = {}
    outcomes: Mapping[str, str] = {}
    shadowed: Sequence[tuple[Risk, float]] = ()
    """For rows with a shadow, the risk, and the score that the shadow would have led to."""
    takes_history: bool = True
    """Whether any of the models in service does."""


class UserRisk(NamedTuple):
    """A user's latest assessment and journal, and the card of the model that made it; None if it is out of service.

    `told` is the probability that is told, 0 to 1; None if none is.
    """

    explained: Explained
    journal: Journal
    card: Card | None
    told: float | None


class Scoring:
    """The use cases of the service."""

    def __init__(self, models: Models, store: StateStore) -> None:
        self._models = models
        self._store = store

    async def assess(self, rows: Rows, batch: applied.Batch) -> Assessed:
        """Assesses every row and records the results, once per position.

        Raises:
            FailedPrecondition: `POSITION_STALE`.
            Unavailable: the store or the model cannot be reached, or the features are of another schema.
        """
        if rows.schema_version != SCHEMA_VERSION:
            raise schema_mismatch(rows.schema_version, SCHEMA_VERSION)
        served = self._models.served()
        journals = keyed.Changed(JOURNALS, rows.user_ids)
        async with keyed.batch(self._store, batch, journals):
            parts = serving.score(served, rows.user_ids, rows.values, rows.inputs)
            assessed = _assessed(rows, journals.states, parts)
        by_shadow = serving.shadowed(served, rows.user_ids, rows.values, rows.inputs).items()
        pairs = [(assessed.assessments[row], shadow) for row, shadow in by_shadow]
        shadows = [(each.risk, _by_shadow(each, shadow)) for each, shadow in pairs]
        return assessed._replace(shadowed=shadows, takes_history=served.takes_history)

    async def read(self, user_id: str) -> UserRisk:
        """The user's latest assessment, explained.

        Raises:
            NotFound: `USER_NOT_FOUND`.
            Unavailable: `FEATURE_SCHEMA_MISMATCH`, its features have another schema; the next event leads to a new
            assessment.
        """
        journal = await keyed.read(self._store, JOURNALS, user_id)
        if not journal.values:
            raise NotFound("USER_NOT_FOUND", "Nothing is known of this user.")
        if journal.schema_version != SCHEMA_VERSION:
            raise schema_mismatch(journal.schema_version, SCHEMA_VERSION)
        explained, card = assessment.explain(journal), self._models.served().card(journal.model_version)
        told = None
        if card is not None and journal.use_count:
            told = learning.told(explained.assessment.risk, card.own_users, card.rules)
        return UserRisk(explained, journal, card, told)

    async def kept(self, user_ids: Sequence[str]) -> dict[str, int]:
        """How many entries are kept of a person with these ids, by store."""
        return {"scoring.journals": await erasing.count(self._store, [*map(JOURNALS.key, user_ids)])}

    async def erase(self, user_ids: Sequence[str]) -> None:
        """Erases what is kept of a person with these ids. May be repeated.

        Raises:
            Unavailable: some may be erased.
        """
        await erasing.erase(self._store, [*map(JOURNALS.key, user_ids)])

    async def export(self, user_ids: Sequence[str]) -> list[exporting.Record]:
        """All that is kept of a person with these ids.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`.
            Unavailable: the store cannot be reached.
        """
        return exporting.bounded(await exporting.states(self._store, "scoring.journals", JOURNALS, user_ids))

    def model(self) -> Card:
        """The live model."""
        return self._models.served().of(EVERYBODY).live.card


class Promotion:
    """Reads the registry of models and changes what they are used for.

    Args:
        registry: the models and their stages.
        clock: the time in Unix microseconds.
    """

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def models(self) -> tuple[Sequence[Described], Stages]:
        """All models, and who is served by what.

        Raises:
            Unavailable: the registry cannot be read.
        """
        return self._registry.versions(), self.stages()

    def stages(self) -> Stages:
        """Who is served by what.

        Raises:
            Unavailable: the registry cannot be read.
        """
        return self._registry.stages()

    def move(self, wanted: Wanted) -> Stages:
        """Gives a model another stage, once it is loaded and checked.

        Raises:
            NotFound: `MODEL_NOT_FOUND`.
            FailedPrecondition: `MODEL_UNUSABLE`, `MODELS_READ_ONLY`, `STAGE_INVALID`.
        """
        if wanted.stage is not Stage.CANDIDATE:
            self._registry.load(wanted.version)
        return self._changed(lambda now: stages.changed(now, wanted, self._clock()))

    def roll_back(self, tenant: str, actor: str, why: str) -> Stages:
        """Ends the canary; without one, makes the model live that was so before.

        Raises:
            FailedPrecondition: `MODELS_READ_ONLY`; `STAGE_INVALID`, there is nothing to go back to.
        """
        return self._changed(lambda now: stages.rolled_back(now, tenant, actor, why, self._clock()))

    async def guard(self, canaries: Canaries) -> None:
        """Takes back canaries that leave their bounds, for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for wanted in canaries.faulty():
                try:
                    await asyncio.to_thread(self.move, wanted)
                except MeshError as error:
                    _log.error("the canary %s cannot be taken back: %s", wanted.version, error.detail)
                else:
                    canaries.taken_back()
                    _log.warning("the canary %s was taken back: %s", wanted.version, wanted.why)

    def _changed(self, change: Callable[[Stages], Stages]) -> Stages:
        try:
            return self._registry.change(change)
        except StageError as error:
            raise FailedPrecondition("STAGE_INVALID", str(error)) from error


def schema_mismatch(given: str, known: str) -> Unavailable:
    """The error for features of another schema; it ends once both services have the same version."""
    return Unavailable(
        "FEATURE_SCHEMA_MISMATCH", f"The features are of schema {given[:32]!r}, scoring takes {known!r}."
    )


def _assessed(rows: Rows, journals: Mapping[str, Journal], parts: Sequence[Part]) -> Assessed:
    """Each user is in one part, so that their rows are assessed in order."""
    answers: dict[int, Assessment] = {}
    told: dict[int, float | None] = {}
    rows_of = defaultdict[str, list[int]](list)
    for part in parts:
        its, card = _assess_in_order(rows.at(part.rows), journals, part), part.card
        answers.update(zip(part.rows, its, strict=True))
        for row, each in zip(part.rows, its, strict=True):
            is_told = not rows.use_counts or rows.use_counts[row] > 0
            told[row] = learning.told(each.risk, card.own_users, card.rules) if is_told else None
        rows_of[card.version] += part.rows
    usual = max(rows_of, key=lambda version: len(rows_of[version]))
    others = {version: sorted(its_rows) for version, its_rows in rows_of.items() if version != usual}
    outcomes = {part.card.version: part.card.outcome for part in parts if part.card.outcome}
    every = range(len(rows.user_ids))
    return Assessed([answers[row] for row in every], [told[row] for row in every], usual, others, outcomes)


def _by_shadow(of: Assessment, shadow: Shadow) -> float:
    """The score that a shadow would have led to."""
    by_rules = rules.probability(rules.weighed(of.findings, shadow.rule_weights))
    return risk.combined(100.0 * by_rules, shadow.probability)


def _assess_in_order(rows: Rows, journals: Mapping[str, Journal], part: Part) -> list[Assessment]:
    columns = Columns(
        rows.event_times_us,
        part.card.features,
        part.columns.astype("<f8").tobytes(),
        rules.may_apply(rows.values.T),
        part.prediction.probabilities,
        part.prediction.packed_terms,
        rows.signals,
        rows.settled,
        rows.use_counts or [1] * len(rows.user_ids),
        part.card.rules.weights,
    )
    assess = assessment.assess
    answers = [assess(journals[user_id], columns, row) for row, user_id in enumerate(rows.user_ids)]
    for user_id, row in {user_id: row for row, user_id in enumerate(rows.user_ids)}.items():
        assessment.settle(journals[user_id], columns, row, part.card.version)
    return answers
