"""Trains a model: `make train DATA=… MAPPING=… LABEL=…`, or on OULAD without these (docs/training.md).

Writes `<models>/<version>/` with `model.onnx`, `model.json`, the card and its plots. The version is a hash of the
model file: training again on the same data gives the same bytes and so the same version. Compares it with the live
model, and makes it live only if `PROMOTE` asks for that.
"""

import hashlib
import os
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rich.console import Console

from mesh.clock import system_clock
from mesh.errors import MeshError
from mesh.settings import SettingError, read_or_exit
from offline import given
from offline.evaluate import render
from offline.settings import Declared, Settings
from offline.training import card, fitting, gate, parity
from offline.training.fitting import Source, TooLittleError, Trained
from offline.training.gate import Verdict
from offline.training.table import MissingColumnsError
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.adapters.stages_file import StagesFile, StagesFileError
from services.scoring.domain import stages
from services.scoring.domain.schema import EXTENDED_VERSION
from services.scoring.domain.stages import EVERYBODY, Stage, Wanted

_LIBRARIES: Final = ("scikit-learn", "onnx", "numpy")


def main() -> None:
    """Trains, reports, and promotes if that is asked for and the model is no worse than the live one."""
    try:
        given.require_known(os.environ)
    except SettingError as error:
        sys.exit(f"journeymesh: {error}")
    settings, declared, console = read_or_exit(Settings), read_or_exit(Declared), Console()
    directory = Path(settings.models_directory)
    source = given.source(settings, declared, console)._replace(is_directed=declared.directions == "yes")
    users = len(set(source.snapshots.users))
    console.print(f"{len(source.snapshots):,} snapshots of {users:,} users; the label is: {source.label}", markup=False)
    try:
        with console.status("fitting, calibrating, measuring"):
            trained = fitting.train(source)
    except TooLittleError as error:
        sys.exit(f"journeymesh: {error}")
    for name, report in trained.reports.items():
        console.print(render(name, report))
    if source.is_directed:
        costs = ", ".join(f"{cost:+.4f} {moment}" for moment, cost in fitting.cost_of_directions(source).items())
        console.print(f"The directions cost, in AUROC of users held back: {costs}.", markup=False)
    version = write(trained, directory, source, system_clock())
    console.print(f"{version} is in {directory / version}; read card.md or card.html there.", markup=False)
    verdict = compare(directory, version, source)
    console.print(f"It is {verdict}." if verdict else "There is no live model to compare with.", markup=False)
    if declared.promote == "no":
        console.print("It is not live. `PROMOTE=yes` makes it live if it is no worse, `PROMOTE=anyway` whatever it is.")
    elif declared.promote == "yes" and verdict is not None and not verdict.holds:
        sys.exit("journeymesh: the model was not promoted.")
    else:
        promote(directory, version, system_clock())
        console.print(f"{version} is live in {directory}", markup=False)


def write(trained: Trained, directory: Path, source: Source, now_us: int) -> str:
    """Writes the model's folder; returns the version.

    A version that exists already keeps the time of its first training.
    """
    version = f"{source.name}-{hashlib.sha256(trained.file).hexdigest()[:8]}"
    folder = directory / version
    trained_us = _first_time(folder, now_us)
    folder.mkdir(parents=True, exist_ok=True)
    text = card.write(version, source, trained, trained_us)
    files = {
        "model.onnx": trained.file,
        "model.json": _described(trained, version, source, trained_us),
        "card.md": text.encode(),
        "card.html": card.page(text).encode(),
    }
    for name, content in (files | trained.plots).items():
        (folder / name).write_bytes(content)
    return version


def compare(directory: Path, version: str, source: Source) -> Verdict | None:
    """The model beside the live one on the snapshots of users held back; None if none can be asked."""
    registry = ModelDirectory(directory)
    try:
        if (own := StagesFile(directory).read()) is None:
            return None
        live = registry.load(own.of(EVERYBODY).live)
    except (StagesFileError, MeshError):
        return None
    rows = source.snapshots.where(fitting.kept_back(source.snapshots.users))
    new = registry.load(version)
    try:
        inputs = [rows.inputs(model.card.features, model.card.words) for model in (new, live)]
    except MissingColumnsError:
        return None
    probabilities = [
        np.array(model.predict(each).probabilities) for model, each in zip((new, live), inputs, strict=True)
    ]
    return gate.judge(probabilities[0], probabilities[1], rows)


def promote(directory: Path, version: str, now_us: int) -> None:
    """Makes a version live for everybody; running services follow within seconds."""
    wanted = Wanted(version, Stage.LIVE, "training")
    ModelDirectory(directory).change(lambda now: stages.changed(now, wanted, now_us))


def _described(trained: Trained, version: str, source: Source, trained_us: int) -> bytes:
    described = {
        "version": version,
        "training_source": source.name,
        "training_time_us": trained_us,
        "feature_schema_version": EXTENDED_VERSION,
        "features": source.snapshots.names,
        "words": source.snapshots.known_words,
        "pairs": trained.pairs,
        "measured_features": sorted(source.measured),
        "about": source.about,
        "label": source.label,
        "own_users": source.own_users,
        "seed": fitting.SEED,
        "event_weight": fitting.EVENT_WEIGHT,
        "parameters": fitting.PARAMETERS,
        "libraries": {name: installed(name) for name in _LIBRARIES},
        "counts": trained.counts,
        "sha256": hashlib.sha256(trained.file).hexdigest(),
        "vectors": parity.vectors(trained.file, source.snapshots.values),
        "parity": {"max_abs_difference": trained.parity_difference, "limit": parity.LIMIT},
        "metrics": trained.reports,
        "single_rules": trained.rules,
        "accuracy_gain_over_one_rule": trained.gains,
    }
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


def _first_time(folder: Path, now_us: int) -> int:
    try:
        known: dict[str, Any] = msgspec.json.decode((folder / "model.json").read_bytes())
    except FileNotFoundError:
        return now_us
    return int(known["training_time_us"])


if __name__ == "__main__":
    main()
