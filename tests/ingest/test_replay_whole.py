"""Events that were accepted and set aside, sent again just as they were; what is reported of the others."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import InvalidArgument
from services.ingest.accept.domain.masking.kinds import ALL, Masking
from services.ingest.accept.replaying import Replays
from services.ingest.accept.usecases import MaskingOfTenants
from services.ingest.events.domain.event import refused_event_id
from tests.builders import NOW_US, SECOND_US, event
from tests.ingest.harness import ACCEPTED, Harness, running
from tests.ingest.peers import applied_events, recording
from tests.ingest.test_stitching import WithFeatures, anonymous, settle


class Failing:
    """Features cannot apply some events while it is broken."""

    def __init__(self, fails: Callable[[event_pb2.Event], bool]) -> None:
        self.fails = fails
        self.is_broken = True

    def __call__(self, step: str, request: Any) -> None:
        if step == "features" and self.is_broken and any(map(self.fails, applied_events(request))):
            raise ValueError("poison")


class FailingFeatures(WithFeatures):
    """The features service as it is, but for what it cannot apply."""

    def __init__(self, fault: Failing) -> None:
        super().__init__()
        self.fault = fault

    async def ApplyEvents(self, request: Any, context: Any) -> features_pb2.ApplyEventsResponse:
        self.fault("features", request)
        self.requests.append(request)
        return await super().ApplyEvents(request, context)


async def replay_all(harness: Harness) -> set[int]:
    """Sends all failed events again, and tells the verdicts."""
    listed = await harness.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())
    assert all(one.is_kept_whole for one in listed.failed_events)
    return {
        (await harness.stub.ReplayFailedEvent(ingest_pb2.ReplayFailedEventRequest(id=one.id))).verdict
        for one in reversed(listed.failed_events)
    }


OWN: dict[str, Callable[[event_pb2.Event], bool]] = {
    "the link": lambda one: bool(one.linked_user_id),
    "the arrival": lambda one: one.HasField("carried"),
    "a copy": lambda one: bool(one.copied_event_id) and not one.HasField("carried"),
    "the login": lambda one: one.event_id == "login",
    "all of them": lambda one: one.event_type == event_pb2.EVENT_TYPE_IDENTIFY or bool(one.copied_event_id),
}


async def moved(which: str, *, is_broken: bool) -> tuple[list[str], list[event_pb2.Event]]:
    """A login while features is broken, which is mended then: the user's last events, and what the mesh made itself."""
    failing = Failing(OWN[which])
    failing.is_broken = is_broken
    steps = FailingFeatures(failing)  # type: ignore[abstract]
    async with running(steps) as harness:
        for number in range(10):  # few of many fail
            await harness.accept(event(f"{number}", "ada"), event(f"a-{number}", "a-2"))
            await harness.dispatch()
        await harness.accept(anonymous("bought", -5, "purchase", purchase=event_pb2.Purchase(amount=5, currency="EUR")))
        await settle(harness)
        await harness.accept(event("login", "ada", "identify", anonymous_id="a-1"))
        await settle(harness)
        assert bool((await harness.failed.list(100, ""))[0]) == is_broken
        failing.is_broken = False
        while (await harness.failed.list(100, ""))[0]:
            assert await replay_all(harness) == {ACCEPTED}
            await settle(harness)
        own = [each for each in harness.events() if each.copied_event_id or each.linked_user_id]
        return sorted(each.event_id for each in await steps.last_events("ada")), own


@pytest.mark.parametrize("which", OWN)
async def test_what_the_mesh_made_itself_is_sent_again_whole(which: str) -> None:
    whole, made = await moved(which, is_broken=False)
    mended, remade = await moved(which, is_broken=True)
    assert mended == whole
    first, again = ({each.event_id: (each.linked_user_id, each.carried) for each in own} for own in (made, remade))
    assert len(first) == 3
    assert any(carried.purchase_count for _, carried in first.values())
    assert again == first


async def test_a_client_s_event_is_sent_again_as_it_stood_on_the_stream_but_received_now() -> None:
    failing = Failing(lambda one: one.event_id == "x")
    async with running(recording(failing)) as harness:
        for number in range(10):
            await harness.accept(event(f"{number}"))
        await harness.accept(event("x", properties=b"[1", user_agent="Googlebot/2.1", sent_time_us=NOW_US - SECOND_US))
        assert await harness.failed.list(10, "") != ([], "")  # no JSON: refused
        await harness.accept(
            event("x", properties=b'{"n": 1.0}', user_agent="Googlebot/2.1", sent_time_us=NOW_US - SECOND_US)
        )
        await harness.dispatch()
        failing.is_broken = False
        harness.time.now_us += 3 * 24 * 3600 * SECOND_US
        (poison,) = [one for one in (await harness.failed.list(10, ""))[0] if one.reason == "POISON"]
        stood = event_pb2.Event.FromString(poison.record)
        assert stood.is_bot
        answer = await harness.stub.ReplayFailedEvent(ingest_pb2.ReplayFailedEventRequest(id=poison.id))
        assert answer.verdict == ACCEPTED
        await harness.dispatch()
        stood.received_time_us = harness.time.now_us
        assert [each for each in harness.events() if each.event_id == "x"][-1] == stood


@pytest.mark.parametrize("own", ["jm:link:1", "jm:arrival:1", "jm:copy:1"])
async def test_an_event_of_the_mesh_s_own_that_somebody_mends_is_refused(own: str) -> None:
    async with running() as harness:
        await harness.accept(event("x"))
        failed_id = await harness.set_aside("x")
        request = ingest_pb2.ReplayFailedEventRequest(id=failed_id, event=event(own, linked_user_id="bob"))
        answer = await harness.stub.ReplayFailedEvent(request)
        assert answer.rejection.reason == error_reason_pb2.ERROR_REASON_RESERVED_ID


async def test_what_is_not_kept_whole_is_not_sent_again_without_an_event() -> None:
    async with running() as harness:
        await harness.accept(event("x", page=""))
        with pytest.raises(InvalidArgument, match="not kept whole"):
            await harness.stub.ReplayFailedEvent(ingest_pb2.ReplayFailedEventRequest(id=refused_event_id("x", b"")))


async def test_a_replay_is_tidied_once_and_tells_what_was_cleaned() -> None:
    async with running() as harness:
        await harness.accept(event("x", page=""))
        request = ingest_pb2.ReplayFailedEventRequest(
            id=refused_event_id("x", b""), event=event("x", time_zone="Mars", session_id="s" * 129)
        )
        answer = await harness.stub.ReplayFailedEvent(request)
        assert answer.verdict == ACCEPTED
        assert [one.member for one in answer.warnings] == ["context.timeZone", "sessionId"]


async def test_what_a_version_without_masking_kept_whole_is_masked_when_it_is_replayed() -> None:
    failing = Failing(lambda one: one.event_id == "x")
    async with running(recording(failing), masking=MaskingOfTenants(Masking(frozenset(), frozenset()))) as harness:
        for number in range(10):
            await harness.accept(event(f"{number}"))
        await harness.accept(event("x", properties=b'{"note":"ada@example.org","count":1}'))
        await harness.dispatch()
        failing.is_broken = False
        harness.time.now_us += 3 * 24 * 3600 * SECOND_US
        (poison,) = (await harness.failed.list(10, ""))[0]
        assert b"ada@example.org" in poison.record
        replays = Replays(dataclasses.replace(harness.ingest, masking=MaskingOfTenants(ALL)))
        replayed = await replays.replay_whole(poison, cast("Any", event_pb2.Event.FromString(poison.record)))
        assert replayed.verdict == ACCEPTED
        await harness.dispatch()
        sent = [each for each in harness.events() if each.event_id == "x"][-1]
        assert sent.properties == b'{"note":"[email]","count":1}'
