"""A process that trains a model on the archive of the mesh, as the command does, and writes it to the registry.

It learns from the hours that were complete when it was asked for, and that is the time of the model. Begun again, it
writes the same bytes to the same place.
"""

import sys
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from mesh.errors import FailedPrecondition
from mesh.settings import SettingError, read_or_exit
from offline import archive, given, process, train
from offline.archive import Window
from offline.declared.label import LabelError
from offline.declared.reading import DataError
from offline.process import Asked
from offline.settings import Settings
from offline.train import Registered
from offline.training.choice import Choice, choose
from offline.training.fitting import TooLittleError
from services.ingest.archive.adapters.files import ParquetArchive
from services.scoring.adapters.model_directory import Place, place

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
        made, registered = trained(asked, models)
    except LabelError as error:
        return process.failed("LABEL_INVALID", str(error))
    except (DataError, TooLittleError) as error:
        return process.failed("NOTHING_TO_LEARN", str(error))
    except SettingError as error:
        return process.failed("JOB_NOT_POSSIBLE", str(error))
    return process.done(counts=made.offered.counts, model=told(made, registered))


def trained(asked: Asked, models: Place) -> tuple[Choice, Registered]:
    """Trains on the archive, and writes the model to the registry.

    Raises:
        LabelError, DataError, SettingError: as `given.archive`.
        TooLittleError: there are too few outcomes yet.
        FailedPrecondition: `MODELS_READ_ONLY`, the registry cannot be written to.
        Unavailable: the archive or the registry cannot be reached.
    """
    window = Window(stop=asked.now_ms // _HOUR_MS)
    rows = archive.contents(ParquetArchive(asked.archive_url), window).row_count
    shown = given.Shown(_tracked(max(rows, 1)), lambda _sentence: None)
    is_directed = asked.options.get("directions") == "yes"
    source = given.archive(asked.archive_url, asked.options["label"], shown, window)._replace(is_directed=is_directed)
    process.say(step="fitting", progress=_REPLAYED)
    live = train.read_live(models)
    made = choose(source, live)
    process.say(step="registering", progress=_FITTED)
    try:
        return made, train.register(made.offered, live, models, source, asked.options["promote"], asked.now_ms * 1000)
    except OSError as error:
        raise FailedPrecondition("MODELS_READ_ONLY", f"The registry cannot be written to: {error}.") from error


def told(made: Choice, of: Registered) -> dict[str, Any]:
    """What is told of a model: its figures are those of the exit risk, at the first of its moments."""
    moment, report = next(iter(made.offered.reports.items()))
    verdict = of.verdict
    return {
        "version": of.version,
        "is_live": of.is_live,
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
    sys.exit(process.run(main))
