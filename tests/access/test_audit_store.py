"""The port of the audit log's chain over every adapter."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from mesh.errors import NotFound, Unavailable
from mesh.store import redis
from services.access.audit.adapters.memory import MemoryChain
from services.access.audit.adapters.redis import RedisChain
from services.access.audit.domain.entry import EMPTY, NO_HASH, Act, Head, Row, chained, decoded, hash_of
from services.access.audit.ports import Answer, Chain
from services.access.audit.usecases import Audit, Filters, NewAct, verify
from tests.access.builders import World, asked
from tests.builders import NOW_US

DAY_US = 86_400_000_000


@pytest.fixture(params=["memory", "redis"])
async def chain(request: pytest.FixtureRequest, valkey: redis.Client) -> Chain:
    return MemoryChain() if request.param == "memory" else RedisChain(valkey)


def acts(*numbers: int, time_us: int = NOW_US) -> list[Act]:
    """Acts, each with the id of its number."""
    return [Act(number.to_bytes(16, "big"), time_us, "k1", f"act {number}", "", b"") for number in numbers]


def audit_over(chain: Chain, now_us: int = NOW_US) -> Audit:
    """The log over a chain, at a time."""
    return Audit(chain, lambda: now_us, random.Random(1).randbytes)  # noqa: S311 - secrets of tests


def of_nobody(*numbers: int, time_us: int = NOW_US) -> Sequence[NewAct]:
    """Acts about no user."""
    return [NewAct(each, is_user=False) for each in acts(*numbers, time_us=time_us)]


async def count(chain: Chain) -> int:
    """How many entries an intact chain has."""
    return (await verify(chain.read, {}, lambda *_: None)).count


async def test_at_first_there_is_nothing(chain: Chain) -> None:
    await chain.ping()
    page = await chain.read(0, 10)
    assert (page.entries, page.first_sequence, page.last, await chain.head()) == ([], 0, EMPTY, EMPTY)
    assert (await chain.newest(0, 10), await chain.secret()) == ([], None)
    assert await count(chain) == 0


async def test_rows_are_appended_to_the_head_they_were_made_for(chain: Chain) -> None:
    first = chained(EMPTY, acts(1, 2))
    answer = await chain.append(EMPTY, first)
    assert (answer.is_appended, answer.head) == (True, Head(2, first[1].hash))
    late = await chain.append(EMPTY, chained(EMPTY, acts(3)))
    assert (late.is_appended, late.head, late.known) == (False, answer.head, frozenset())
    assert (await chain.append(answer.head, chained(answer.head, acts(3)))).is_appended
    page = await chain.read(0, 10)
    assert [decoded(each).act for each in page.entries] == acts(1, 2, 3)
    assert page.last == await chain.head()
    assert await count(chain) == 3


async def test_acts_that_are_known_are_named_and_nothing_is_appended(chain: Chain) -> None:
    answer = await chain.append(EMPTY, chained(EMPTY, acts(1, 2)))
    again = await chain.append(answer.head, chained(answer.head, acts(3, 2)))
    assert (again.is_appended, again.head, again.known) == (False, answer.head, frozenset({(2).to_bytes(16, "big")}))
    assert await count(chain) == 2


async def test_a_part_begins_after_a_number_with_the_hash_before_it(chain: Chain) -> None:
    rows = chained(EMPTY, acts(1, 2, 3))
    await chain.append(EMPTY, rows)
    page = await chain.read(1, 1)
    assert (page.entries, page.first_sequence, page.hash_before) == ([rows[1].stored], 2, rows[0].hash)
    assert (await chain.read(3, 1)).entries == []
    assert (await chain.read(0, 1)).hash_before == NO_HASH
    assert (await chain.read(9, 1)).entries == []


async def test_the_newest_come_first(chain: Chain) -> None:
    await chain.append(EMPTY, chained(EMPTY, acts(1, 2, 3)))
    assert [each.sequence for each in await chain.newest(0, 2)] == [3, 2]
    assert [each.sequence for each in await chain.newest(3, 9)] == [2, 1]
    assert await chain.newest(1, 9) == []


async def test_what_is_dropped_leaves_its_hash(chain: Chain) -> None:
    rows = chained(EMPTY, acts(1, 2, 3))
    await chain.append(EMPTY, rows)
    through = Head(2, rows[1].hash)
    assert await chain.drop(0, through)
    assert not await chain.drop(0, Head(1, rows[0].hash))
    for after in (0, 1, 2):
        page = await chain.read(after, 10)
        assert (page.entries, page.first_sequence, page.hash_before) == ([rows[2].stored], 3, rows[1].hash)
    assert hash_of(rows[1].hash, rows[2].stored) == (await chain.head()).hash
    assert await count(chain) == 1


async def test_the_secret_is_made_once(chain: Chain) -> None:
    assert await chain.keep_secret(b"a" * 32) == b"a" * 32
    assert await chain.keep_secret(b"b" * 32) == b"a" * 32
    assert await chain.secret() == b"a" * 32


async def test_two_writers_lose_nothing_and_make_one_chain(chain: Chain) -> None:
    one, other = audit_over(chain), audit_over(chain)
    await asyncio.gather(
        *(one.record(of_nobody(number, 1_000 + number)) for number in range(30)),
        *(other.record(of_nobody(2_000 + number)) for number in range(30)),
        *(other.record(of_nobody(number)) for number in range(30)),
    )
    assert await count(chain) == 90
    found = [decoded(each).act.action for each in (await chain.read(0, 1_000)).entries]
    assert len({*found}) == 90


async def test_old_entries_are_removed_in_bounded_steps_and_the_newest_stays(chain: Chain) -> None:
    for first in (0, 500):
        await audit_over(chain).record(of_nobody(*range(first, first + 500), time_us=NOW_US - 2 * DAY_US))
    await audit_over(chain).record(of_nobody(1_000, 1_001))
    audit = audit_over(chain)
    assert [await audit.drop_old(86_400) for _ in range(3)] == [500, 500, 0]
    assert await count(chain) == 2
    later = audit_over(chain, NOW_US + 9 * DAY_US)
    assert [await later.drop_old(86_400) for _ in range(2)] == [1, 0]
    progress = await verify(chain.read, {}, lambda *_: None)
    assert (progress.first, progress.last) == (1_002, 1_002)
    await later.record(of_nobody(1_003))
    assert await count(chain) == 2
    listed, following = await later.listed(Filters(), 0, 20)
    assert ([each.entry.sequence for each in listed], following) == ([1_003, 1_002], 0)


async def test_a_time_that_has_not_come_counts_as_now(chain: Chain) -> None:
    await audit_over(chain).record(of_nobody(1, time_us=NOW_US + 99 * DAY_US))
    (stored,) = (await chain.read(0, 1)).entries
    assert decoded(stored).act.time_us == NOW_US


class Away(MemoryChain):
    """Appends nothing."""

    async def append(self, before: Head, rows: Sequence[Row]) -> Answer:
        """See `services.access.audit.ports.Chain`."""
        raise Unavailable("DEPENDENCY_UNAVAILABLE", f"{len(rows)} rows after {before.sequence}")


async def test_changes_of_keys_are_recorded_before_they_are_made() -> None:
    world = World()
    created = (await world.access.create(asked())).key
    rotated = (await world.access.rotate(created.key_id, 60))[0].key
    await world.access.revoke(rotated.key_id)
    await world.access.revoke(rotated.key_id)
    with pytest.raises(NotFound):
        await world.access.revoke("nobody")
    acts = [decoded(each).act for each in (await world.chain.read(0, 10)).entries]
    assert [(each.actor, each.action, each.subject) for each in acts] == [
        ("command", "keys.create", created.key_id),
        ("command", "keys.rotate", created.key_id),
        ("command", "keys.revoke", rotated.key_id),
    ]


async def test_a_change_of_keys_that_cannot_be_recorded_is_not_made() -> None:
    world = World(chain=Away())
    with pytest.raises(Unavailable):
        await world.access.create(asked())
    assert await world.access.listed() == []
