"""What the names of files tell."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.archive.domain import layout
from services.ingest.archive.domain.layout import ArchiveFile, Gap

KINESIS = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
HOUR = 490_930  # 2026-01-02T10

SHARDS = st.sampled_from(["0", "1", "shardId-000000000003"])
FILES = st.builds(
    lambda kind, hour, shard, first, count: ArchiveFile(kind, hour, shard, first, first + count),
    st.sampled_from([layout.EVENTS, layout.DECISIONS]),
    st.integers(0, 3_000_000),
    SHARDS,
    st.integers(0, KINESIS),
    st.integers(0, KINESIS),
)


@given(file=FILES)
def test_a_path_tells_its_file(file: ArchiveFile) -> None:
    assert layout.parse_path(file.path) == file


def test_a_path_is_as_documented() -> None:
    file = ArchiveFile("events", HOUR, "3", 0, 29_650_000_000_000_000_000)
    assert file.path == "events/v1/hour=2026-01-02T10/3-00000000000000000000-29650000000000000000.parquet"
    assert layout.hour_of(int(dt.datetime(2026, 1, 2, 10, 59, tzinfo=dt.UTC).timestamp() * 1e6)) == HOUR


@pytest.mark.parametrize(
    "path",
    [
        "events/v1/hour=2026-01-02T10/.3-1-2.parquet.abc.part",
        "events/v1/hour=2026-01-02T10/3-1.parquet",
        "events/v1/hour=2026-01-02/3-1-2.parquet",
        "events/v2/hour=2026-01-02T10/3-1-2.parquet",
        "events/v1/hour=2026-01-02T10",
        "README.md",
    ],
)
def test_what_is_no_file_of_the_archive_is_left_alone(path: str) -> None:
    assert layout.parse_path(path) is None


@given(
    edges=st.lists(st.integers(1, 10**20), min_size=2, unique=True)
    | st.lists(st.integers(10**20 + 1, KINESIS), min_size=2, unique=True)
)
def test_names_of_a_shard_sort_as_its_ranges_do(edges: list[int]) -> None:
    ranges = itertools.pairwise([0, *sorted(edges)])
    files = [ArchiveFile("events", HOUR, "3", first, following - 1) for first, following in ranges]
    assert sorted(files, key=lambda file: file.path) == files


@given(at_us=st.integers(-(1 << 63), (1 << 63) - 1))
def test_every_time_has_an_hour_with_a_name(at_us: int) -> None:
    hour = layout.hour_of(at_us)
    assert layout.parse_hour(layout.folder("events", hour).rpartition("/")[2]) == hour


def files_of(*ranges: tuple[int, int], hour: int = HOUR, shard: str = "3") -> list[ArchiveFile]:
    return [ArchiveFile("events", hour, shard, first, last) for first, last in ranges]


def test_the_widest_file_tells_all_and_what_lies_inside_is_left_out() -> None:
    files = files_of((0, 9), (10, 19), (0, 19), (20, 29)) + files_of((5, 9), shard="4") + files_of((0, 9), hour=1)
    assert layout.covering(reversed(files)) == [
        *files_of((0, 9), hour=1),
        *files_of((0, 19), (20, 29)),
        *files_of((5, 9), shard="4"),
    ]


def test_files_are_joined_where_they_follow_upon_one_another_and_stay_small_enough() -> None:
    files = files_of((0, 9), (10, 19), (20, 29), (40, 49), (50, 59), (70, 79)) + files_of((80, 89), hour=HOUR + 1)
    assert list(layout.groups(files, lambda _: 10, 100)) == [files[:3], files[3:5]]
    assert list(layout.groups(files, lambda _: 10, 20)) == [files[:2], files[3:5]]
    assert list(layout.groups(files, lambda _: 10, 10)) == []
    assert layout.merged(files[:3]) == files_of((0, 29))[0]


def test_a_gap_is_told_and_a_beginning_is_none() -> None:
    files = files_of((10, 19), (20, 29)) + files_of((20, 29), (35, 39), hour=HOUR + 1) + files_of((5, 6), shard="4")
    assert layout.gaps(files) == [Gap("3", 30, 34)]
    assert layout.gaps([]) == []
