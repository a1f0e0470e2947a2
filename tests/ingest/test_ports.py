"""Ingest's ports: one suite over memory and Redis."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from mesh.errors import InvalidArgument, Unavailable
from mesh.store import redis
from mesh.stream.port import END
from records.tenants import qualified
from services.ingest.accept.adapters.memory import MemoryDuplicates, MemoryIdentities, MemorySkews
from services.ingest.accept.adapters.redis import RedisDuplicates, RedisIdentities, RedisSkews
from services.ingest.accept.domain.skew import observe
from services.ingest.accept.ports import Duplicates, Identities, Skews
from services.ingest.erasure.adapters.memory import MemoryErasures
from services.ingest.erasure.adapters.redis import RedisErasures
from services.ingest.erasure.domain.erasure import Archived, Erasure, Rewritten, Step
from services.ingest.erasure.ports import Erasures
from services.ingest.events.adapters import redis_seen
from services.ingest.events.adapters.memory import (
    MemoryApplied,
    MemoryFailedEvents,
    MemoryFailedRecords,
    MemorySeenEvents,
    MemorySuppressions,
)
from services.ingest.events.adapters.redis_applied import RedisApplied
from services.ingest.events.adapters.redis_failed import RedisFailedEvents, RedisFailedRecords
from services.ingest.events.adapters.redis_seen import RedisSeenEvents
from services.ingest.events.adapters.redis_suppressed import RedisSuppressions
from services.ingest.events.domain.event import EventPosition, FailedEvent, Seen
from services.ingest.events.domain.suppression import pseudonym
from services.ingest.events.ports import (
    AppendedEvents,
    Applied,
    Claim,
    FailedEvents,
    FailedRecords,
    SeenEvents,
    Suppressions,
)
from services.ingest.export.adapters.memory import MemoryExports
from services.ingest.export.adapters.redis import RedisExports
from services.ingest.export.domain import export as exporting
from services.ingest.export.domain.export import Export, Part
from services.ingest.export.ports import Exports
from services.ingest.retention.adapters.memory import MemoryPasses
from services.ingest.retention.adapters.redis import RedisPasses
from services.ingest.retention.ports import Passes
from tests.builders import NOW_US, SECOND_US
from tests.cluster import stored

DAY_US = 24 * 3600 * 1_000_000


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["memory", "redis", "redis without HSETEX"])
async def seen_events(
    request: pytest.FixtureRequest, valkey: redis.Client, monkeypatch: pytest.MonkeyPatch
) -> SeenEvents:
    if request.param == "redis without HSETEX":
        older = redis.Script(redis_seen._REMEMBER._text.replace("HSETEX", "HUNKNOWN"))
        monkeypatch.setattr(redis_seen, "_REMEMBER", older)
    return MemorySeenEvents() if request.param == "memory" else RedisSeenEvents(valkey)


@pytest.fixture
async def failed_events(store: str, valkey: redis.Client) -> FailedEvents:
    return MemoryFailedEvents(most_refused=20) if store == "memory" else RedisFailedEvents(valkey, most_refused=20)


@pytest.fixture
async def failed_records(store: str, valkey: redis.Client) -> FailedRecords:
    return MemoryFailedRecords() if store == "memory" else RedisFailedRecords(valkey)


@pytest.fixture
async def duplicates(store: str, valkey: redis.Client) -> Duplicates:
    return MemoryDuplicates() if store == "memory" else RedisDuplicates(valkey)


@pytest.fixture
async def skews(store: str, valkey: redis.Client) -> Skews:
    return MemorySkews() if store == "memory" else RedisSkews(valkey)


@pytest.fixture
async def identities(store: str, valkey: redis.Client) -> Identities:
    return MemoryIdentities() if store == "memory" else RedisIdentities(valkey)


@pytest.fixture
async def applied(store: str, valkey: redis.Client) -> Applied:
    return MemoryApplied() if store == "memory" else RedisApplied(valkey, period_seconds=0.01)


def seen(sequence: int, received_time_us: int = NOW_US, event_index: int = 7) -> Seen:
    return Seen(EventPosition("3", sequence, event_index), received_time_us, bytes(range(16)))


def appended(
    sequence: int, ids: Sequence[str], indexes: Sequence[int] = (), received_us: int = NOW_US
) -> AppendedEvents:
    """Events of a record of shard 3, from its first on where no indexes are given."""
    its = indexes or range(len(ids))
    return AppendedEvents("3", sequence, ids, its, [received_us] * len(ids), [bytes(range(16))] * len(ids))


def position(sequence: int, event_index: int) -> Seen:
    return seen(sequence, event_index=event_index)


async def test_remembering_nothing_changes_nothing(seen_events: SeenEvents) -> None:
    assert await seen_events.remember([]) == set()
    assert await seen_events.find(["a"], NOW_US) == [None]
    assert await seen_events.clean("3", {}) == set()


async def test_the_first_claim_wins_for_good(seen_events: SeenEvents) -> None:
    first, second = seen(2**180), seen(2**181)
    assert await seen_events.claim([Claim("a", first), Claim("b", second)]) == [first, second]
    assert await seen_events.claim([Claim("a", second), Claim("b", second), Claim("c", first)]) == [
        first,
        second,
        first,
    ]
    assert await seen_events.find(["c", "x", "a"], NOW_US) == [first, None, first]
    assert await seen_events.find([], NOW_US) == []
    assert await seen_events.claim([]) == []


@pytest.mark.parametrize("apart_us", [-DAY_US, -1, 0, 1, DAY_US])
async def test_copies_around_midnight_meet(seen_events: SeenEvents, apart_us: int) -> None:
    midnight_us = NOW_US // DAY_US * DAY_US
    first, copy = seen(1, midnight_us), seen(2, midnight_us + apart_us)
    await seen_events.claim([Claim("a", first)])
    assert await seen_events.claim([Claim("a", copy)]) == [first]


async def test_what_is_remembered_is_found_and_never_replaces_a_claim(seen_events: SeenEvents) -> None:
    await seen_events.claim([Claim("a", seen(1))])
    assert await seen_events.remember([appended(2, ["a", "b"]), appended(2**180, ["ü"])]) == {"a"}
    assert await seen_events.remember([appended(5, ["b", "ü", "c"])]) == {"b", "ü"}
    assert await seen_events.find(["a", "b", "ü", "c"], NOW_US) == [
        seen(1),
        position(2, 1),
        position(2**180, 0),
        position(5, 2),
    ]
    assert await seen_events.claim([Claim("b", seen(6))]) == [position(2, 1)]


async def test_a_record_is_clean_where_all_its_events_stand_there(seen_events: SeenEvents) -> None:
    many = [f"e-{number}" for number in range(2_500)]
    await seen_events.remember([appended(1, ["a"])])
    assert await seen_events.remember([appended(2**70, ["a", "b", "c"]), appended(2**180, many)]) == {"a"}
    records = {1: 1, 2**70: 3, 2**180: 2_500}
    assert await seen_events.clean("3", records) == {1, 2**180}
    assert await seen_events.clean("3", {1: 2, 7: 1}) == set()
    assert await seen_events.clean("4", records) == set()
    await seen_events.forget_records("3", 2**180 - 1)
    assert await seen_events.clean("3", records) == {2**180}
    assert await seen_events.find(["a"], NOW_US) == [position(1, 0)]


async def test_remembering_again_or_after_a_claim_of_the_place_changes_nothing(seen_events: SeenEvents) -> None:
    await seen_events.claim([Claim("b", position(1, 1))])
    for _ in range(2):
        assert await seen_events.remember([appended(1, ["a", "b"])]) == set()
        assert await seen_events.clean("3", {1: 2}) == {1}


async def test_a_record_told_in_parts_is_clean_once_it_is_told_whole(seen_events: SeenEvents) -> None:
    ids = [f"e-{number}" for number in range(20)]
    whole = appended(1, ids)
    assert await seen_events.remember([whole.without(ids[7:])]) == set()
    assert await seen_events.clean("3", {1: 20}) == set()
    assert await seen_events.remember([whole]) == set()
    assert await seen_events.clean("3", {1: 20}) == {1}


async def test_a_record_is_not_clean_any_more_where_an_event_of_it_is_released(seen_events: SeenEvents) -> None:
    await seen_events.remember([appended(1, ["a", "b", "c"]), appended(2, ["d"])])
    await seen_events.release(Claim("b", position(1, 1)))
    assert await seen_events.clean("3", {1: 3, 2: 1}) == {2}


@pytest.mark.parametrize("apart_us", [-DAY_US, -1, 0, 1, DAY_US])
async def test_a_copy_around_midnight_is_known_when_it_is_remembered(seen_events: SeenEvents, apart_us: int) -> None:
    midnight_us = NOW_US // DAY_US * DAY_US
    await seen_events.remember([appended(1, ["a", "b"], received_us=midnight_us)])
    assert await seen_events.remember([appended(2, ["b", "c"], received_us=midnight_us + apart_us)]) == {"b"}
    assert await seen_events.clean("3", {1: 2, 2: 2}) == {1}


async def test_only_the_latest_records_are_known_to_be_clean(valkey: redis.Client) -> None:
    seen_events = RedisSeenEvents(valkey, most_records=5)
    for sequence in range(20):
        # So many that each slot has some of every record.
        await seen_events.remember([appended(sequence, [f"{number}-{sequence}" for number in range(200)])])
    assert await seen_events.clean("3", dict.fromkeys(range(20), 200)) == set(range(15, 20))


async def test_claims_at_the_same_time_have_one_winner(seen_events: SeenEvents) -> None:
    claims = [[Claim(f"e-{number}", seen(sequence)) for number in range(50)] for sequence in range(8)]
    owners = await asyncio.gather(*map(seen_events.claim, claims))
    assert all(answer == owners[0] for answer in owners)


async def test_an_id_is_known_a_day_later(seen_events: SeenEvents) -> None:
    await seen_events.claim([Claim("a", seen(1))])
    assert await seen_events.find(["a"], NOW_US + DAY_US) == [seen(1)]


def failed(number: int) -> FailedEvent:
    return FailedEvent(f"f-{number}", "MISSING_FIELD", "No user.", NOW_US + number, "e", "u", b"\xff{", b"t", "gateway")


async def test_failed_events_are_listed_newest_first_page_by_page(failed_events: FailedEvents) -> None:
    await failed_events.add([failed(number) for number in range(5)])
    first, token = await failed_events.list(2, "")
    second, token = await failed_events.list(2, token)
    third, end = await failed_events.list(2, token)
    assert [*first, *second, *third] == [failed(number) for number in (4, 3, 2, 1, 0)]
    assert end == ""
    with pytest.raises(InvalidArgument):
        await failed_events.list(2, "x")


async def test_a_failed_event_is_found_replaced_and_removed(failed_events: FailedEvents) -> None:
    await failed_events.add([failed(1)])
    await failed_events.add([failed(1)._replace(detail="Again.")])
    assert await failed_events.find(["f-1", "f-2"]) == [failed(1)._replace(detail="Again."), None]
    await failed_events.remove("f-1")
    await failed_events.remove("f-1")
    assert await failed_events.list(10, "") == ([], "")


async def test_only_what_is_remembered_just_so_is_released(seen_events: SeenEvents) -> None:
    await seen_events.claim([Claim("a", seen(2**180)), Claim("b", seen(2))])
    await seen_events.release(Claim("a", seen(2**180, event_index=8)))
    await seen_events.release(Claim("a", seen(2**180)))
    await seen_events.release(Claim("a", seen(2**180)))
    assert await seen_events.find(["a", "b"], NOW_US) == [None, seen(2)]
    assert await seen_events.claim([Claim("a", seen(3))]) == [seen(3)]


async def test_a_place_of_any_size_is_kept_with_a_failed_event(failed_events: FailedEvents) -> None:
    appended = failed(1)._replace(position=EventPosition("shardId-000000000001", 2**186 + 1, 7))
    await failed_events.add([appended, failed(2)])
    assert await failed_events.find(["f-1", "f-2"]) == [appended, failed(2)]


async def test_the_record_of_what_was_set_aside_is_kept_and_goes_with_it(
    failed_events: FailedEvents, valkey: redis.Client
) -> None:
    appended = failed(1)._replace(position=EventPosition("0", 7, 0), record=b"\x00\xff" * 20_000)
    await failed_events.add([appended, failed(2)])
    assert await failed_events.find(["f-1", "f-2"]) == [appended, failed(2)]
    assert (await failed_events.list(10, ""))[0] == [failed(2), appended]
    await failed_events.strike_off(appended)
    await failed_events.remove("f-2")
    assert await failed_events.find(["f-1"]) == [None]
    assert await stored(valkey) == []


async def test_failed_events_are_listed_by_reason_and_move_with_it(failed_events: FailedEvents) -> None:
    poison = [failed(number)._replace(reason="POISON") for number in (1, 3)]
    await failed_events.add([poison[0], failed(2), poison[1], failed(4)])
    first, token = await failed_events.list(1, "", "POISON")
    assert (first, bool(token)) == ([poison[1]], True)
    assert await failed_events.list(1, token, "POISON") == ([poison[0]], "")
    assert await failed_events.list(10, "", "MISSING_FIELD") == ([failed(4), failed(2)], "")
    await failed_events.add([poison[0]._replace(reason="MISSING_FIELD", failed_time_us=NOW_US + 9)])
    assert await failed_events.list(10, "", "POISON") == ([poison[1]], "")
    assert [one.id for one in (await failed_events.list(10, "", "MISSING_FIELD"))[0]] == ["f-1", "f-4", "f-2"]
    assert await failed_events.list(10, "", "INTERNAL") == ([], "")


async def test_only_what_failed_just_so_is_struck_off(failed_events: FailedEvents) -> None:
    await failed_events.add([failed(1)])
    await failed_events.strike_off(failed(1)._replace(position=EventPosition("3", 2**180, 0)))
    assert await failed_events.find(["f-1"]) == [failed(1)]
    await failed_events.strike_off(failed(1))
    await failed_events.strike_off(failed(1))
    assert await failed_events.list(10, "") == ([], "")


async def test_only_the_latest_failed_events_are_kept(failed_events: FailedEvents) -> None:
    for number in range(30):
        await failed_events.add([failed(number)._replace(reason="POISON" if number % 2 else "INTERNAL")])
    assert [one.id for one in (await failed_events.list(100, ""))[0]] == [f"f-{number}" for number in range(29, 9, -1)]
    assert len((await failed_events.list(100, "", "POISON"))[0]) == 10
    assert await failed_events.find(["f-9"]) == [None]


async def test_nothing_is_left_of_what_is_no_longer_kept(server: redis.Client) -> None:
    kept = RedisFailedEvents(server, most_refused=20)
    await kept.add([failed(number) for number in range(50)])
    assert len(await server.keys("*:e:*")) == 20
    for number in range(50):
        await kept.remove(f"f-{number}")
    assert await server.keys("*") == []


async def test_records_are_marked_found_and_forgotten_by_shard(failed_records: FailedRecords) -> None:
    await failed_records.add("0", [5, 2**186, 70])
    await failed_records.add("0", [5])
    await failed_records.add("1", [6])
    await failed_records.add("1", [])
    assert await failed_records.find("0", [5, 6, 70, 2**186]) == {5, 70, 2**186}
    assert await failed_records.find("1", [5, 6]) == {6}
    assert await failed_records.find("2", [5]) == await failed_records.find("0", []) == set()
    await failed_records.forget("0", 70)
    await failed_records.forget("0", -1)
    assert await failed_records.find("0", [5, 70, 2**186]) == {2**186}
    assert await failed_records.find("1", [6]) == {6}


async def test_duplicates_are_counted_over_midnight(duplicates: Duplicates) -> None:
    assert await duplicates.count("a", NOW_US) == 0
    await duplicates.add(["a", "b", "a"], NOW_US)
    await duplicates.add(["a"], NOW_US + DAY_US)
    assert await duplicates.count("a", NOW_US + DAY_US) == 3
    assert await duplicates.count("b", NOW_US + DAY_US) == 1


async def test_clocks_are_kept_and_replaced(skews: Skews) -> None:
    first, second = observe(None, NOW_US, NOW_US - 5), observe(None, NOW_US, 0)
    await skews.keep({"d:1": first, "a:2": second})
    await skews.keep({"d:1": second})
    await skews.keep({})
    assert await skews.find(["d:1", "d:3", "a:2"]) == {"d:1": second, "a:2": second}
    assert await skews.find([]) == {}


async def test_links_are_kept_and_the_latest_counts(identities: Identities) -> None:
    await identities.link({"a": "ada", "ü": "ユーザー", "left": "ada"})
    await identities.link({"a": "bob", "left": "left\nada"})
    assert await identities.find(["a", "x", "ü", "left"], NOW_US) == {"a": "bob", "ü": "ユーザー", "left": "left\nada"}
    assert await identities.find([], NOW_US) == {}


async def test_a_link_in_use_lives_on_and_each_use_of_a_day_but_the_first_costs_nothing(valkey: redis.Client) -> None:
    identities, key = RedisIdentities(valkey), f"jm:link:{{{redis.partition('a')}}}:a"
    await identities.link({"a": "ada"})
    for now_us, lives_on in ((NOW_US, True), (NOW_US + 1, False), (NOW_US + DAY_US, True)):
        await valkey.expire(key, 100)
        assert await identities.find(["a"], now_us) == {"a": "ada"}
        assert (await valkey.ttl(key) > 100) == lives_on


async def written(applied: Applied) -> None:
    """Returns once what was noted is written, which happens in the background."""
    if isinstance(applied, RedisApplied):
        assert applied._writing is not None
        await applied._writing


async def test_the_time_is_that_of_the_first_checkpoint_that_reaches_it(applied: Applied) -> None:
    assert await applied.find("0", 3, NOW_US) is None
    for sequence, seconds in ((5, 0), (2**64, 5), (2**186, 10), (END, 15)):
        await applied.note("0", sequence, NOW_US + seconds * SECOND_US)
        await written(applied)
    for sequence, seconds in ((0, 0), (5, 0), (6, 5), (255, 5), (256, 5), (2**64 + 1, 10), (2**186 + 1, 15)):
        assert await applied.find("0", sequence, NOW_US) == NOW_US + seconds * SECOND_US
    assert await applied.find("1", 0, NOW_US) is None


async def test_a_time_noted_twice_or_the_day_before_is_the_first(applied: Applied) -> None:
    midnight_us = NOW_US // DAY_US * DAY_US
    await applied.note("0", 5, midnight_us - 1)
    await written(applied)
    await applied.note("0", 5, midnight_us + 1)
    await applied.note("0", 6, midnight_us + 2)
    await written(applied)
    assert await applied.find("0", 4, midnight_us + 3) == midnight_us - 1


async def test_what_is_noted_in_a_rush_is_written_as_one_and_nothing_after_it_is_forgotten(
    server: redis.Client,
) -> None:
    applied = RedisApplied(server, period_seconds=0.02)
    for sequence in range(100):
        await applied.note("0", sequence, NOW_US + sequence)
    await written(applied)
    assert await applied.find("0", 99, NOW_US) == NOW_US + 99
    (key,) = await server.keys("jm:applied:*")
    assert await server.zcard(key) <= 2


async def test_times_outlast_a_store_that_is_away(valkey: redis.Client) -> None:
    away = redis.connect("redis://127.0.0.1:1/0")
    applied = RedisApplied(away, period_seconds=0.01)
    await applied.note("0", 5, NOW_US)
    with pytest.raises(Unavailable):
        await applied.find("0", 5, NOW_US)
    assert applied._writing is not None
    applied._client = valkey
    await written(applied)
    assert await applied.find("0", 5, NOW_US) == NOW_US
    await away.aclose()


async def test_what_was_accepted_is_kept_however_much_is_refused(failed_events: FailedEvents) -> None:
    await failed_events.add([failed(0)._replace(position=EventPosition("0", 7, 0))])
    await failed_events.add([failed(number) for number in range(1, 60)])
    listed, _ = await failed_events.list(100, "")
    assert [one.id for one in listed] == [*(f"f-{number}" for number in range(59, 39, -1)), "f-0"]


async def test_there_is_room_for_so_many_that_were_accepted(store: str, valkey: redis.Client) -> None:
    kept: FailedEvents = (
        MemoryFailedEvents(most_failed=3) if store == "memory" else RedisFailedEvents(valkey, most_failed=3)
    )
    assert await kept.has_room(3)
    assert not await kept.has_room(4)
    await kept.add([failed(number)._replace(position=EventPosition("0", number, 0)) for number in range(3)])
    await kept.add([failed(number) for number in range(10, 20)])
    assert not await kept.has_room(1)
    await kept.remove("f-1")
    assert await kept.has_room(1)


async def test_a_tenant_with_half_of_that_room_is_known_and_loses_nothing(store: str, valkey: redis.Client) -> None:
    kept: FailedEvents = (
        MemoryFailedEvents(most_failed=6) if store == "memory" else RedisFailedEvents(valkey, most_failed=6)
    )

    def of(tenant: str, number: int) -> FailedEvent:
        position = EventPosition("0", number, 0)
        return failed(number)._replace(user_id=qualified(tenant, "ada"), position=position)

    await kept.add([of("acme", 1), of("acme", 2), of("", 3), of("", 4), of("", 5)])
    await kept.add([failed(number)._replace(user_id=qualified("globex", "ada")) for number in range(10, 15)])
    await kept.add([of("acme", 2)])
    assert await kept.full_tenants() == set()
    await kept.add([of("acme", 6)])
    assert await kept.full_tenants() == {"acme"}
    await kept.add([of("acme", 7)])
    assert None not in await kept.find(["f-1", "f-2", "f-6", "f-7"])
    await kept.remove("f-1")
    await kept.strike_off(of("acme", 2))
    assert await kept.full_tenants() == set()


async def keep_as_before(valkey: redis.Client, kept: Sequence[FailedEvent], most: int) -> None:
    """Keeps failed events as the version before does: of all there are the latest, in one index, without sizes."""
    prefix, index = "jm:failed:{failed}:", "jm:failed:{failed}:index"
    for one in kept:
        position = one.position and (one.position.shard, str(one.position.sequence), one.position.event_index)
        await valkey.set(f"{prefix}e:{one.id}", msgspec.msgpack.encode(((*one[:9], None), position)))
        await valkey.hset(f"{prefix}reasons", one.id, one.reason)
        for name in (index, f"{index}:{one.reason}"):
            await valkey.zadd(name, {one.id: one.failed_time_us})
    oldest: Any = await valkey.zrange(index, 0, -most - 1)
    for failed_id in map(bytes.decode, oldest):
        reason: Any = await valkey.hget(f"{prefix}reasons", failed_id)
        await valkey.delete(f"{prefix}e:{failed_id}")
        await valkey.zrem(index, failed_id)
        await valkey.zrem(f"{index}:{reason.decode()}", failed_id)
        await valkey.hdel(f"{prefix}reasons", failed_id)


async def test_what_the_version_before_refused_takes_no_room_and_makes_room(valkey: redis.Client) -> None:
    await keep_as_before(valkey, [failed(number) for number in range(20)], 20)
    kept = RedisFailedEvents(valkey, most_refused=20, most_failed=20)
    assert await kept.has_room(20)
    assert len((await kept.list(100, ""))[0]) == 20
    await kept.add([failed(number) for number in range(100, 115)])
    listed, _ = await kept.list(100, "")
    assert [one.id for one in listed] == [f"f-{number}" for number in (*range(114, 99, -1), *range(19, 14, -1))]


@pytest.mark.parametrize("event_index", [0, 7, 192, 0x01C0, 4_999])
async def test_what_the_version_before_set_aside_makes_no_room(valkey: redis.Client, event_index: int) -> None:
    accepted = failed(0)._replace(reason="POISON", position=EventPosition("0", 7, event_index))
    await keep_as_before(valkey, [accepted, *(failed(number) for number in range(1, 10))], 20)
    kept = RedisFailedEvents(valkey, most_refused=5, most_failed=1)
    await kept.add([failed(number) for number in range(100, 130)])
    assert await kept.find(["f-0"]) == [accepted]
    assert (await kept.list(100, "", "POISON"))[0] == [accepted]
    assert len((await kept.list(100, ""))[0]) == 6
    assert not await kept.has_room(1)
    await kept.strike_off(accepted)
    assert await kept.has_room(1)


async def test_beside_the_version_before_nothing_accepted_is_pushed_out(valkey: redis.Client) -> None:
    kept = RedisFailedEvents(valkey, most_refused=20, most_failed=20, refused_bytes=20_000)
    accepted = failed(0)._replace(reason="POISON", position=EventPosition("0", 7, 0))
    await kept.add([accepted])
    for turn in range(1, 11):
        await kept.add([failed(turn * 100 + number)._replace(payload=b"x" * 900) for number in range(20)])
        await keep_as_before(valkey, [failed(turn * 100 + 50 + number) for number in range(20)], 20)
    assert await kept.find(["f-0"]) == [accepted]
    assert await kept.has_room(19)
    # What the other cut off is not counted for good.
    await kept.add([failed(2_000 + number)._replace(payload=b"x" * 800) for number in range(20)])
    assert len((await kept.list(100, ""))[0]) == 21


async def test_both_kinds_are_listed_in_one_order_page_by_page(failed_events: FailedEvents) -> None:
    mixed = [
        failed(number)._replace(position=EventPosition("0", number, 0) if number % 3 else None) for number in range(11)
    ]
    await failed_events.add(mixed)
    listed: list[FailedEvent] = []
    token = ""
    while len(listed) < 11:
        page, token = await failed_events.list(2, token)
        listed += page
    assert (listed, token) == (mixed[::-1], "")


@pytest.mark.parametrize(("size", "most"), [(1, 100), (5_000, 100), (40_000, 20), (600_000, 10)])
async def test_a_page_of_large_events_is_shorter_and_none_is_left_out(
    failed_events: FailedEvents, size: int, most: int
) -> None:
    large = [failed(number)._replace(payload=b"x" * size) for number in range(20)]
    large += [
        failed(20 + number)._replace(position=EventPosition("0", number, 0), record=b"y" * size) for number in range(10)
    ]
    await failed_events.add(large)
    listed: list[FailedEvent] = []
    token, pages = "", 0
    while token or not pages:
        page, token = await failed_events.list(100, token)
        assert 0 < len(page) <= most
        listed += page
        pages += 1
    assert listed == large[::-1]
    assert (pages == 1) == (most == 100)


async def test_refused_events_are_kept_up_to_a_size(store: str, valkey: redis.Client) -> None:
    kept: FailedEvents = (
        MemoryFailedEvents(refused_bytes=5_000) if store == "memory" else RedisFailedEvents(valkey, refused_bytes=5_000)
    )
    for number in range(20):
        await kept.add([failed(number)._replace(payload=b"x" * 1_000)])
        await kept.add([failed(number)._replace(payload=b"y" * 1_000)])
    assert [one.id for one in (await kept.list(100, ""))[0]] == ["f-19", "f-18", "f-17", "f-16"]


def of_tenant(tenant: str, number: int, size: int = 10) -> FailedEvent:
    name = f"{tenant}-{number}"
    return failed(number)._replace(id=name, user_id=qualified(tenant, ""), payload=b"x" * size)


async def test_a_tenant_pushes_out_its_own_refused_events_beyond_half_of_the_room(failed_events: FailedEvents) -> None:
    await failed_events.add([of_tenant("globex", 0), failed(0)])
    for turn in range(10):
        await failed_events.add([of_tenant("acme", turn * 10 + number) for number in range(10)])
    kept = [one.id for one in (await failed_events.list(100, ""))[0]]
    assert sorted(kept) == sorted(["globex-0", "f-0", *(f"acme-{number}" for number in range(90, 100))])
    await failed_events.remove("acme-95")
    await failed_events.add([of_tenant("acme", 100)])
    assert len((await failed_events.list(100, ""))[0]) == 12
    await failed_events.add([failed(number) for number in range(200, 230)])  # the default tenant's may fill everything
    assert {one.id for one in (await failed_events.list(100, ""))[0]} == {f"f-{number}" for number in range(210, 230)}
    await failed_events.add([of_tenant("acme", 300)])
    assert len((await failed_events.list(100, ""))[0]) == 20


async def test_a_tenant_fills_at_most_half_of_the_bytes(store: str, valkey: redis.Client) -> None:
    kept: FailedEvents = (
        MemoryFailedEvents(refused_bytes=10_000)
        if store == "memory"
        else RedisFailedEvents(valkey, refused_bytes=10_000)
    )
    await kept.add([failed(0)._replace(payload=b"y" * 1_000)])
    for number in range(20):
        await kept.add([of_tenant("acme", number, 1_000)])
        await kept.add([of_tenant("acme", number, 1_000)])
    assert [one.id for one in (await kept.list(100, ""))[0]] == ["acme-19", "acme-18", "acme-17", "acme-16", "f-0"]
    await kept.add([of_tenant("acme", 30, 6_000)])  # more than its share
    assert [one.id for one in (await kept.list(100, ""))[0]] == ["f-0"]
    await kept.add([of_tenant("acme", 31, 1_000)])
    assert [one.id for one in (await kept.list(100, ""))[0]] == ["acme-31", "f-0"]


@pytest.mark.parametrize("token", ["\u00b2", "1" * 19, "-1", "+1", " 1", "0", "01", "x", "1_0"])
async def test_a_page_token_that_was_never_given_out_is_refused(failed_events: FailedEvents, token: str) -> None:
    with pytest.raises(InvalidArgument):
        await failed_events.list(10, token)


async def test_all_links_are_found_and_forgotten(identities: Identities) -> None:
    links = {f"a-{number}": f"user-{number}" for number in range(30)}
    await identities.link(links)
    found = {anonymous_id: link async for some in identities.scan() for anonymous_id, link in some.items()}
    assert found == links
    await identities.unlink(["a-1", "unknown"])
    assert await identities.find(["a-1", "a-2"], NOW_US) == {"a-2": "user-2"}
    await identities.unlink([])


async def test_clocks_are_found_by_user_and_forgotten(skews: Skews) -> None:
    skew = observe(None, NOW_US, NOW_US)
    devices = ["u:ada", "d:phone\nada", "a:anonymous\nada", "u:ada-2", "d:ada\nbob"]
    await skews.keep(dict.fromkeys(devices, skew))
    assert sorted(await skews.of_users({"ada"})) == sorted(devices[:3])
    await skews.forget(await skews.of_users({"ada"}))
    assert (await skews.find(devices)).keys() == {"u:ada-2", "d:ada\nbob"}
    await skews.forget([])


@pytest.fixture
async def suppressions(store: str, valkey: redis.Client) -> Suppressions:
    return MemorySuppressions() if store == "memory" else RedisSuppressions(valkey)


async def test_people_are_suppressed_until_that_ends(suppressions: Suppressions) -> None:
    assert (await suppressions.all()).pseudonyms == frozenset()
    secret = await suppressions.secret()
    named = [pseudonym(each, secret) for each in ("ada", "ada-browser")]
    await suppressions.add(named, "e_1")
    await suppressions.add(named[:1], "e_2")
    assert (await suppressions.all()).among(["ada", "bob", "ada-browser"]) == {"ada", "ada-browser"}
    await suppressions.remove([*named[:1], "unknown"])
    assert (await suppressions.all()).among(["ada", "bob", "ada-browser"]) == {"ada-browser"}
    assert await suppressions.secret() == secret


@pytest.fixture
async def erasures(store: str, valkey: redis.Client) -> Erasures:
    return MemoryErasures() if store == "memory" else RedisErasures(valkey)


async def test_erasures_are_open_until_they_are_done(erasures: Erasures) -> None:
    later = Erasure("e_1", "p", NOW_US + 1, ("ada",))
    sooner = Erasure("e_2", "p", NOW_US, ("bob",), Step.ERASE, before={"features.users": 1})
    for each in (later, sooner, sooner):
        await erasures.save(each)
    assert await erasures.unfinished() == [sooner, later]
    await erasures.save(done := msgspec.structs.replace(sooner, step=Step.DONE, user_ids=()))
    assert await erasures.unfinished() == [later]
    assert (await erasures.find("e_2"), await erasures.find("e_3")) == (done, None)


@pytest.fixture
async def exports(store: str, valkey: redis.Client) -> Exports:
    return MemoryExports() if store == "memory" else RedisExports(valkey)


async def test_exports_are_kept_with_their_data_until_they_are_removed(exports: Exports) -> None:
    first, second = (Export(f"x_{at}", NOW_US + at, ("ada",), ("p",)) for at in (1, 2))
    for each in (second, first):
        await exports.create(each)
    assert await exports.all() == [first, second]
    after = msgspec.structs.replace(first, step=exporting.Step.ARCHIVE)
    for _ in range(2):
        await exports.save(after, Part.SERVICES, b"one")
    await exports.save(done := msgspec.structs.replace(first, step=exporting.Step.READY), Part.ARCHIVE, b"two")
    assert await exports.find("x_1") == done
    assert await exports.parts("x_1") == [b"one", b"two"]
    assert await exports.parts("x_2") == []
    await exports.remove(["x_1", "unknown"])
    await exports.save(done, Part.SERVICES, b"late")
    assert (await exports.find("x_1"), await exports.parts("x_1")) == (None, [])
    assert await exports.all() == [second]


async def test_an_export_expires(valkey: redis.Client) -> None:
    exports = RedisExports(valkey)
    await exports.create(Export("x_1", NOW_US, ("ada",), ("p",)))
    await exports.save(Export("x_1", NOW_US, (), ("p",), exporting.Step.READY), Part.SERVICES, b"one")
    assert 0 < await valkey.ttl("jm:export:x_1") <= exporting.KEPT_SECONDS
    await valkey.delete("jm:export:x_1")
    assert await exports.all() == []
    assert await valkey.exists("jm:exports") == 0


async def test_what_is_changed_in_the_archive_is_kept_by_erasure(erasures: Erasures) -> None:
    assert await erasures.archived("e_1") == Archived()
    begun = Archived({"events/v1/a.parquet": Rewritten(2, "00")})
    done = Archived({"events/v1/a.parquet": Rewritten(2, "00", 1, "11")}, is_done=True)
    for archived in (begun, done):
        await erasures.save_archived("e_1", archived)
        assert await erasures.archived("e_1") == archived
    assert await erasures.archived("e_2") == Archived()


async def test_one_process_has_the_turn(valkey: redis.Client) -> None:
    erasures = RedisErasures(valkey)
    assert [await erasures.take_turn("steps", owner, 60) for owner in ("a", "a", "b", "a")] == [True, True, False, True]
    assert await erasures.take_turn("archive", "b", 60)


@pytest.fixture
async def passes(store: str, valkey: redis.Client) -> Passes:
    return MemoryPasses() if store == "memory" else RedisPasses(valkey)


async def test_the_last_day_of_retention_begins_today_and_only_grows(passes: Passes) -> None:
    assert [await passes.last_day(today) for today in (20_000, 20_001)] == [20_000, 20_000]
    for day in (20_002, 20_001, 20_002):
        await passes.save(day)
    assert await passes.last_day(20_005) == 20_002
