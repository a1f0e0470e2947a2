"""A process that trains a model on the archive of the mesh, as the command does, and writes it to the registry.

It learns from the hours that were complete when it was asked for, and that is the time of the model. Begun again, it
writes the same bytes to the same place.
"""

import sys
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mesh.clock import Clock, system_clock
from mesh.errors import FailedPrecondition, Unavailable
from mesh.settings import SettingError, read_or_exit
from offline import archive, given, process, train
from offline.archive import Window
from offline.declared.label import LabelError
from offline.declared.reading import DataError
from offline.process import Asked
from offline.settings import Settings
from offline.train import Registered
from offline.training import export, metrics, parity, plots, shapley
from offline.training.choice import Choice, Live, choose
from offline.training.fitting import TooLittleError
from offline.training.parity import ParityError
from services.ingest.archive.adapters.files import ParquetArchive
from services.scoring.adapters.model_directory import ModelDirectory, Place, place
from services.scoring.domain.stages import EVERYBODY, Change

_HOUR_MS: Final = 3_600_000
_EVERY: Final = 1_000
"""Rows or journeys between two words of how far it is."""
_READ: Final = 0.3
_REPLAYED: Final = 0.5
_FITTED: Final = 0.95
"""The parts of the way when the archive is read, when all is known of each moment, and when the model is made."""

_Item = TypeVar("_Item")


def main(asked: Asked) -> int:
    """Trains, and says what came of it; returns the exit code.

    Raises:
        MemoryError: it takes more than it may.
        MeshError: the archive or the registry cannot be used.
    """
    try:
        models = place(read_or_exit(Settings).models_directory)
        made, registered = trained(asked, models, system_clock)
    except LabelError as error:
        return process.failed("LABEL_INVALID", str(error))
    except (DataError, TooLittleError) as error:
        return process.failed("NOTHING_TO_LEARN", str(error))
    except (SettingError, ParityError) as error:  # again, it would only be so again
        return process.failed("JOB_NOT_POSSIBLE", str(error))
    return process.done(counts=made.offered.counts, model=told(made, registered))


def use() -> None:
    """Fits, exports, asks and draws a model of next to nothing.

    glibc ends a process that has no memory for what a library keeps per thread, at its first use, and says nothing.
    """
    rows = np.arange(80.0).reshape(40, 2)
    is_true = rows[:, 0] % 3.0 > 1.0
    with threadpool_limits(1):
        trees = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2, early_stopping=False)
        model = CalibratedClassifierCV(trees, cv=2, ensemble=False).fit(rows, is_true)
    said, _ = parity.run(export.to_onnx(shapley.read(model, rows), []), rows)
    plots.reliability({"some": metrics.bins(said, is_true)})


def trained(asked: Asked, models: Place, clock: Clock) -> tuple[Choice, Registered]:
    """Trains on the archive, writes the model to the registry, and makes it live if that is asked for and may be.

    Done again, it makes nothing live a second time, also if somebody went back to another model meanwhile.

    Raises:
        LabelError, DataError, SettingError: as `given.archive`.
        TooLittleError: there are too few outcomes yet.
        FailedPrecondition: `MODELS_READ_ONLY`, the registry cannot be written to.
        Unavailable: the archive or the registry cannot be reached.
    """
    window = Window(stop=asked.now_ms // _HOUR_MS)
    rows = archive.contents(ParquetArchive(asked.archive_url), window).row_count
    promoted = _promoted(models, asked.job_id)
    shown = given.Shown(_tracked(max(rows, 1)), lambda _sentence: None)
    is_directed = asked.options.get("directions") == "yes"
    source = given.archive(asked.archive_url, asked.options["label"], shown, window)._replace(is_directed=is_directed)
    process.say(step="fitting", progress=_REPLAYED)
    live = _before(models, promoted) if promoted else train.read_live(models)
    made = choose(source, live)
    process.say(step="registering", progress=_FITTED)
    try:
        found = train.register(made.offered, live, models, source, asked.options["promote"], asked.now_ms * 1000)
    except OSError as error:
        raise FailedPrecondition("MODELS_READ_ONLY", f"The registry cannot be written to: {error}.") from error
    if found.may_go_live and promoted is None:
        train.promote(models, found.version, clock(), _why(asked.job_id))
    return made, found


def _promoted(models: Place, job_id: str) -> Change | None:
    """The change by which this job made its model live, if it was killed after that."""
    try:
        known = ModelDirectory(models).stages().changes
    except Unavailable:  # nothing is live yet; where it cannot be reached, nothing is registered either
        return None
    return next((each for each in known if (each.actor, each.why) == (train.ACTOR, _why(job_id))), None)


def _why(job_id: str) -> str:
    return f"job {job_id}"


def _before(models: Place, promoted: Change) -> Live | None:
    """The model that was live before the job made its own live, so that both are judged as they were."""
    registry = ModelDirectory(models)
    serving = registry.stages().of(EVERYBODY)
    if serving.live != promoted.version or not serving.earlier:
        return train.read_live(models)  # somebody has changed it since
    version = serving.earlier[0]
    return Live(registry.load(version), registry.file(version))


def told(made: Choice, of: Registered) -> dict[str, Any]:
    """What is told of a model: its figures are those of the exit risk, at the first of its moments."""
    moment, report = next(iter(made.offered.reports.items()))
    verdict = of.verdict
    return {
        "version": of.version,
        "is_live": of.may_go_live,
        "gate": "not_compared" if verdict is None else "passed" if verdict.holds else "failed",
        "difference": verdict and verdict.difference,
        "measured_on": moment,
        "figures": report["exit risk"],
        "remark": made.remark,
    }


def _tracked(rows: int) -> Any:  # noqa: ANN401 - generic, which a callable's type cannot say
    def tracked(items: Iterable[_Item], step: str) -> Iterable[_Item]:
        is_reading = step.startswith("reading")
        for number, item in enumerate(items):
            if number % _EVERY == 0:
                process.say(step=step, progress=_READ * min(number / rows, 1) if is_reading else _READ)
            yield item

    return tracked


if __name__ == "__main__":
    sys.exit(process.run(main, use))
