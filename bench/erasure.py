"""What erasing and exporting a person costs in the archive: `python -m bench.erasure [--events 10000000]`.

The files are in the archiver's own layout, of 400,000 events each. One person is in three of them, another one in every
row group of all. The bench reports the work as the archiver does it, in seconds: finding the files,
rewriting them, and finding that no file names the person any more. Seconds are of CPU, on all threads, so that what
else the machine does counts little. It needs about 50 bytes of disk per event, in a temporary folder.
"""

import argparse
import asyncio
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from records.table import of_events
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import EVENTS, Plan, hour_of
from services.ingest.archive.ports import EventRows
from tests.builders import NOW_US, event

_FILE_EVENTS: Final = 400_000
_BATCH_EVENTS: Final = 16_000
_USERS: Final = 100_000
_FEW_FILES: Final = 3
_ID_BYTES: Final = 16
_RARE, _USUAL = "rare-person", "usual-person"


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one person: files that named them, and seconds of CPU."""

    file_count: int
    find_seconds: float
    export_seconds: float
    rewrite_seconds: float
    check_seconds: float
    left_count: int

    @property
    def seconds(self) -> float:
        """Of the erasure: found, rewritten, found to be gone."""
        return self.find_seconds + self.rewrite_seconds + self.check_seconds


async def main(event_count: int) -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as folder:
        archive = ParquetArchive(Path(folder).as_uri())
        began = time.process_time()
        template = await _template(archive)
        sizes = [min(_FILE_EVENTS, event_count - start) for start in range(0, event_count, _FILE_EVENTS)]
        for number, rows in enumerate(sizes):
            await _write(archive, template, number, rows)
        print(f"{event_count} events in {len(sizes)} files, written in {_since(began):.0f} s")
        for person in (_RARE, _USUAL):
            cost = await _erased(archive, person)
            print(
                f"in {cost.file_count} files: {cost.seconds:.1f} s (find {cost.find_seconds:.1f}, rewrite "
                f"{cost.rewrite_seconds:.1f}, check {cost.check_seconds:.1f}); export {cost.export_seconds:.1f} s; "
                f"files that name the person afterwards: {cost.left_count}"
            )


async def _erased(archive: ParquetArchive, person: str) -> Cost:
    started = time.process_time()
    held = await archive.holding({person})
    found = time.process_time()
    await archive.of_users({person}, 1 << 40)
    exported = time.process_time()
    for file in held:
        await archive.erase(file, {person})
    rewritten = time.process_time()
    left = await archive.holding({person})
    return Cost(len(held), found - started, exported - found, rewritten - exported, _since(rewritten), len(left))


async def _template(archive: ParquetArchive) -> Any:  # noqa: ANN401 - what the adapter makes of rows
    """A batch of events as the archiver packs them."""
    events = [
        event(
            f"event-{number}",
            page=f"/page/{number % 200}",
            session_id=f"session-{number % 900}",
            received_time_us=NOW_US + number,
            event_time_us=NOW_US + number,
            properties=b'{"step":%d}' % number,
        )
        for number in range(_BATCH_EVENTS)
    ]
    return await archive.pack("0", [EventRows(1, of_events(events), range(len(events)))], [])


async def _write(archive: ParquetArchive, template: Any, number: int, event_count: int) -> None:  # noqa: ANN401 - as above
    chance = np.random.default_rng(number)
    parts = [
        _part(template, chance, min(_BATCH_EVENTS, event_count - start), is_few=number < _FEW_FILES)
        for start in range(0, event_count, _BATCH_EVENTS)
    ]
    await archive.write("0", Plan(number, number + 1), {hour_of(NOW_US)}, parts)


def _part(template: Any, chance: np.random.Generator, count: int, *, is_few: bool) -> Any:  # noqa: ANN401 - as above
    """The template's first events, with ids and users of their own."""
    users = [f"user-{each:06d}" for each in chance.integers(0, _USERS, count)]
    users[:2] = [_USUAL, _RARE if is_few else users[1]]
    drawn = chance.bytes(_ID_BYTES * count).hex()
    ids = [drawn[at : at + 2 * _ID_BYTES] for at in range(0, len(drawn), 2 * _ID_BYTES)]
    rows = template.columns[EVENTS].slice(0, count)
    for column, values in (("user_id", users), ("event_id", ids)):
        place = rows.schema.get_field_index(column)
        field = rows.schema.field(place)
        rows = rows.set_column(place, field, pa.array(values, pa.string()).cast(field.type))
    return template._replace(
        columns={**template.columns, EVENTS: rows},
        hours={**template.hours, EVENTS: template.hours[EVENTS].slice(0, count)},
    )


def _since(began: float) -> float:
    return time.process_time() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    asyncio.run(main(parser.parse_args().events))
