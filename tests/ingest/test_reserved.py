"""Ids of the mesh's own: whoever sends one and however, only the mesh's own outcomes and changes may bear it."""

from typing import Any, cast

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from tests.builders import event
from tests.ingest.harness import ACCEPTED, DUPLICATE, REJECTED, Harness, running

RESERVED = error_reason_pb2.ERROR_REASON_RESERVED_ID
ID = "jm:outcome:i-1:accepted"


def outcome(event_id: str = ID, user_id: str = "ada", **members: Any) -> event_pb2.Event:
    """What the gateway tells for the owner of an intervention; `members` replace what it has."""
    claimed = event_pb2.InterventionOutcome(intervention_id="i-1", outcome=event_pb2.OUTCOME_ACCEPTED, channel="in_app")
    given = {"anonymous_id": user_id, "outcome": claimed, "is_own": True} | members
    return event(event_id, user_id, "intervention_outcome", **given)


DECLINED = event_pb2.InterventionOutcome(intervention_id="i-1", outcome=event_pb2.OUTCOME_DECLINED)
OTHER = event_pb2.InterventionOutcome(intervention_id="i-2", outcome=event_pb2.OUTCOME_ACCEPTED)
CHANGE = event_pb2.SegmentChange(segment="New")
SQUATS = {
    "a client's, of another user": outcome(user_id="mallory", is_own=False),
    "a client's, of the owner": outcome(is_own=False),
    "of another kind": event(ID, is_own=True, anonymous_id="ada"),
    "of another outcome": outcome(outcome=DECLINED),
    "of another intervention": outcome(outcome=OTHER),
    "of two users": outcome(user_id="mallory", anonymous_id="ada"),
    "of nobody who was anonymous": outcome(anonymous_id=""),
    "a link": outcome("jm:link:1"),
    "a copy": outcome("jm:copy:1"),
    "an arrival": outcome("jm:arrival:1"),
    "nothing but the beginning": outcome("jm:"),
    "a client's segment change": event("jm:segment:1:a", kind="segment_change", segment_change=CHANGE),
    "a change's name on another event": event("jm:segment:1:a", is_own=True),
    "another name on a change": event("jm:link:1", kind="segment_change", segment_change=CHANGE, is_own=True),
}


async def replayed(harness: Harness, again: event_pb2.Event) -> ingest_pb2.ReplayFailedEventResponse:
    """What is said of a failed event that is mended so."""
    await harness.accept(event("bad", page=""))
    (failed,) = [one for one in (await harness.failed.list(10, ""))[0] if one.event_id == "bad"]
    asked = ingest_pb2.ReplayFailedEventRequest(id=failed.id, event=again)
    return await harness.stub.ReplayFailedEvent(asked)


async def assert_the_owner_is_heard(harness: Harness) -> None:
    assert (await harness.accept(outcome())).verdicts == [ACCEPTED]
    assert (await harness.accept(outcome())).verdicts == [DUPLICATE]
    await harness.dispatch()
    assert [each.user_id for each in harness.events() if each.event_id == ID] == ["ada"]


@pytest.mark.parametrize("squat", SQUATS.values(), ids=SQUATS)
async def test_whoever_sends_one_is_refused_and_kept_and_the_owner_is_heard(squat: event_pb2.Event) -> None:
    async with running() as harness:
        answer = await harness.accept(squat, event("good"))
        assert answer.verdicts == [REJECTED, ACCEPTED]
        assert answer.rejections[0].reason == RESERVED
        (kept,), _ = await harness.failed.list(10, "")
        assert (kept.reason, kept.event_id, kept.user_id) == ("RESERVED_ID", "", squat.user_id)
        assert squat.event_id.encode() in kept.payload
        await assert_the_owner_is_heard(harness)


@pytest.mark.parametrize("squat", [outcome(), *SQUATS.values()], ids=["the gateway's very own", *SQUATS])
async def test_a_failed_event_is_never_mended_to_one(squat: event_pb2.Event) -> None:
    async with running() as harness:
        answer = await replayed(harness, squat)
        assert (answer.verdict, answer.rejection.reason) == (REJECTED, RESERVED)
        assert len((await harness.failed.list(10, ""))[0]) == 1
        await assert_the_owner_is_heard(harness)


async def test_what_was_refused_for_it_is_refused_again_and_stays() -> None:
    async with running() as harness:
        await harness.accept(outcome(user_id="mallory", is_own=False))
        ((kept,), _) = await harness.failed.list(10, "")
        again = ingest_pb2.ReplayFailedEventRequest(id=kept.id, event=outcome(user_id="mallory"))
        assert (await harness.stub.ReplayFailedEvent(again)).rejection.reason == RESERVED
        assert (await harness.failed.list(10, ""))[0] == [kept]
        await assert_the_owner_is_heard(harness)


async def test_what_cannot_be_read_takes_no_such_id_either() -> None:
    async with running() as harness:
        bad = ingest_pb2.UnreadableEvent(event_id=ID, payload=b"{", reason=cast("Any", 1))
        await harness.accept(unreadable=[bad])
        ((kept,), _) = await harness.failed.list(10, "")
        assert kept.event_id == ""
        await assert_the_owner_is_heard(harness)


async def test_an_outcome_follows_a_login_though_its_id_stays() -> None:
    async with running() as harness:
        await harness.accept(event("i", "ada", "identify", anonymous_id="a-1"))
        assert (await harness.accept(outcome(user_id="a-1"))).verdicts == [ACCEPTED]
        await harness.dispatch()
        assert [each.user_id for each in harness.events() if each.event_id == ID] == ["ada"]
