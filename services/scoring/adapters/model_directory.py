"""The registry of models in a directory or a bucket: one folder per version, and the stages.

    <directory>/stages.json              who is served by what (`stages_file`)
    <directory>/live                     the version live for everybody, where there is no `stages.json`
    <directory>/<version>/model.onnx
    <directory>/<version>/model.json     its description
    <directory>/<version>/card.md

Versions that it lacks come from the models shipped with the service; a directory without stages serves the shipped one.
A version's folder never changes.
"""

import asyncio
import hashlib
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
import numpy as np

from mesh.errors import FailedPrecondition, NotFound, Unavailable
from services.scoring import ports
from services.scoring.adapters import learned_rules
from services.scoring.adapters.model_folder import ModelFolder
from services.scoring.adapters.onnx import OnnxModel
from services.scoring.adapters.stages_file import StagesFileError
from services.scoring.domain.inputs import names_of
from services.scoring.domain.schema import EXTENDED_VERSION, FEATURES, SCHEMA_VERSION
from services.scoring.domain.stages import EVERYBODY, Stages
from services.scoring.ports import Card, Model, Served

SHIPPED: Final = Path("models/exit-risk")
PARITY_LIMIT: Final = 1e-6

_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_log = logging.getLogger(__name__)


class Parity(msgspec.Struct):
    """Rows of features, and what the model said of them when it was trained."""

    rows: tuple[tuple[float, ...], ...] = ()
    probabilities: tuple[float, ...] = ()


class Base(msgspec.Struct):
    """The model that was recalibrated to this one."""

    version: str


class Described(msgspec.Struct):
    """The part of `model.json` that serving reads. Models of 0.1.0 have neither hash nor vectors."""

    version: str
    training_source: str
    training_time_us: int
    feature_schema_version: str
    features: tuple[str, ...]
    sha256: str = ""
    vectors: Parity = msgspec.field(default_factory=Parity)
    words: dict[str, tuple[str, ...]] = {}
    label: str = ""
    own_users: Annotated[int, msgspec.Meta(ge=0)] = 0
    recalibrated: Base | None = None
    rules: msgspec.Raw = msgspec.Raw()
    """Read by `learned_rules`, so that a damaged part leaves the model in service."""


class UnusableModelError(Exception):
    """A version's folder is incomplete, damaged, or for other features; the message is one sentence."""


class StagesStore(Protocol):
    """The stages where models are kept."""

    def mark(self) -> object:
        """Something that differs once the stages were changed.

        Raises:
            Unavailable: the place cannot be reached.
        """

    def read(self) -> Stages | None:
        """The stages; None if there are none.

        Raises:
            StagesFileError: they cannot be read, or are of a format that is not known here.
            Unavailable: the place cannot be reached.
        """

    def change(self, change: Callable[[Stages | None], Stages]) -> Stages:
        """Replaces the stages by what `change` makes of them; of two at once, none is lost.

        Raises:
            StagesFileError: as `read`.
            Unavailable: as `read`.
            OSError: the place cannot be written to.
        """


class Place(Protocol):
    """Where models are kept; its text names it."""

    @property
    def stages(self) -> StagesStore:
        """Who is served by what."""

    @property
    def look_seconds(self) -> float:
        """How often to look for changed stages."""

    def is_folder(self, path: Path) -> bool:
        """Whether it is this folder."""

    def names(self) -> set[str]:
        """The versions that are complete.

        Raises:
            Unavailable: the place cannot be reached.
        """

    def folder(self, version: str) -> Path | None:
        """The folder of a version on this machine; None if there is no such version.

        Raises:
            Unavailable: the place cannot be reached.
        """

    def write(self, version: str, files: Mapping[str, bytes]) -> None:
        """Writes a version's files by their names.

        Raises:
            OSError: the place cannot be written to.
            Unavailable: the place cannot be reached.
        """


def place(named: str) -> Place:
    """The place that a setting names: a folder, `file:///folder` or `s3://bucket/prefix`.

    Raises:
        SettingError: it is another URL.
    """
    if "://" not in named or named.startswith("file:///"):
        return ModelFolder(Path(named.removeprefix("file://")))
    from services.scoring.adapters.model_bucket import ModelBucket

    return ModelBucket(named)


class ModelDirectory:
    """See `services.scoring.ports.Models` and `Registry`."""

    def __init__(self, own: Path | Place, shipped: Path = SHIPPED) -> None:
        self._own = ModelFolder(own) if isinstance(own, Path) else own
        others = () if self._own.is_folder(shipped) else (ModelFolder(shipped),)
        self._places: Sequence[Place] = (self._own, *others)
        self._refreshing = threading.Lock()
        self._seen: object = None
        self._served: Served | None = None
        self._loaded: dict[str, OnnxModel] = {}
        self.problems: dict[str, str] = {}
        """Why models that should serve do not: a sentence by version; those of the stages by an empty one."""

    def served(self) -> Served:
        """See `services.scoring.ports.Models`."""
        if self._served is None:
            self.refresh()
        if self._served is None:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "There is no exit-risk model that can be loaded.")
        return self._served

    def live(self) -> Model:
        """The model that is live for everybody.

        Raises:
            Unavailable: there is no model that can be loaded.
        """
        return self.served().of(EVERYBODY).live

    async def follow(self) -> None:
        """Follows the stages for ever: models are loaded and checked beside those that serve."""
        while True:
            await asyncio.to_thread(self.refresh)
            await asyncio.sleep(self._own.look_seconds)

    def refresh(self) -> None:
        """Loads what the stages ask for. What cannot be loaded leaves what serves in its place, and is tried again."""
        with self._refreshing:  # two at once would tell the second that nothing is new, and nothing is loaded yet
            self._refresh()

    def _refresh(self) -> None:
        before = self.problems
        try:
            seen = [each.stages.mark() for each in self._places]
            if seen == self._seen and not before:
                return
            self._seen, self.problems = seen, {}
            self._serve(self.stages())
        except Unavailable as error:
            self.problems = {"": error.detail}
        for version, problem in self.problems.items():
            if before.get(version) != problem:
                _log.error("model %s: %s", version or "(stages)", problem)

    def stages(self) -> Stages:
        """See `services.scoring.ports.Registry`."""
        try:
            found = next((found for each in self._places if (found := each.stages.read())), None)
        except StagesFileError as error:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", str(error)) from error
        if found is None:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", f"{self._own} says nowhere which model is live.")
        return found

    def versions(self) -> Sequence[ports.Described]:
        """See `services.scoring.ports.Registry`."""
        names = set[str]().union(*(each.names() for each in self._places))
        return [self._described(name) for name in sorted(names)]

    def load(self, version: str) -> Model:
        """See `services.scoring.ports.Registry`."""
        try:
            return self._loaded.get(version) or load(self._folder(version))
        except UnusableModelError as error:
            raise FailedPrecondition("MODEL_UNUSABLE", str(error)) from error

    def file(self, version: str) -> bytes:
        """A version's ONNX file, as it is.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: it cannot be read.
        """
        try:
            return (self._folder(version) / "model.onnx").read_bytes()
        except OSError as error:
            raise FailedPrecondition("MODEL_UNUSABLE", f"{version} has no file that can be read.") from error

    def change(self, change: Callable[[Stages], Stages]) -> Stages:
        """See `services.scoring.ports.Registry`."""
        try:
            new = self._own.stages.change(lambda own: change(own or self.stages()))
        except StagesFileError as error:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", str(error)) from error
        except OSError as error:
            detail = f"Stages cannot be written to {self._own}: {error.strerror}."
            raise FailedPrecondition("MODELS_READ_ONLY", detail) from error
        self.refresh()
        return new

    def _serve(self, wanted: Stages) -> None:
        tenants = {}
        for tenant, each in wanted.tenants.items():
            before = self._served.of(tenant).live if self._served else None
            live = self._usable((each.live,)) or before or self._usable((*each.earlier, *self._shipped()))
            if live is not None:
                canary, shadow = self._usable((each.canary,)), self._usable((each.shadow,))
                tenants[tenant] = ports.Serving(live, canary, each.percent, shadow)
        if EVERYBODY in tenants:
            self._served = Served(tenants)
        kept = wanted.versions() | {each.live.card.version for each in tenants.values()}
        self._loaded = {version: model for version, model in self._loaded.items() if version in kept}
        _log.info("stages %d: %s is live", wanted.revision, wanted.tenants[EVERYBODY].live)

    def _usable(self, versions: Iterable[str]) -> Model | None:
        """The first of the versions that can be loaded."""
        for version in filter(None, versions):
            try:
                if version not in self._loaded:
                    self._loaded[version] = load(self._folder(version))
            except (NotFound, Unavailable, UnusableModelError) as error:
                self.problems[version] = str(error) if isinstance(error, UnusableModelError) else error.detail
            else:
                return self._loaded[version]
        return None

    def _shipped(self) -> Sequence[str]:
        try:
            found = self._places[-1].stages.read()
        except StagesFileError:
            return ()
        return (found.tenants[EVERYBODY].live,) if found else ()

    def _described(self, version: str) -> ports.Described:
        try:
            found = describe(self._folder(version))
        except UnusableModelError as error:
            return ports.Described(version, "", 0, "", str(error))
        problem = self.problems.get(version) or _mismatch(found)
        return ports.Described(
            version,
            found.training_source,
            found.training_time_us,
            found.feature_schema_version,
            problem,
            found.own_users,
            found.recalibrated is not None,
        )

    def _folder(self, version: str) -> Path:
        if _VERSION.fullmatch(version):
            for each in self._places:
                if folder := each.folder(version):
                    return folder
        raise NotFound("MODEL_NOT_FOUND", "There is no model of this version.")


def describe(folder: Path) -> Described:
    """What `model.json` in a version's folder says.

    Raises:
        UnusableModelError: it is missing or damaged.
    """
    try:
        return msgspec.json.decode((folder / "model.json").read_bytes(), type=Described)
    except (OSError, msgspec.DecodeError) as error:
        message = f"{folder} holds no complete model: {error}."
        raise UnusableModelError(message) from error


def load(folder: Path) -> OnnxModel:
    """The model of one version's folder, after it gave the answers that it gave when it was trained.

    Raises:
        UnusableModelError: the folder is incomplete or damaged, or the model takes other features.
    """
    described = describe(folder)
    try:
        text = (folder / "card.md").read_text(encoding="utf-8")
        file = (folder / "model.onnx").read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{folder} holds no complete model: {error}."
        raise UnusableModelError(message) from error
    if mismatch := _mismatch(described):
        message = f"{folder}: {mismatch}"
        raise UnusableModelError(message)
    if described.sha256 and hashlib.sha256(file).hexdigest() != described.sha256:
        message = f"{folder}/model.onnx is not the file that was described: its hash differs."
        raise UnusableModelError(message)
    card = Card(
        described.version,
        described.training_source,
        described.training_time_us,
        described.feature_schema_version,
        text,
        described.features,
        described.words,
        described.label,
        described.own_users,
        is_recalibrated=described.recalibrated is not None,
        rules=learned_rules.read(bytes(described.rules), described.version),
    )
    try:
        model = OnnxModel(file, card)
        _warm_up(model, described.vectors)
    except UnusableModelError:
        raise
    except Exception as error:  # the runtime's errors have no common base class
        message = f"{folder}/model.onnx cannot be run: {error}"
        raise UnusableModelError(message) from error
    return model


def _mismatch(described: Described) -> str:
    if _is_known(described.feature_schema_version, described.features):
        return ""
    return f"It takes the features {described.feature_schema_version!r} in a form that this service does not know."


def _is_known(schema_version: str, features: tuple[str, ...]) -> bool:
    """Whether features are those of a schema, each once."""
    if schema_version == SCHEMA_VERSION:
        return features == FEATURES
    own = features[len(names_of(())) :]
    return schema_version == EXTENDED_VERSION and features == names_of(own) and len(set(features)) == len(features)


def _warm_up(model: OnnxModel, vectors: Parity) -> None:
    rows = np.array(vectors.rows or [[0.0] * len(model.card.features)])
    given = model.predict(rows).probabilities
    if vectors.rows and not np.allclose(given, vectors.probabilities, rtol=0.0, atol=PARITY_LIMIT):
        message = f"{model.card.version} gives other answers than when it was trained."
        raise UnusableModelError(message)
