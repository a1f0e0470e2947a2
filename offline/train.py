"""Trains the exit-risk model and makes it live: `python -m offline.train`.

Writes `<models>/<version>/` with `model.onnx`, `model.json`, `card.md` and `reliability.png`, and points
`<models>/live` to it. The version is a hash of the model file: training again on the same data gives the same
bytes and so the same version.
"""

import hashlib
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

from mesh.clock import system_clock
from mesh.settings import read_or_exit
from offline.datasets import oulad
from offline.evaluate import read_snapshots, render
from offline.settings import Settings
from offline.training import card, fitting, parity
from offline.training.fitting import Trained
from offline.training.snapshots import HORIZON_DAYS
from services.scoring.domain.schema import FEATURES, SCHEMA_VERSION

_LIBRARIES: Final = ("scikit-learn", "onnx", "numpy")


def main() -> None:
    """Trains on OULAD and makes the model live."""
    settings, console = read_or_exit(Settings), Console()
    snapshots = read_snapshots(Path(settings.data), console)
    console.print(
        f"{len(snapshots):,} snapshots of {len(set(snapshots.users)):,} users; fitting, calibrating, measuring"
    )
    with console.status("training"):
        trained = fitting.train(snapshots, oulad.MEASURED, oulad.NAME)
    for name, report in trained.reports.items():
        console.print(render(name, report))
    console.print(
        f"ONNX and scikit-learn differ by at most {trained.parity_difference:.1e}; {len(trained.file):,} bytes"
    )
    version = write(trained, Path(settings.models_directory), oulad.NAME, system_clock())
    console.print(f"{version} is live in {settings.models_directory}")


def write(trained: Trained, directory: Path, source: str, now_us: int) -> str:
    """Writes the model's folder and points `live` to it; returns the version.

    A version that exists already keeps the time of its first training.
    """
    version = f"{source}-{hashlib.sha256(trained.file).hexdigest()[:8]}"
    folder = directory / version
    trained_us = _first_time(folder, now_us)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(trained.file)
    (folder / "model.json").write_bytes(_described(trained, version, source, trained_us))
    (folder / "reliability.png").write_bytes(trained.reliability)
    (folder / "card.md").write_text(card.write(version, trained, trained_us), encoding="utf-8")
    beside = directory / "live.new"
    beside.write_text(version + "\n", encoding="utf-8")
    beside.replace(directory / "live")
    return version


def _described(trained: Trained, version: str, source: str, trained_us: int) -> bytes:
    described = {
        "version": version,
        "training_source": source,
        "training_time_us": trained_us,
        "feature_schema_version": SCHEMA_VERSION,
        "features": FEATURES,
        "measured_features": sorted(oulad.MEASURED),
        "label": f"no event in the next {HORIZON_DAYS} days",
        "seed": fitting.SEED,
        "event_weight": fitting.EVENT_WEIGHT,
        "parameters": fitting.PARAMETERS,
        "libraries": {name: installed(name) for name in _LIBRARIES},
        "counts": trained.counts,
        "parity": {"max_abs_difference": trained.parity_difference, "limit": parity.LIMIT},
        "metrics": trained.reports,
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
