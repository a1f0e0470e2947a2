"""How long questions take, and what their process takes in memory: `python -m bench.analytics [events] [users]`.

Writes an archive of invented events, about a fifth of them decided on, over 28 days; then copies it, and asks each
question some times without any cache, and some times with another tail of a minute's events each. Times include the way
to the process and back.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from services.analytics.adapters.tasks import Place
from services.analytics.adapters.workers import DuckDb, FolderCopies, working
from services.analytics.domain import question as asked
from services.analytics.domain.question import DAY_US, Comparison, Condition, Field, Question, UserFilter, Window
from services.analytics.usecases import Asking

_START_US: Final = 1_767_312_000_000_000
_DAYS: Final = 28
_ROUNDS: Final = 11
_TAILS: Final = 5
_EVERYBODY: Final = UserFilter()
_EVENTS: Final = """COPY (
    SELECT '0' AS shard, lpad(n::VARCHAR, 20, '0') AS sequence, 0::UINTEGER AS event_index, false AS is_set_aside,
        'e-' || n AS event_id, 'u-' || hash(n // 12) % {users} AS user_id,
        make_timestamptz({start} + ({day} * 86400000000 + (n % {per_day}) * 86400000000 // {per_day})::BIGINT)
        AS event_time,
        event_time AS received_time, 'web' AS platform, CASE WHEN hash(n, 1) % 3 = 0 THEN 'phone' ELSE 'desktop' END AS
        device_class, CASE hash(n, 2) % 10 WHEN 0 THEN 'form_start' WHEN 1 THEN 'form_submit' WHEN 2 THEN 'error'
        WHEN 3 THEN 'click' ELSE 'page_view' END AS event_type, '/page/' || (hash(n, 3) % 40) AS page,
        'element-' || hash(n, 4) % 20 AS target, NULL::VARCHAR AS error_code, NULL::VARCHAR AS copied_event_id,
        false AS is_bot, false AS is_system
    FROM range({first}, {last}) AS t(n)
) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 16384)"""
_DECISIONS: Final = """COPY (
    SELECT 'd-' || event_id AS decision_id, shard, sequence, event_index, event_id, user_id, received_time,
        CASE WHEN hash(event_id) % 50 = 0 THEN 'intervene' ELSE 'none' END AS kind, ['risk_too_low'] AS reasons,
        (hash(event_id, 1) % 100)::DOUBLE AS score, CASE WHEN score > 80 THEN 'high' WHEN score > 60 THEN 'medium' ELSE
        'low' END AS level, CASE WHEN score > 60
        THEN [{{'name': 'rage_clicks', 'contribution': 12.5, 'reason': 'clicks'}}] ELSE [] END
        AS indicators, 'p-1' AS policy_version, 'm-1' AS model_version,
        hash(event_id, 3) % 100000 / 1000 AS model_score, score / 4 AS rule_score
    FROM read_parquet('{source}') WHERE hash(event_id, 2) % 5 = 0
) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 16384)"""


def write(root: Path, event_count: int, user_count: int) -> None:
    """An archive of one file of each kind and day."""
    per_day = event_count // _DAYS
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "1GB"})
    for day in range(_DAYS):
        first, last = day * per_day, (day + 1) * per_day
        name = f"v1/hour=2026-01-{day + 2:02}T00/0-{first:020}-{last - 1:020}.parquet"
        events, decisions = root / "events" / name, root / "decisions" / name
        for path in (events, decisions):
            path.parent.mkdir(parents=True)
        given = {"users": user_count, "start": _START_US, "day": day, "per_day": per_day, "first": first, "last": last}
        connection.execute(_EVENTS.format(path=events, **given))
        connection.execute(_DECISIONS.format(source=events, path=decisions))


def show(root: Path, round_number: int, event_count: int, user_count: int) -> None:
    """A tail of the last day's last minute and some, another one in each round."""
    per_day = event_count // _DAYS
    first, last = per_day * _DAYS, per_day * _DAYS + max(per_day // 1440, 100) + round_number
    given = {
        "users": user_count,
        "start": _START_US,
        "day": _DAYS - 1,
        "per_day": per_day,
        "first": first,
        "last": last,
    }
    folder = root / "tail" / "v1"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        events, decisions = Path(made) / "events", Path(made) / "decisions"
        duckdb.execute(_EVENTS.format(path=events, **given))
        duckdb.execute(_DECISIONS.format(source=events, path=decisions))
        aside = Path(made) / "tail"
        with aside.open("wb") as into:
            for path in (events, decisions):
                rows = pq.read_table(path)
                with pa.ipc.new_stream(into, rows.schema) as writer:
                    writer.write_table(rows)
        for old in folder.iterdir():
            old.unlink()
        shutil.copy(aside, folder / f"0-{first:020}-{last - 1:020}.arrows")


def questions() -> dict[str, Question]:
    """A question of each kind, over all days unless its name says otherwise."""
    whole = Window(_START_US, _START_US + _DAYS * DAY_US, "UTC")
    week = Window(whole.end_us - 7 * DAY_US, whole.end_us, "UTC")

    half = Window(whole.end_us - 14 * DAY_US, whole.end_us, "UTC")

    def page(name: str) -> tuple[Condition, ...]:
        return (Condition(Field.PAGE, Comparison.IS, (name,)),)

    views = (Condition(Field.EVENT_TYPE, Comparison.IS, ("page_view",)),)
    steps = tuple(asked.Step(str(number), page(f"/page/{number}")) for number in range(5))
    daily = asked.Trend(whole, (), _EVERYBODY, asked.Measure.USERS, asked.Interval.DAY, Field.UNSPECIFIED, 5)
    return {
        "key figures, 7 days and before": asked.Kpis(week, (), _EVERYBODY, views),
        "users by day": daily,
        "retention": asked.Retention(
            whole, (), _EVERYBODY, (), (), asked.Interval.DAY, 7, asked.DayKind.CALENDAR, asked.CohortKind.FIRST_TIME
        ),
        "funnel of 5 steps": asked.Funnel(
            whole, (), _EVERYBODY, steps, asked.FunnelStart.ANY, 7 * 86_400, Field.UNSPECIFIED, 5
        ),
        "paths, 7 days": asked.Paths(week, views, _EVERYBODY, Field.PAGE, "", asked.Direction.FORWARD, 5, 8),
        "struggles, 7 days": asked.Struggles(week, (), _EVERYBODY, 50),
        "journey of one user": asked.Journey(whole, (), _EVERYBODY, "u-7", 500),
        "calibration": asked.Calibration(whole, (), _EVERYBODY, "", asked.Interval.WEEK, 7),
        "drift, 14 days and before": asked.Drift(half, (), _EVERYBODY, ""),
        "users at risk, 7 days": asked.Listing(week, (), _EVERYBODY, asked.ListKind.USERS_AT_RISK, None, 0, 100),
    }


async def main(folder: Path, event_count: int, user_count: int) -> None:
    """Measures and prints."""
    write(folder / "archive", event_count, user_count)
    place = Place((folder / "archive").as_uri(), str(folder / "copies"))
    async with working(1) as counting, working(1) as copying:
        copies = FolderCopies(copying, place)
        began = time.perf_counter()
        while await copies.bring_up():
            pass
        share = _size(folder / "copies") / _size(folder / "archive")
        print(f"copied in {time.perf_counter() - began:.1f} s; the copies have {share:.2f} of the archive's bytes")
        print(f"{'question':34} {'median ms':>10} {'p95 ms':>8} {'cached ms':>10} {'new tail ms':>12}")
        engine = DuckDb(counting, place.root, kill_seconds=60)
        for name, question in questions().items():
            times = []
            for _ in range(_ROUNDS):
                asking = Asking(copies, engine)
                began = time.perf_counter()
                await asking.ask("", question)
                times.append((time.perf_counter() - began) * 1e3)
            began = time.perf_counter()
            await asking.ask("", question)
            cached = (time.perf_counter() - began) * 1e3
            # The first one may have started the process.
            *_, p95 = sorted(times[1:])
            late = []
            for number in range(_TAILS):
                show(folder / "archive", number, event_count, user_count)
                late.append(await _with_new_tail(copies, engine, question))
            shutil.rmtree(folder / "archive" / "tail")
            await copies.bring_up(is_all=False)
            median, late_median = sorted(times)[_ROUNDS // 2], sorted(late)[_TAILS // 2]
            print(f"{name:34} {median:10.0f} {p95:8.0f} {cached:10.1f} {late_median:12.0f}")
        rss = max(child.memory_info().rss for child in psutil.Process().children(recursive=True))
        print(f"the largest process has {rss / 2**20:.0f} MiB")


async def _with_new_tail(copies: FolderCopies, engine: DuckDb, question: Question) -> float:
    """Milliseconds of a question that nobody has asked since the tail was replaced."""
    await copies.bring_up(is_all=False)
    began = time.perf_counter()
    await Asking(copies, engine).ask("", question)
    return (time.perf_counter() - began) * 1e3


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


if __name__ == "__main__":
    event_total, user_total = (int(each) for each in (*sys.argv[1:], "1000000", "50000")[:2])
    if len(sys.argv) == 2:
        user_total = event_total // 20
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made), event_total, user_total))
