"""What somebody else sends costs no user their help or the answer to it."""

import asyncio
import datetime as dt
import uuid
from typing import Any

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.ingest.v1.ingest_pb2_grpc import IngestServiceStub

from mesh.observability import telemetry
from mesh.rpc import channel
from tests.e2e.following import calculate, calculation, until
from tests.e2e.journeys import Journey, journey
from tests.processes import RunningMesh

pytestmark = pytest.mark.processes


def squat(intervention_id: str, user_id: str) -> dict[str, Any]:
    """An acceptance under the mesh's own id of it."""
    return {
        "eventId": f"jm:outcome:{intervention_id}:accepted",
        "userId": user_id,
        "eventType": "intervention_outcome",
        "properties": {"interventionId": intervention_id, "outcome": "accepted"},
    }


def refused(mesh: RunningMesh, event: dict[str, Any], reason: str) -> str:
    """The id as a failed event of an event that is refused."""
    assert mesh.track(event).body["reason"] == reason
    failed = mesh.get(f"/api/failed-events?reason={reason}").body["failedEvents"]
    return str(next(one["id"] for one in failed if one["userId"] == event["userId"]))


def verdicts_over_grpc(mesh: RunningMesh, event: dict[str, Any]) -> list[int]:
    """The verdicts of ingest on an event that did not come by the gateway."""
    made = event_pb2.Event(
        event_id=event["eventId"],
        user_id=event["userId"],
        anonymous_id=event["userId"],
        event_type=event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME,
        event_time_us=int(dt.datetime.now(dt.UTC).timestamp() * 1e6),
        outcome=event_pb2.InterventionOutcome(
            intervention_id=event["properties"]["interventionId"], outcome=event_pb2.OUTCOME_ACCEPTED
        ),
    )

    async def send() -> list[int]:
        address = mesh.process("ingest").environ()["JOURNEYMESH_INGEST_LISTEN"]
        async with channel.dial(address, telemetry.off()) as dialled:
            asked = ingest_pb2.AcceptEventsRequest(events=[made])
            return list((await IngestServiceStub(dialled).AcceptEvents(asked)).verdicts)

    return asyncio.run(send())


@pytest.mark.parametrize("who", ["another", "the owner"])
def test_no_client_can_use_the_id_of_an_outcome_before_its_owner(mesh: RunningMesh, who: str) -> None:
    one = journey(mesh)
    calculate(one)
    help_ = one.pending()
    assert help_ is not None
    event = squat(help_["id"], one.user_id if who == "the owner" else f"mallory-{uuid.uuid4()}")
    reserved = refused(mesh, event, "RESERVED_ID")
    other = refused(mesh, event | {"eventId": str(uuid.uuid4()), "properties": {}}, "MISSING_FIELD")
    mended = mesh.post(f"/api/failed-events/{other}:replay", event)
    assert (mended.status, mended.body["reason"]) == (409, "STILL_INVALID")
    many = mesh.post("/api/failed-events:replay", {"reason": "RESERVED_ID"}).body
    assert (many["accepted"], reserved in {each["id"] for each in many["rejected"]}) == (0, True)
    assert verdicts_over_grpc(mesh, event) == [ingest_pb2.VERDICT_REJECTED]
    answer = mesh.post(f"/api/interventions/{help_['id']}/outcome", {"outcome": "accepted"})
    assert answer.status == 202
    until(
        lambda: mesh.get(f"/api/interventions/{help_['id']}").body["outcome"] == "accepted",
        "The owner was not heard.",
        10,
    )


def ahead(one: Journey, hours: float, *, is_sent: bool) -> dict[str, Any]:
    """A click by a clock that is so many hours ahead."""
    at = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)).isoformat()
    return one.event(0, "click", page="/calculator") | {"timestamp": at} | ({"sentAt": at} if is_sent else {})


@pytest.mark.parametrize("hours", [0.5, 2, 23])
@pytest.mark.parametrize("whose", ["another's", "their own"])
@pytest.mark.parametrize("is_sent", [True, False])
def test_a_wrong_clock_does_not_prevent_help(mesh: RunningMesh, hours: float, whose: str, *, is_sent: bool) -> None:
    device = f"webview-{uuid.uuid4()}"
    one = journey(mesh, minutes=0.6, deviceId=device)
    liar = one if whose == "their own" else journey(mesh, deviceId=device)
    liar.send(ahead(liar, hours, is_sent=is_sent))
    sent_at = dt.datetime.now(dt.UTC).isoformat()
    one.send(*[each | {"sentAt": sent_at} for each in calculation(one)])
    assert one.pending() is not None
