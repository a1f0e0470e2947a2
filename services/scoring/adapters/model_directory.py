"""The models in a directory: one folder per version, and a file `live` that names the one in service.

    <directory>/live                     a version's name
    <directory>/<version>/model.onnx
    <directory>/<version>/model.json     its description
    <directory>/<version>/card.md

To promote or roll back, replace `live` (write another file, then rename it). It is checked before every batch.
"""

import logging
from pathlib import Path

import msgspec
import numpy as np

from mesh.errors import Unavailable
from services.scoring.adapters.onnx import OnnxModel
from services.scoring.domain.inputs import names_of
from services.scoring.domain.schema import EXTENDED_VERSION, FEATURES, SCHEMA_VERSION
from services.scoring.ports import Card, Model

_log = logging.getLogger(__name__)


class Described(msgspec.Struct):
    """The part of `model.json` that serving reads."""

    version: str
    training_source: str
    training_time_us: int
    feature_schema_version: str
    features: tuple[str, ...]
    words: dict[str, tuple[str, ...]] = {}


class UnusableModelError(Exception):
    """A version's folder is incomplete or for other features; the message is one sentence."""


class ModelDirectory:
    """See `services.scoring.ports.Models`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pointer = directory / "live"
        self._seen: tuple[int, int] | None = None
        self._live: Model | None = None

    def live(self) -> Model:
        """See `services.scoring.ports.Models`."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._promote()
        if self._live is None:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "There is no exit-risk model that can be loaded.")
        return self._live

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self._pointer.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _promote(self) -> None:
        try:
            version = self._pointer.read_text(encoding="utf-8").strip()
            if self._live is None or version != self._live.card.version:
                self._live = load(self._directory / version)
                _log.info("model %s is live", version)
        except (OSError, UnusableModelError) as error:
            _log.error("the live model cannot be loaded: %s", error)


def load(folder: Path) -> OnnxModel:
    """The model of one version's folder.

    Raises:
        UnusableModelError: the folder is incomplete, or the model takes other features.
    """
    try:
        described = msgspec.json.decode((folder / "model.json").read_bytes(), type=Described)
        text = (folder / "card.md").read_text(encoding="utf-8")
        file = (folder / "model.onnx").read_bytes()
    except (OSError, msgspec.DecodeError) as error:
        message = f"{folder} holds no complete model: {error}."
        raise UnusableModelError(message) from error
    if not _is_known(described.feature_schema_version, described.features):
        message = f"{folder} takes features of {described.feature_schema_version!r} that this service does not know."
        raise UnusableModelError(message)
    card = Card(
        described.version,
        described.training_source,
        described.training_time_us,
        described.feature_schema_version,
        text,
        described.features,
        described.words,
    )
    try:
        model = OnnxModel(file, card)
        model.predict(np.zeros((1, len(described.features))))
    except Exception as error:  # the runtime's errors have no common base class
        message = f"{folder}/model.onnx cannot be run: {error}"
        raise UnusableModelError(message) from error
    return model


def _is_known(schema_version: str, features: tuple[str, ...]) -> bool:
    """Whether features are those of a schema, each once."""
    if schema_version == SCHEMA_VERSION:
        return features == FEATURES
    own = features[len(names_of(())) :]
    return schema_version == EXTENDED_VERSION and features == names_of(own) and len(set(features)) == len(features)
