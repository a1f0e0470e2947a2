"""Erasures: every step may be interrupted, before and after what it does; suppressed events pass nobody."""

import dataclasses
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from mesh.leases.port import ShardState
from records.table import of_events
from services.ingest.accept.adapters.memory import MemoryIdentities, MemorySkews
from services.ingest.accept.domain.acceptance import judge, refuse_erased
from services.ingest.accept.domain.holders import How, Span, read, written
from services.ingest.accept.domain.masking.kinds import ALL
from services.ingest.accept.domain.masking.tenants import Maskings
from services.ingest.accept.domain.skew import observe
from services.ingest.accept.domain.tidying import DEFAULT_RULES
from services.ingest.accept.ports import ShardStanding
from services.ingest.erasure.adapters.memory import MemoryErasures
from services.ingest.erasure.adapters.own import OwnRecords
from services.ingest.erasure.domain import person
from services.ingest.erasure.domain.erasure import SETTLED_US, Archived, Erasure, Signature, Step, receipt_hash
from services.ingest.erasure.ports import Service
from services.ingest.erasure.usecases import Erasing
from services.ingest.events.adapters.memory import MemoryFailedEvents, MemorySuppressions
from services.ingest.events.domain.event import FailedEvent
from services.ingest.events.domain.suppression import Suppression, pseudonym
from services.ingest.events.translation.records import Decoded, unsuppressed
from tests.builders import NOW_US, SECOND_US, event

SECRET = bytes(32)


def suppressing(*ids: str) -> Suppression:
    return Suppression(SECRET, frozenset(pseudonym(each, SECRET) for each in ids))


class Killed(BaseException):
    """The process ends here."""


@dataclasses.dataclass
class World:
    """One service, the audit log and the stream, which survive; a call may be the last of a process."""

    kept: dict[str, int] = dataclasses.field(default_factory=lambda: {"ada": 3, "a-1": 1, "bob": 2})
    acts: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    now_us: int = NOW_US
    lag_seconds: float = 0.0
    is_away: bool = False
    calls: int = 0
    last_call: int = 10**9

    def __post_init__(self) -> None:
        self.identities, self.erasures = MemoryIdentities(), MemoryErasures()
        self.suppressions = MemorySuppressions()

    def note(self) -> None:
        self.calls += 1
        if self.calls >= self.last_call:
            self.last_call = 10**9
            raise Killed

    async def standings(self) -> list[ShardStanding]:
        return [ShardStanding("dispatcher", "0", ShardState("d", 1, 5, self.lag_seconds))]

    async def count(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        self.note()
        if self.is_away:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "Away.")
        return {"service.users": sum(self.kept.get(each, 0) for each in user_ids)}

    async def erase(self, user_ids: Sequence[str], pseudonym: str) -> None:
        self.note()
        for each in user_ids:
            self.kept.pop(each, None)
            self.note()

    async def record(self, act: str, erasure_id: str, subject: str, time_us: int, *, is_user: bool) -> None:
        self.note()
        self.acts.setdefault((act, erasure_id), subject)
        self.note()

    async def sign(self, receipt_hash: str) -> Signature:
        self.note()
        return Signature(f"signed {receipt_hash}", "key")

    async def save(self, erasure: Erasure) -> None:
        self.note()
        await self.erasures.save(erasure)
        self.note()

    async def find(self, erasure_id: str) -> Erasure | None:
        return await self.erasures.find(erasure_id)

    async def unfinished(self) -> list[Erasure]:
        return await self.erasures.unfinished()

    async def archived(self, erasure_id: str) -> Archived:
        return await self.erasures.archived(erasure_id)

    async def save_archived(self, erasure_id: str, archived: Archived) -> None:
        self.note()
        await self.erasures.save_archived(erasure_id, archived)

    async def take_turn(self, work: str, owner: str, seconds: int) -> bool:
        return True

    def erasing(self) -> Erasing:
        """A process that works on erasures."""
        records = OwnRecords(self.identities, MemorySkews(), MemoryFailedEvents())
        services: list[Service] = [self, records]
        return Erasing(
            self, self.suppressions, records, services, self, self, self, lambda: self.now_us, bytes, has_archive=False
        )

    async def run(self) -> None:
        """A process takes steps until it is killed or there are none, while time passes."""
        for _ in range(20):
            for one in await self.unfinished():
                await self.erasing().advance(one)
            self.now_us += SECOND_US


@settings(deadline=None)
@given(stops=st.lists(st.integers(1, 30), max_size=6))
async def test_whatever_interrupts_it_an_erasure_ends_as_if_nothing_had(stops: list[int]) -> None:
    world = World()
    await world.identities.link({"a-1": "ada", "b-1": "bob"})
    begun = await world.erasing().create("ada")
    for stop in stops:
        world.last_call = world.calls + stop
        try:
            await world.run()
        except Killed:
            world.now_us += SECOND_US
    world.last_call = 10**9
    await world.run()

    done = await world.erasing().read(begun.id)
    assert done.step is Step.DONE
    assert (done.before, done.after) == (
        {"service.users": 4, "ingest.links": 1, "ingest.clocks": 0, "ingest.failedEvents": 0},
        {"service.users": 0, "ingest.links": 0, "ingest.clocks": 0, "ingest.failedEvents": 0},
    )
    assert world.kept == {"bob": 2}
    assert await world.identities.find(["a-1", "b-1"], NOW_US) == {"b-1": "bob"}
    assert (await world.suppressions.all()).among(["ada", "a-1", "bob"]) == {"ada", "a-1"}
    assert world.acts == {
        ("erasure.request", begun.id): "ada",
        ("erasure.receipt", begun.id): f"{begun.id} {receipt_hash(done.receipt)}",
    }
    assert done.user_ids == ()
    assert done.signature == (f"signed {receipt_hash(done.receipt)}", "key")


async def test_nothing_is_begun_that_cannot_be_recorded() -> None:
    world = World(last_call=1)
    with pytest.raises(Killed):
        await world.erasing().create("ada")
    assert await world.unfinished() == []
    assert (await world.suppressions.all()).pseudonyms == frozenset()


async def test_it_waits_until_the_dispatcher_is_beyond_what_was_accepted_before() -> None:
    world = World(lag_seconds=3600.0)
    begun = await world.erasing().create("ada")
    assert begun.step is Step.IDENTIFY
    await world.run()
    assert (await world.erasing().read(begun.id)).step is Step.DRAIN
    assert world.kept["ada"] == 3
    world.lag_seconds = 1.0  # what waits was accepted since, and is not the person's
    await world.run()
    assert (await world.erasing().read(begun.id)).step is Step.DONE


async def test_the_anonymous_ids_are_looked_for_once_nobody_links_any_more() -> None:
    world = World()
    begun = await world.erasing().create("ada")
    world.now_us += SETTLED_US - 1
    assert (await world.erasing().advance(begun)).step is Step.IDENTIFY
    await world.identities.link({"a-1": "ada"})
    world.now_us += 1
    assert (await world.erasing().advance(begun)).user_ids == ("a-1", "ada")


async def test_what_keeps_it_is_told_and_passes() -> None:
    world = World(is_away=True)
    begun = await world.erasing().create("ada")
    await world.run()
    kept = await world.erasing().read(begun.id)
    assert (kept.step, kept.trouble) == (Step.COUNT, "DEPENDENCY_UNAVAILABLE")
    world.is_away = False
    await world.run()
    assert (await world.erasing().read(begun.id)).trouble == ""


async def test_the_person_comes_back_only_when_somebody_says_so() -> None:
    world = World()
    begun = await world.erasing().create("ada")
    with pytest.raises(FailedPrecondition, match="ERASURE_UNFINISHED"):
        await world.erasing().end_suppression(begun.id)
    await world.run()
    for _ in range(2):
        await world.erasing().end_suppression(begun.id)
    assert (await world.suppressions.all()).pseudonyms == frozenset()
    assert (await world.erasing().read(begun.id)).receipt
    with pytest.raises(NotFound, match="ERASURE_NOT_FOUND"):
        await world.erasing().end_suppression("e_unknown")


@pytest.mark.parametrize("user_id", ["", "a" * 129, "a\nb"])
async def test_an_id_that_is_none_is_refused(user_id: str) -> None:
    with pytest.raises(InvalidArgument, match="INVALID_IDENTIFIER"):
        await World().erasing().create(user_id)


async def test_ingest_erases_links_clocks_and_failed_events_of_the_person_alone() -> None:
    records = OwnRecords(MemoryIdentities(), MemorySkews(), MemoryFailedEvents())
    left = written([Span(9, How.LINKED, "bob"), Span(5, How.LINKED, "ada")], "shared")
    await records.identities.link({"a-1": "ada", "shared": left, "b-1": "bob", "ada-2": "eve"})
    await records.skews.keep(dict.fromkeys(["u:ada", "d:phone\nada", "u:bob"], observe(None, NOW_US, NOW_US)))

    def failed(failed_id: str, user_id: str, payload: bytes) -> FailedEvent:
        return FailedEvent(failed_id, "INVALID_TIME", "", NOW_US, "e", user_id, payload, b"", "api")

    payloads = {"f-1": b"", "f-2": b'{"userId": "ada"}', "f-3": b'{"userId":"adam","page":"ada"}', "f-4": b"\xff"}
    await records.failed.add([failed(each, "ada" if each == "f-1" else "", said) for each, said in payloads.items()])

    ids = await records.ids_of(["ada"])
    assert ids == {"ada", "a-1"}
    assert await records.count([*ids]) == {"ingest.links": 2, "ingest.clocks": 2, "ingest.failedEvents": 2}
    for _ in range(2):
        await records.erase([*ids], "pseudonym")
    assert set((await records.count([*ids])).values()) == {0}
    links = await records.identities.find(["a-1", "shared", "b-1", "ada-2"], NOW_US)
    assert links.keys() == {"shared", "b-1", "ada-2"}
    assert read(links["shared"], "shared") == [Span(9, How.LINKED, "bob"), Span(5, How.REFUSED)]
    assert (await records.skews.find(["u:ada", "d:phone\nada", "u:bob"])).keys() == {"u:bob"}
    assert [each is not None for each in await records.failed.find([*payloads])] == [False, False, True, True]


_IDS = st.sampled_from(["ada", "bob", "a-1", "b-1"])


@given(links=st.dictionaries(st.sampled_from(["a-1", "b-1", "c-1"]), st.lists(_IDS, min_size=1, max_size=3)))
def test_no_link_that_stays_names_the_person(links: dict[str, list[str]]) -> None:
    kept = {
        anonymous_id: written([Span(9 - at, How.LINKED, user) for at, user in enumerate(users)], anonymous_id)
        for anonymous_id, users in links.items()
    }
    ids = person.ids_by(kept, {"ada"})
    named = {each: link for each, link in kept.items() if person.names(link, each, ids)}
    for anonymous_id, link in person.without(named, ids).items():
        assert not person.names(link, anonymous_id, ids)
        assert read(link, anonymous_id)[0] == read(kept[anonymous_id], anonymous_id)[0]


def test_events_of_the_person_are_refused_whatever_else_they_are() -> None:
    events = [
        event("e-1", user_id="ada"),
        event("e-1", user_id="ada"),
        event("e-2", user_id="a-1", anonymous_id="a-1"),
        event("e-3", user_id="ada", event_time_us=1),
        event("e-4", user_id="bob", anonymous_id="a-1"),
        event("e-5", user_id="bob", anonymous_id="b-1"),
    ]
    table = of_events(events)
    judged = refuse_erased(table, judge(table, NOW_US, DEFAULT_RULES, Maskings(ALL)), suppressing("ada", "a-1"))
    assert {row: each.reason for row, each in judged.rejected.items()} == dict.fromkeys(range(4), "USER_ERASED")
    assert (judged.fresh, judged.repeated) == ([4, 5], [])
    assert table.anonymous_id[4:] == ["", "b-1"]


def test_while_nobody_is_suppressed_a_batch_is_left_as_it_is() -> None:
    table = of_events([event("e-1", user_id="ada")])
    judged = judge(table, NOW_US, DEFAULT_RULES, Maskings(ALL))
    assert refuse_erased(table, judged, suppressing()) is judged
    record = Decoded(1, table)
    assert unsuppressed(record, suppressing()) is unsuppressed(record, suppressing("bob")) is record


def test_a_record_counts_without_the_person_and_without_journeys_that_end_at_the_person() -> None:
    events = [
        event("e-1", user_id="ada"),
        event("e-2", user_id="bob"),
        event("e-3", user_id="c-1", anonymous_id="c-1", linked_user_id="ada"),
    ]
    assert unsuppressed(Decoded(1, of_events(events)), suppressing("ada")).users == frozenset({"bob"})
