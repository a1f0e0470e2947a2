"""Changes of the policy are recorded in the audit log: each once, also late, and never in the way of decisions."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
from journeymesh.access.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server

from mesh.errors import Unavailable
from mesh.store import redis
from services.access.audit.servicer import AuditServicer
from services.access.audit.usecases import Audit, Filters
from services.intervention.policy.adapters.audit import MemoryMark, PeerAuditLog, RedisMark
from services.intervention.policy.adapters.store import MemoryPolicies
from services.intervention.policy.domain.timeline import DatedPolicy
from services.intervention.policy.ports import Mark
from services.intervention.policy.recording import Recording
from tests.access.builders import World
from tests.builders import NOW_US
from tests.serving import serving

FIRST: Final = DatedPolicy(0, "p-1", "document")
SECOND: Final = DatedPolicy(NOW_US - 5, "p-2", "document")
AGAIN: Final = DatedPolicy(NOW_US - 1, "p-1", "document")


class Log:
    """An audit log that may be away."""

    def __init__(self) -> None:
        self.recorded: list[tuple[int, str, int]] = []
        self.is_away = False

    async def record(self, number: int, version: str, start_us: int) -> None:
        """See `services.intervention.policy.ports.AuditLog`."""
        if self.is_away:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "Away.")
        self.recorded.append((number, version, start_us))


@pytest.fixture(params=["memory", "redis"])
async def mark(request: pytest.FixtureRequest, valkey: redis.Client) -> Mark:
    return MemoryMark() if request.param == "memory" else RedisMark(valkey, "jm:intervention:mark")


async def test_the_mark_is_what_was_written_last(mark: Mark) -> None:
    assert await mark.read() == 0
    for count in (1, 7):
        await mark.write(count)
        assert await mark.read() == count


async def test_each_policy_is_recorded_once_whoever_put_it_in_force(mark: Mark) -> None:
    store, log = MemoryPolicies([FIRST]), Log()
    one, other = (Recording(store, mark, log, lambda: NOW_US) for _ in range(2))
    for each in (one, other, one):
        await each.catch_up()
    assert log.recorded == [(0, "p-1", NOW_US)]
    await store.append(SECOND, 1)
    await store.append(AGAIN, 2)
    for each in (other, one):
        await each.catch_up()
    assert log.recorded[1:] == [(1, "p-2", NOW_US - 5), (2, "p-1", NOW_US - 1)]


async def test_a_policy_that_a_tenant_gave_back_is_recorded_under_the_tenant(mark: Mark) -> None:
    taken_back = DatedPolicy(NOW_US - 3, "", "", tenant="acme")
    store, log = MemoryPolicies([DatedPolicy(NOW_US - 5, "acme/p-1", "text", tenant="acme"), taken_back]), Log()
    await Recording(store, mark, log, lambda: NOW_US).catch_up()
    assert [version for _, version, _ in log.recorded] == ["acme/p-1", "acme/"]


async def test_what_the_log_missed_while_it_was_away_is_recorded_later(mark: Mark) -> None:
    store, log = MemoryPolicies([FIRST]), Log()
    recording = Recording(store, mark, log, lambda: NOW_US)
    log.is_away = True
    with pytest.raises(Unavailable):
        await recording.catch_up()
    await store.append(SECOND, 1)
    log.is_away = False
    await Recording(store, mark, log, lambda: NOW_US).catch_up()
    assert [version for _, version, _ in log.recorded] == ["p-1", "p-2"]


async def test_it_goes_on_while_the_log_is_away() -> None:
    store, log = MemoryPolicies([FIRST]), Log()
    log.is_away = True
    running = asyncio.create_task(Recording(store, MemoryMark(), log, lambda: NOW_US).run())
    await asyncio.sleep(0)
    log.is_away = False
    async with asyncio.timeout(10):
        while not log.recorded:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()


@pytest.fixture
async def audit() -> AsyncIterator[tuple[Audit, PeerAuditLog]]:
    audit = World().audit
    async with serving(lambda to: add_AuditServiceServicer_to_server(AuditServicer(audit), to)) as channel:
        yield audit, PeerAuditLog(channel)


async def test_the_audit_log_has_the_version_and_repeats_nothing(audit: tuple[Audit, PeerAuditLog]) -> None:
    log, peer = audit
    for number, version in ((0, "p-1"), (0, "p-1"), (1, "p-2"), (2, "p-1")):
        await peer.record(number, version, NOW_US)
    listed, _ = await log.listed(Filters(), 0, 10)
    acts = [each.entry.act for each in reversed(listed)]
    assert [(act.actor, act.action, act.subject) for act in acts] == [
        ("intervention", "policy.changed", version) for version in ("p-1", "p-2", "p-1")
    ]
