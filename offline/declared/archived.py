"""Events of the mesh's own archive to rows that are spilled."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from offline import archive
from offline.archive import Window
from offline.declared.journeys import Taken
from records import table
from services.features.translation.rows import events_of
from services.ingest.archive.adapters.event_rows import Archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import EVENTS

_BATCH_EVENTS: Final = 1_000


def is_archive(data: str) -> bool:
    """Whether data is an archive: a URL, or a folder that an archiver writes to."""
    return "://" in data or (Path(data) / EVENTS).is_dir()


def taken(data: str, window: Window = Window()) -> Iterator[Taken | str]:  # noqa: B008 - a value
    """The events of a window of received time in the order of the stream; failed and repeated ones are left out.

    Raises:
        SettingError: the URL is no archive's.
        Unavailable: the storage cannot be reached.
    """
    files = ParquetArchive(data if "://" in data else Path(data).resolve().as_uri())
    found = archive.events(files, archive.contents(files, window).files, archive.COLUMNS)
    index, last = 0, ("", -1, -1)
    for batch in _batches(found):
        applied = []
        for each in batch:
            place = each[:3]
            if each.is_set_aside or place == last:
                yield "that had failed" if each.is_set_aside else "that are repeated"
            else:
                applied.append(each.event)
            last = place
        of = table.of_events(applied)
        for user, event, original in zip(of.user_id, events_of(of), of.copied_event_id, strict=True):
            yield Taken(user, index, event, is_copied=bool(original))
            index += 1


def _batches(found: Iterator[Archived]) -> Iterator[list[Archived]]:
    while batch := list(itertools.islice(found, _BATCH_EVENTS)):
        yield batch
