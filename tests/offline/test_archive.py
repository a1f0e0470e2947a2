"""The archive is read in the order of the stream."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline import archive
from offline.archive import Window
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import Gap, hour_of
from tests.builders import NOW_US
from tests.offline.archives import write

HOUR = hour_of(NOW_US)


def ids(of: ParquetArchive, window: Window = Window()) -> list[str]:  # noqa: B008 - a value
    return [each.event.event_id for each in archive.events(of, archive.contents(of, window).files)]


async def test_shards_come_parents_before_children_and_ranges_in_their_order(tmp_path: Path) -> None:
    files = ParquetArchive(f"file://{tmp_path}")
    assert archive.contents(files) == ([], 0, [])
    await write(files, "10", 6, 7)
    await write(files, "9", 1, 3, 1, 0)
    await write(files, "9", -1, 1)
    await write(files, "9", 3, 5, 1)
    assert ids(files) == ["9-0", "9-1", "9-2", "9-3", "9-4", "9-5", "10-7"]
    assert archive.contents(files).row_count == 7


@given(
    ranges=st.lists(
        st.tuples(st.integers(1, 5), st.lists(st.integers(0, 3), min_size=1, max_size=3)), min_size=1, max_size=6
    ),
    joined=st.sets(st.integers(0, 3)),
)
async def test_the_order_holds_however_hours_are_mixed(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[tuple[int, list[int]]], joined: set[int]
) -> None:
    files = ParquetArchive(f"file://{tmp_path_factory.mktemp('archive')}")
    after = -1
    for count, hours in ranges:
        await write(files, "0", after, after + count, *hours)
        after += count
    for hour in joined:
        await files.compact("0", HOUR + hour)
    assert ids(files) == [f"0-{sequence}" for sequence in range(after + 1)]
    assert archive.contents(files).gaps == []


async def test_a_window_has_its_hours_and_the_gaps_among_them(tmp_path: Path) -> None:
    files = ParquetArchive(f"file://{tmp_path}")
    for hour, (after, through) in enumerate([(-1, 1), (1, 3), (5, 6), (6, 7), (8, 9)]):
        await write(files, "0", after, through, hour)
    assert ids(files, Window(HOUR + 1, HOUR + 3)) == ["0-2", "0-3", "0-6"]
    assert archive.contents(files, Window(HOUR + 1, HOUR + 3)).gaps == [Gap("0", 4, 5)]
    assert archive.contents(files, Window(HOUR + 3)).gaps == [Gap("0", 8, 8)]
    assert archive.contents(files).gaps == [Gap("0", 4, 5), Gap("0", 8, 8)]


async def test_an_event_in_two_files_comes_twice_in_a_row(tmp_path: Path) -> None:
    files = ParquetArchive(f"file://{tmp_path}")
    await write(files, "0", -1, 2)
    await write(files, "0", 1, 3)
    assert ids(files) == ["0-0", "0-1", "0-2", "0-2", "0-3"]


async def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    files = ParquetArchive(f"file://{tmp_path}")
    await write(files, "0", -1, 0)
    columns = ["shard", "sequence", "event_index", "is_set_aside", "raw", "user_id", "of_another_version"]
    (only,) = archive.events(files, archive.contents(files).files, columns)
    assert (only.event.user_id, only.event.event_id, only.event.event_time_us) == ("ada", "", 0)
