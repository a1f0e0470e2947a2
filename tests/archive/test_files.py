"""The archive as files, in a directory and in a bucket."""

import errno
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2
from journeymesh.scoring.v1 import scoring_pb2

from mesh.errors import Unavailable
from mesh.settings import SettingError
from services.ingest.archive.adapters import event_rows
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DECISIONS, EVENTS, HOUR_US, DecisionRow, Plan, Versions, hour_of
from services.ingest.archive.ports import Part
from services.ingest.events.domain.suppression import Suppression, pseudonym
from tests.archive.rows import EventRow, records
from tests.builders import MINUTE_US, NOW_US, event

HOUR = hour_of(NOW_US)


def row(sequence: int, index: int = 0, at_us: int = NOW_US) -> EventRow:
    made = event(
        f"e-{sequence}-{index}",
        received_time_us=at_us,
        platform=event_pb2.Platform.ValueType(sequence % 4),
        page=f"/{index}",
    )
    return EventRow(sequence, index, made)


def decision(of: EventRow) -> DecisionRow:
    assessment = scoring_pb2.Assessment(score=of.sequence, level=scoring_pb2.RISK_LEVEL_LOW)
    return DecisionRow(of.sequence, of.event_index, of.event, 1, (3,), assessment, Versions("m", "r", "p"), None, 1)  # type: ignore[arg-type]


async def parts(archive: ParquetArchive, rows: Sequence[EventRow], cuts: Iterable[int] = ()) -> list[Part]:
    edges = [0, *sorted(cuts), len(rows)]
    pieces = [rows[start:end] for start, end in itertools.pairwise(edges)]
    return [await archive.pack("3", records(piece), [*map(decision, piece)]) for piece in pieces]


async def write(archive: ParquetArchive, after: int, rows: Sequence[EventRow]) -> None:
    hours = {hour_of(each.event.received_time_us) for each in rows}
    await archive.write("3", Plan(after, rows[-1].sequence), hours, await parts(archive, rows))


def read(archive: ParquetArchive, kind: str = EVENTS) -> list[tuple[int, int]]:
    batches = (batch for file in archive.files(kind) for batch in archive.batches(file))
    return [(int(each["sequence"]), each["event_index"]) for batch in batches for each in batch.to_pylist()]


async def test_what_was_written_is_read(archive: ParquetArchive) -> None:
    assert await archive.hours() == []
    assert read(archive) == []
    rows = [row(5), row(6, 0), row(6, 1), row(9)]
    await write(archive, -1, rows)
    for kind in (EVENTS, DECISIONS):
        assert [(file.hour, file.shard, file.first, file.last) for file in archive.files(kind)] == [(HOUR, "3", 0, 9)]
        assert read(archive, kind) == [(5, 0), (6, 0), (6, 1), (9, 0)]
    assert await archive.hours() == [HOUR]


async def test_a_range_over_an_hour_is_two_files(archive: ParquetArchive) -> None:
    rows = [row(5), row(6, at_us=NOW_US + HOUR_US), row(7)]
    await write(archive, 4, rows)
    assert [(file.hour, file.first, file.last) for file in archive.files(EVENTS)] == [(HOUR, 5, 7), (HOUR + 1, 5, 7)]
    assert read(archive) == [(5, 0), (7, 0), (6, 0)]
    assert await archive.hours() == [HOUR, HOUR + 1]


async def test_a_range_without_rows_has_its_files(archive: ParquetArchive) -> None:
    await archive.write("3", Plan(-1, 7), {HOUR}, [])
    assert [(file.first, file.last) for file in archive.files(EVENTS)] == [(0, 7)]
    assert read(archive) == []


async def test_writing_again_replaces(archive: ParquetArchive) -> None:
    for _ in range(2):
        await write(archive, -1, [row(5), row(6)])
    assert read(archive) == [(5, 0), (6, 0)]


async def test_files_of_an_hour_become_one_and_what_follows_a_gap_stays_beside(archive: ParquetArchive) -> None:
    for after, sequence in ((-1, 5), (5, 9), (9, 12), (20, 25)):
        await write(archive, after, [row(sequence), row(sequence, 1)])
    before = read(archive), read(archive, DECISIONS)
    for _ in range(2):
        await archive.compact("3", HOUR)
        assert [(file.first, file.last) for file in archive.files(EVENTS)] == [(0, 12), (21, 25)]
        assert (read(archive), read(archive, DECISIONS)) == before


async def test_only_the_shard_and_hour_asked_for_are_joined(archive: ParquetArchive) -> None:
    for after, sequence in ((-1, 5), (5, 9)):
        await write(archive, after, [row(sequence), row(sequence, 1, at_us=NOW_US + HOUR_US)])
    await archive.compact("4", HOUR)
    await archive.compact("3", HOUR + 1)
    assert [file.hour for file in archive.files(EVENTS)] == [HOUR, HOUR, HOUR + 1]


async def test_joined_files_have_a_greatest_size(url: str) -> None:
    archive = ParquetArchive(url, most_bytes=1)
    for after, sequence in ((-1, 5), (5, 9)):
        await write(archive, after, [row(sequence)])
    await archive.compact("3", HOUR)
    assert len(archive.files(EVENTS)) == 2


async def test_a_crash_between_joining_and_removing_doubles_nothing(
    archive: ParquetArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for after, sequence in ((-1, 5), (5, 9)):
        await write(archive, after, [row(sequence)])
    with monkeypatch.context() as patched:
        patched.setattr(archive, "_remove", lambda _: None)
        await archive.compact("3", HOUR)
    assert len(archive._listed(EVENTS)) == 3
    assert read(archive) == [(5, 0), (9, 0)]
    await archive.compact("3", HOUR)
    assert len(archive._listed(EVENTS)) == 1
    assert read(archive) == [(5, 0), (9, 0)]


@given(
    rows=st.lists(
        st.builds(row, st.integers(0, 3), st.integers(0, 2), st.integers(0, 80).map(lambda m: NOW_US + m * MINUTE_US)),
        min_size=1,
        max_size=12,
    ),
    cuts=st.sets(st.integers(0, 12)),
)
async def test_the_same_rows_are_the_same_bytes_however_they_were_cut(
    tmp_path_factory: pytest.TempPathFactory, rows: list[EventRow], cuts: set[int]
) -> None:
    contents = []
    for those in ((), [cut for cut in cuts if cut <= len(rows)]):
        folder = tmp_path_factory.mktemp("archive")
        archive = ParquetArchive(f"file://{folder}")
        hours = {hour_of(each.event.received_time_us) for each in rows}
        await archive.write("3", Plan(-1, 9), hours, await parts(archive, rows, those))
        contents.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.parquet")})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 2 * len({hour_of(each.event.received_time_us) for each in rows})


async def test_a_file_that_was_half_written_is_no_file_and_is_cleared_away(tmp_path: Path) -> None:
    archive = ParquetArchive(f"file://{tmp_path}")
    await write(archive, -1, [row(5)])
    whole = tmp_path / archive.files(EVENTS)[0].path
    half = whole.with_name(f".{whole.name}.x1.part")
    half.write_bytes(whole.read_bytes()[:40])
    assert read(archive) == [(5, 0)]
    await archive.compact("3", HOUR)
    assert not half.exists()
    assert [*whole.parent.iterdir()] == [whole]


async def test_a_broken_file_is_left_where_it_is_and_the_archiver_lives_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = ParquetArchive(f"file://{tmp_path}")
    for after, sequence in ((-1, 5), (5, 9)):
        await write(archive, after, [row(sequence)])
    broken = tmp_path / archive.files(EVENTS)[0].path
    broken.write_bytes(b"no Parquet at all")
    await archive.compact("3", HOUR)
    assert "cannot be joined" in caplog.text
    assert len(archive.files(EVENTS)) == 2
    assert len(archive.files(DECISIONS)) == 1


async def test_files_of_an_older_version_are_joined_and_those_of_a_newer_one_are_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = ParquetArchive(f"file://{tmp_path}")
    for after, sequence in ((-1, 5), (5, 9)):
        await write(archive, after, [row(sequence)])
    first = tmp_path / archive.files(EVENTS)[0].path
    table = pq.read_table(first, partitioning=None)
    pq.write_table(table.append_column("new", pa.array([1])), first)
    await archive.compact("3", HOUR)
    assert "newer version" in caplog.text
    assert read(archive) == [(5, 0), (9, 0)]
    clicks = table.column("click").cast(pa.struct([("x", pa.float64()), ("y", pa.float64())]))
    older = table.drop_columns(["bot_evidence"])
    pq.write_table(older.set_column(older.schema.get_field_index("click"), "click", clicks), first)
    await archive.compact("3", HOUR)
    assert len(archive.files(EVENTS)) == 1
    (batch,) = archive.batches(archive.files(EVENTS)[0])
    assert [each.event for each in event_rows.archived(batch)] == [row(5).event, row(9).event]


async def test_what_was_told_is_kept_and_decisions_of_before_it_was_kept_are_joined_without(tmp_path: Path) -> None:
    archive = ParquetArchive(f"file://{tmp_path}")
    for after, sequence, told in ((-1, 5, 0.25), (5, 9, 0.0), (9, 12, None)):
        made = decision(row(sequence))
        assessment = scoring_pb2.Assessment(probability=told)
        made = made._replace(assessment=assessment, versions=Versions("m", "r", "p", "never returns"))  # type: ignore[arg-type]
        part = await archive.pack("3", records([row(sequence)]), [made])
        await archive.write("3", Plan(after, sequence), {HOUR}, [part])
    first = tmp_path / archive.files(DECISIONS)[0].path
    older = pq.read_table(first, partitioning=None)
    assert older.select(COLUMNS).to_pylist() == [{"probability": 0.25, "model_outcome": "never returns"}]
    pq.write_table(older.drop_columns(COLUMNS), first)
    await archive.compact("3", HOUR)
    (file,) = archive.files(DECISIONS)
    assert [each for batch in archive.batches(file, COLUMNS) for each in batch.to_pylist()] == [
        {"probability": None, "model_outcome": None},
        {"probability": 0.0, "model_outcome": "never returns"},
        {"probability": None, "model_outcome": "never returns"},
    ]


COLUMNS = ["probability", "model_outcome"]
FLAGS = [field.name for field in event_rows.SCHEMA if pa.types.is_boolean(field.type)]
NEEDED = [field.name for field in event_rows.SCHEMA if not field.nullable and field.name not in FLAGS]


async def joined_without(tmp_path: Path, name: str) -> list[event_pb2.Event]:
    """The events of an hour whose first file was written before there was a column, once its files are joined."""
    archive = ParquetArchive(f"file://{tmp_path}")
    for after, sequence in ((-1, 5), (5, 9), (9, 12)):
        await write(archive, after, [row(sequence)])
    first = tmp_path / archive.files(EVENTS)[0].path
    pq.write_table(pq.read_table(first, partitioning=None).drop_columns([name]), first)
    await archive.compact("3", HOUR)
    if len(archive.files(EVENTS)) > 1:
        return []
    (batch,) = archive.batches(archive.files(EVENTS)[0])
    return [each.event for each in event_rows.archived(batch)]


@pytest.mark.parametrize("name", FLAGS)
async def test_a_flag_that_an_older_file_had_not_is_false_there(tmp_path: Path, name: str) -> None:
    assert await joined_without(tmp_path, name) == [row(5).event, row(9).event, row(12).event]


@pytest.mark.parametrize("name", NEEDED)
async def test_files_without_a_column_that_each_has_had_are_left(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await joined_without(tmp_path, name) == []
    assert name in caplog.text


async def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = ParquetArchive(f"file://{tmp_path}")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            await write(archive, -1, [row(5)])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []  # noqa: ASYNC240 - a folder of the test
    await write(archive, -1, [row(5)])
    assert read(archive) == [(5, 0)]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.parquet")} == {0o640}  # noqa: ASYNC240 - as above


async def test_storage_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("a file where a folder should be")
    archive = ParquetArchive(f"file://{tmp_path}")
    with pytest.raises(Unavailable):
        await write(archive, -1, [row(5)])


@pytest.mark.parametrize("url", ["", "var/archive", "ftp://host/path", "https://host/path"])
def test_an_address_that_is_none_is_told_in_one_sentence(url: str) -> None:
    with pytest.raises(SettingError, match="must be like"):
        ParquetArchive(url)


async def test_a_person_is_erased_from_the_files_that_hold_them_and_from_no_other(url: str) -> None:
    archive = ParquetArchive(url)

    def of(sequence: int, user_id: str, **members: str) -> EventRow:
        return EventRow(sequence, 0, event(f"e-{sequence}", user_id=user_id, received_time_us=NOW_US, **members))

    sets = [
        [of(1, "ada"), of(2, "bob", anonymous_id="a-1")],
        [of(3, "bob"), of(4, "adam")],
        [of(5, "a-1", anonymous_id="a-1", linked_user_id="ada")],
    ]
    for rows in sets:
        part = await archive.pack("0", records(rows), [decision(each) for each in rows])
        await archive.write("0", Plan(rows[0].sequence - 1, rows[-1].sequence), {HOUR}, [part])
    untouched = {file: archive._content(file) for kind in (EVENTS, DECISIONS) for file in archive.files(kind)}

    held = await archive.holding({"ada", "a-1"})
    assert {(file.kind, file.first) for file in held} == {
        (kind, first) for kind in (EVENTS, DECISIONS) for first in (1, 5)
    }
    for _ in range(2):
        for file, before in held.items():
            assert before == untouched[file]
            after = await archive.erase(file, {"ada", "a-1"})
            assert after is not None
            assert after.row_count == (1 if file.first == 1 else 0)
            assert after.sha256 != before.sha256
    assert await archive.holding({"ada", "a-1"}) == {}
    left = [each for file in archive.files(EVENTS) for batch in archive.batches(file) for each in batch.to_pylist()]
    assert [(each["user_id"], each["anonymous_id"]) for each in left] == [("bob", None), ("bob", None), ("adam", None)]
    for file in untouched.keys() - held.keys():
        assert archive._content(file) == untouched[file]
    gone = next(iter(held))._replace(shard="9")
    assert await archive.erase(gone, {"ada"}) is None


async def test_what_is_joined_is_without_suppressed_people(url: str) -> None:
    suppressed = Suppression(bytes(32), frozenset({pseudonym("ada", bytes(32))}))
    archive = ParquetArchive(url, suppression=lambda: suppressed)
    for sequence, user in enumerate(("ada", "bob"), 1):
        rows = [EventRow(sequence, 0, event(f"e-{sequence}", user_id=user, received_time_us=NOW_US))]
        part = await archive.pack("0", records(rows), [decision(each) for each in rows])
        await archive.write("0", Plan(sequence - 1, sequence), {HOUR}, [part])
    await archive.compact("0", HOUR)
    assert await archive.holding({"ada"}) == {}
    assert [archive.row_count(file) for kind in (EVENTS, DECISIONS) for file in archive.files(kind)] == [1, 1]
