"""Archives for tests, written range by range."""

from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import HOUR_US, Plan, hours_of
from tests.archive.rows import EventRow, records
from tests.builders import NOW_US, event


async def write(into: ParquetArchive, shard: str, after: int, through: int, hour: int = 0, *hours: int) -> None:
    """A range with one event per record, the first from the first hour given, the second from the next, and so on."""
    every = (hour, *hours)
    rows = [
        EventRow(
            sequence,
            0,
            event(f"{shard}-{sequence}", received_time_us=NOW_US + every[number % len(every)] * HOUR_US),
        )
        for number, sequence in enumerate(range(after + 1, through + 1))
    ]
    part = await into.pack(shard, records(rows), [])
    await into.write(shard, Plan(after, through), hours_of(row.event.received_time_us for row in rows), [part])
