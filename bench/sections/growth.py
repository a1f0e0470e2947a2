"""The mesh alone: whether it slows down with more users, what it keeps of each, and what more shards bring."""

import itertools
import tempfile
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from bench import store
from bench.harness import connections, plots, sides
from bench.harness.report import Bounded, Found, Ratio, Table
from bench.harness.sides import Side
from bench.sections import Scale, turns
from bench.sections.turns import Offered

_OFFERED: Final = Offered(turns.SATURATING, 100, 5)
_LOADERS: Final = 4
_LARGEST: Final = 100_000
_MILLION: Final = 1_000_000


def growth(scale: Scale) -> Found:
    """Throughput and store sizes at 10³, 10⁴, 10⁵ and, where asked for, 10⁶ users."""
    sizes = [1_000, 10_000] if scale.is_quick else [1_000, 10_000, _LARGEST]
    sizes += [_MILLION] if scale.has_million else []
    speeds, rows, figures = list[float](), list[list[str]](), dict[str, float]()
    with tempfile.TemporaryDirectory() as folder, sides.journeymesh(Path(folder)) as side:
        known, sent = 0, 0
        for size in sizes:
            sent += _fill(side, known, size)
            known = size
            found = turns.take({"mesh": side}, _OFFERED, scale.seconds, 1, size)
            measured = found.measured["mesh"]
            sent += sum(each.sent for each in measured)
            speeds.append(turns.taken(measured))
            per_user, ids, ledger = _kept(side, size, sent)
            memory = measured[-1].memory() / 2**20
            rows.append([f"{size:,}", f"{speeds[-1]:,.0f}", f"{turns.cpu(measured):,.0f}", f"{per_user:,.0f}"])
            rows[-1] += [f"{ids:,.0f}", f"{ledger:,.0f}", f"{memory:,.0f}"]
            figures.setdefault("bytes per user", per_user)
            figures |= {"bytes per event of ids": ids, "bytes per event of the ledger": ledger}
            figures |= {f"memory MiB at {size:,}": memory}
        figures |= _archived(Path(folder))
    columns = ("users", "taken/s", "CPU µs", "bytes per user", "ids", "ledger", "MiB")
    return Found(
        "Growth over users",
        "Every user is known before each row is measured. Bytes per user are of states: in the first row every user "
        "has their 20 last events, in the others fewer. Ids and ledger are in bytes per event, kept for a day or two; "
        "MiB are of all processes.",
        [Table("Growth over users", columns, rows)],
        [plots.lines("events per second over users", sizes, {"taken": speeds})],
        [
            Bounded(
                f"events/s at {sizes[-1]:,} users over those at {sizes[0]:,}",
                speeds[-1] / speeds[0],
                "x",
                0.8,
                more_is_better=True,
            ),
            Bounded("state of a user with 20 last events", figures["bytes per user"], "bytes", 4_000),
            Bounded(f"memory at {sizes[-1]:,} users under load", memory, "MiB", 1_229),
            Bounded("ids and ledger of an event", ids + ledger, "bytes", 150),
        ],
        figures,
    )


def shards(scale: Scale) -> Found:
    """The same load on 1, 2 and 4 shards, with as many dispatchers."""
    counts = (1, 2) if scale.is_quick else (1, 2, 4)
    rows, speeds = [], []
    for count in counts:
        settings = {"JOURNEYMESH_SHARD_COUNT": str(count), "JOURNEYMESH_DISPATCHER_COUNT": str(count)}
        with tempfile.TemporaryDirectory() as folder, sides.journeymesh(Path(folder), **settings) as side:
            turns.warm([side])
            measured = turns.take({"mesh": side}, _OFFERED, scale.seconds, 1).measured["mesh"]
        speeds.append(turns.taken(measured))
        rows.append([str(count), f"{speeds[-1]:,.0f}", f"{turns.cpu(measured):,.0f}"])
    return Found(
        "1, 2 and 4 shards",
        "As many dispatchers as shards. All share these cores, so that more shards can bring more only where one "
        "dispatcher is what limits.",
        [Table("Shards", ("shards", "taken/s", "CPU µs"), rows)],
        claims=[Ratio(f"events/s of {counts[-1]} shards over 1", speeds[-1] / speeds[0])],
    )


def _fill(side: Side, known: int, size: int) -> int:
    """Sends a few events of each user from `known` to `size`; returns their number."""
    if size <= known:
        return 0
    users = iter(range(known, size))
    kinds = ("page_view", "click", "feature_interaction")
    sent = itertools.count()
    event = (
        '{"eventId":"fill-%d-%d","userId":"user-%d","eventType":"%s",'
        '"properties":{"page":"/p","element":"e","feature":"f"}}'
    )

    def requests() -> list[bytes]:
        found = []
        for _ in range(30):
            user = next(users, None)
            if user is None:
                break
            found += [event % (user, number, user, kind) for number, kind in enumerate(kinds) if next(sent) >= 0]
        return [('{"events":[' + ",".join(found) + "]}").encode()] if found else []

    bodies = itertools.chain.from_iterable(iter(requests, []))
    posts = (connections.post("/api/events/track", body) for body in bodies)
    connections.saturate(side.url, posts, _LOADERS, 3_600)
    side.drain()
    return next(sent)


def _archived(folder: Path) -> dict[str, float]:
    """Archive bytes per archived event, including decisions; nothing if there is no file yet."""
    files = list(folder.rglob("*.parquet"))
    events = sum(pq.read_metadata(path).num_rows for path in files if "events" in path.relative_to(folder).as_posix())
    return {"archive bytes per event": sum(path.stat().st_size for path in files) / events} if events else {}


def _kept(side: Side, user_count: int, event_count: int) -> tuple[float, float, float]:
    """Bytes of the store per user, and per event for its id and for the ledger."""
    used = store.by_owner(side.store_port, side.store_password)
    ids = sum(size for owner, size in used.items() if store.is_id(owner))
    ledger = sum(size for owner, size in used.items() if store.is_ledger(owner))
    waiting = sum(size for owner, size in used.items() if store.is_waiting(owner))
    return (used.total() - ids - ledger - waiting) / user_count, ids / event_count, ledger / event_count
