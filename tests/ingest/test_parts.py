"""A batch that cannot be applied at once is applied part by part: each event once, however it is cut or ends."""

import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journeymesh.features.v1 import features_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2

from mesh.errors import FailedPrecondition, InvalidArgument, Unavailable
from mesh.state import applied
from mesh.state.applied import Batch
from mesh.stream.port import BEGINNING
from records.table import of_events
from services.ingest.dispatch import parts
from services.ingest.dispatch.dispatcher import Limits
from services.ingest.events.adapters.event_log import StreamEventLog
from tests.builders import event
from tests.ingest import peers
from tests.ingest.harness import OWNER, Harness, running

ALL = "everybody"
"""A key that all users share, as the counts of a shard or of a video."""


class Keeping(peers.Steps):
    """Features and intervention keep the ids of events by user, and for all together, as the services keep state."""

    def __init__(self) -> None:
        super().__init__(self._judge)
        self.kept: dict[tuple[str, str], bytes] = {}
        self.ledger: dict[str, list[int]] = {}
        self.ids: dict[tuple[str, int], str] = {}
        """The ids of events by sequence number and index."""
        self.fails_at = "scoring"
        self.bad: set[str] = set()

    def _judge(self, step: str, request: Any) -> None:
        if step == self.fails_at and self.bad.intersection(request.user_ids):
            raise InvalidArgument("INVALID_PARAMETER", "It does not like it.")

    def _keep(self, step: str, position: Any, users: list[str], ids: list[str]) -> None:
        batch = applied.batch(position)
        keys = [*dict.fromkeys(users), ALL]
        resumed = {key: applied.resume(self.kept.get((step, key)), batch) for key in keys}
        after = {key: each.state for key, each in resumed.items()}
        for user, one in zip(users, ids, strict=True):
            after[user] += f"{one} ".encode()
            after[ALL] += f"{one} ".encode()
        self.kept.update({(step, key): applied.seal(resumed[key], after[key], batch) for key in keys})

    def of(self, step: str, user: str) -> list[str]:
        return applied.current(self.kept.get((step, user))).decode().split()

    async def ApplyEvents(self, request: Any, context: Any) -> features_pb2.ApplyEventsResponse:
        events = peers.applied_events(request)
        users, ids = [each.user_id for each in events], [each.event_id for each in events]
        self._keep("features", request.position, users, ids)
        return await super().ApplyEvents(request, context)

    async def DecideInterventions(self, request: Any, context: Any) -> Any:
        sequences = [request.position.sequences[record] for record in request.record_indexes]
        places = list(zip(sequences, request.event_indexes, strict=True))
        numbers = request.decisions or range(len(places))
        users = [request.user_ids[number] for number in numbers]
        self._keep("intervention", request.position, users, [self.ids[place] for place in places])
        answer = await super().DecideInterventions(request, context)
        if not request.position.is_retraction:
            of_record: dict[str, list[int]] = {}
            for sequence, index in places:
                of_record.setdefault(sequence, []).append(index)
            self.ledger.update(of_record)
        return answer

    async def ReadLedger(self, request: Any, context: Any) -> intervention_pb2.ReadLedgerResponse:
        return intervention_pb2.ReadLedgerResponse(
            records=[
                intervention_pb2.LedgerRecord(sequence=each, covered_event_indexes=self.ledger[each])
                for each in request.sequences
                if each in self.ledger
            ]
        )


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between tries."""
    once = (0.0,)
    monkeypatch.setattr(parts, "_PAUSE_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(parts, "_ONCE", once)


class Killed(BaseException):
    """The process ends here."""


@contextlib.asynccontextmanager
async def shard_of(*records: str) -> AsyncIterator[tuple[Harness, Keeping, str]]:
    """A harness with records of one shard, not yet applied: a letter is a user's event, `b` the bad user's."""
    steps = Keeping()  # type: ignore[abstract]
    async with running(steps) as harness:
        group = harness.stream.ordering_group("a")
        names = {letter: _name(harness, letter, group) for letter in set("".join(records))}
        steps.bad = {names.get("b", "b")}
        shard = ""
        for number, record in enumerate(records):
            events = [event(f"{one}{number}.{at}", names[one]) for at, one in enumerate(record)]
            ((shard, sequence, _),) = await StreamEventLog(harness.stream).append(of_events(events))
            for at, one in enumerate(record):
                steps.ids[str(sequence), at] = f"{one}{number}.{at}"
        yield harness, steps, shard


def _name(harness: Harness, letter: str, group: str) -> str:
    return next(
        name for name in (letter + str(number) for number in range(200)) if harness.stream.ordering_group(name) == group
    )


def expected(records: tuple[str, ...], letter: str) -> list[str]:
    return [
        f"{each}{number}.{index}"
        for number, record in enumerate(records)
        for index, each in enumerate(record)
        if each == letter
    ]


def assert_each_once(steps: Keeping, records: tuple[str, ...], *, is_mended: bool = False) -> None:
    for step in ("features", "intervention"):
        names = {user for kept, user in steps.kept if kept == step and user != ALL}
        for name in names:
            right = expected(records, name[0]) if name[0] != "b" or is_mended else []
            assert steps.of(step, name) == right, (step, name)
        counted = [
            one
            for number, record in enumerate(records)
            for index, letter in enumerate(record)
            if (is_mended or letter != "b") and (one := f"{letter}{number}.{index}")
        ]
        assert steps.of(step, ALL) == counted, step


async def failed_ids(harness: Harness) -> list[str]:
    listed, _ = await harness.failed.list(100, "")
    return sorted(one.event_id for one in listed)


async def lives(harness: Harness, shard: str, writes: int, most: int, tolerated: float = 1.0) -> bool:
    """One life of a dispatcher: ends before its write number `writes`; whether it came through before."""
    left = [writes]
    leases, failed, aside = harness.leases, harness.failed, harness.dispatcher.failed_records

    def dying(write: Any) -> Any:
        async def call(*args: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return await write(*args)

        return call

    class Dying:
        def __init__(self, port: Any, *names: str) -> None:
            self._port, self._names = port, names

        def __getattr__(self, name: str) -> Any:
            member = getattr(self._port, name)
            return dying(member) if name in self._names else member

    dispatcher = dataclasses.replace(
        harness.dispatcher,
        leases=Dying(leases, "save"),
        failed=Dying(failed, "add"),
        failed_records=Dying(aside, "add"),
        limits=Limits(most, 0, tolerated),
        failure_rates={},
    )
    lease = await leases.acquire(shard, OWNER)
    assert lease is not None
    try:
        await dispatcher.advance(lease, await leases.checkpoint(shard))
    except Killed:
        return False
    return True


STORIES = {
    "one user, one bad record": ("a", "a", "b", "a", "a", "a", "a", "a"),
    "two users, the bad one in the middle": ("a", "c", "a", "b", "a", "c", "c", "a", "c", "a"),
    "the bad one first": ("b", "a", "a", "a", "c", "a", "a"),
    "the bad one last": ("a", "c", "a", "a", "c", "a", "b"),
    "bad ones between": ("a", "b", "a", "b", "a", "a", "c", "b", "a", "a", "a"),
    "in one record with others": ("a", "acbcad", "a", "c", "a", "d", "a"),
}


@pytest.mark.parametrize("records", STORIES.values(), ids=STORIES)
@pytest.mark.parametrize("fails_at", ["scoring", "intervention"])
async def test_wherever_it_is_killed_every_event_is_applied_once(records: tuple[str, ...], fails_at: str) -> None:
    for writes in range(10):
        async with shard_of(*records) as (harness, steps, shard):
            steps.fails_at = fails_at
            await lives(harness, shard, writes, 100)
            for most in (3, 100, 100):
                await lives(harness, shard, 10_000, most)
            assert_each_once(steps, records)
            assert await failed_ids(harness) == sorted(expected(records, "b"))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.text("aaacccdb", min_size=1, max_size=4), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 20)), max_size=4),
)
async def test_any_cut_and_any_deaths_give_what_one_life_gives(
    records: list[str], deaths: list[tuple[int, int]]
) -> None:
    async with shard_of(*records, *["a"] * 9) as (harness, steps, shard):
        for writes, most in [*deaths, (10_000, 7), (10_000, 100), (10_000, 100)]:
            await lives(harness, shard, writes, most)
        assert_each_once(steps, (*records, *["a"] * 9))
        assert set(await failed_ids(harness)) == set(expected(tuple(records), "b"))


async def test_a_shard_that_pauses_has_applied_nothing_beyond_what_it_may_repeat() -> None:
    records = ("a", "b", "b", "c", "b", "b", "b", "b", "b", "b", "a")
    async with shard_of(*records) as (harness, steps, shard):
        with pytest.raises(Unavailable, match="Paused: "):
            await lives(harness, shard, 10_000, 100, tolerated=0.5)
        steps.bad = set()
        for _ in range(3):
            await lives(harness, shard, 10_000, 2)
        for name in ("a", "c"):
            assert steps.of("features", steps_name(steps, name)) == expected(records, name)
        failed = await failed_ids(harness)
        assert [*steps.of("features", steps_name(steps, "b")), *failed] == [
            *(one for one in expected(records, "b") if one not in failed),
            *failed,
        ]


def steps_name(steps: Keeping, letter: str) -> str:
    return next(user for _, user in steps.kept if user[0] == letter)


@pytest.mark.parametrize("checkpoint", ["as it was", "from the beginning"])
async def test_a_shard_that_an_older_version_left_half_applied_comes_free(checkpoint: str) -> None:
    """Halves were applied and a record taken back, then the process ended before any of it was reported."""
    records = ("a", "c", "b", "a", "a", "a", "c", "a")
    async with shard_of(*records) as (harness, steps, shard):
        read = await harness.stream.read(shard, BEGINNING, 100, 0)
        first, second, bad, *later = [record.sequence for record in read.records]
        group = harness.stream.ordering_group("a")

        def left(numbers: tuple[int, ...], sequences: list[int], *, is_taken_back: bool = False) -> None:
            at = Batch("events", shard, tuple(sequences))
            failed = [(_name(harness, records[number], group), f"{records[number]}{number}.0 ") for number in numbers]
            for step, key in itertools.product(("features", "intervention"), {*(user for user, _ in failed), ALL}):
                resumed = applied.resume(steps.kept.get((step, key)), at)
                new = b"" if is_taken_back else "".join(one for user, one in failed if key in {user, ALL}).encode()
                steps.kept[step, key] = applied.seal(resumed, resumed.state + new, at)
            steps.ledger.update({} if is_taken_back else {str(sequence): [0] for sequence in sequences})

        left((0, 1), [first, second])
        left((2,), [bad], is_taken_back=True)
        left((3, 4), later[:2])
        left((5,), later[2:3])
        if checkpoint == "as it was":
            lease = await harness.leases.acquire(shard, OWNER)
            assert lease is not None
            await harness.leases.save(lease, first - 1, 0.0)
        for _ in range(2):
            await lives(harness, shard, 10_000, 100)
        assert_each_once(steps, records)
        assert await failed_ids(harness) == ["b2.0"]


@pytest.mark.parametrize("most", [1, 3, 100])
async def test_a_shard_whose_leases_are_gone_goes_on_where_it_was(most: int) -> None:
    records = ("a", "ac", "b", "a", "cab", "a", "c", "a", "d")
    async with shard_of(*records) as (harness, steps, shard):
        await lives(harness, shard, 10_000, 2)
        harness.leases._standings.clear()
        for _ in range(3):
            await lives(harness, shard, 10_000, most)
        assert_each_once(steps, records)
        assert await failed_ids(harness) == sorted(expected(records, "b"))


async def test_who_has_lost_the_shard_sets_nothing_aside() -> None:
    async with shard_of("a", "b", "a") as (harness, _, shard):
        late = await harness.leases.acquire(shard, OWNER)
        assert late is not None
        assert await harness.leases.steal(shard, "another", late.epoch)
        with pytest.raises(FailedPrecondition, match="LEASE_LOST"):
            await harness.dispatcher.advance(late, BEGINNING)
        assert await failed_ids(harness) == []


OTHERS = {
    "one bad user among forty": "b" + "acdefghijk" * 4,
    "its events between theirs": "abcbdb",
    "last": "acdb",
    "two users": "ab",
}


@pytest.mark.parametrize("record", OTHERS.values(), ids=OTHERS)
async def test_the_others_of_a_request_are_served(record: str) -> None:
    async with shard_of("a", record, "a") as (harness, steps, shard):
        assert await lives(harness, shard, 10_000, 100)
        assert_each_once(steps, ("a", record, "a"))
        assert await failed_ids(harness) == sorted(expected(("a", record), "b"))
        bad = await harness.failed.list(1, "")
        assert bad[0][0].position is not None
        receipt = await harness.stub.GetReceipt(ingest_pb2.GetReceiptRequest(event_id=bad[0][0].event_id))
        assert receipt.receipt.state == ingest_pb2.RECEIPT_STATE_FAILED
