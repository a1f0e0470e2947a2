"""A peer that shows an epoch no lease has: it is refused, and the pipeline goes on as if nothing had been."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.features.v1.features_pb2_grpc import FeaturesServiceStub
from journeymesh.video.v1 import video_pb2
from journeymesh.video.v1.video_pb2_grpc import VideoServiceStub

from mesh.errors import FailedPrecondition
from mesh.observability import telemetry
from mesh.rpc import channel
from tests.builders import NOW_US
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

USERS = [f"user-{number}" for number in range(12)]  # on both shards


async def forged(mesh: RunningMesh, shard: str, epoch: int) -> list[str]:
    """With what reasons services refuse a batch with the epoch."""
    event = event_pb2.Event(
        event_id="forged",
        user_id="mallory",
        event_type=event_pb2.EVENT_TYPE_VIDEO_PLAYBACK,
        event_time_us=NOW_US,
        received_time_us=NOW_US,
        playback=event_pb2.Playback(video_id="v", action=event_pb2.PLAYBACK_ACTION_PLAY),
    )
    at = position_pb2.BatchPosition(
        stream="redis/events", shard=shard, sequences=["99999999999999999999"], lease_epoch=epoch
    )
    asked: dict[str, tuple[Any, str, Any]] = {
        "video": (VideoServiceStub, "ApplyPlayback", video_pb2.ApplyPlaybackRequest(position=at, events=[event])),
        "features": (FeaturesServiceStub, "ApplyEvents", features_pb2.ApplyEventsRequest(position=at, events=[event])),
    }
    reasons = []
    for name, (stub, method, request) in asked.items():
        address = mesh.process(name).environ()[f"JOURNEYMESH_{name.upper()}_LISTEN"]
        async with channel.dial(address, telemetry.off()) as dialled:
            with pytest.raises(FailedPrecondition) as caught:
                await getattr(stub(dialled), method)(request)
        reasons.append(caught.value.reason)
    return reasons


def sent(mesh: RunningMesh, mark: str) -> None:
    """Events of all users, applied."""
    events = [
        {"eventId": f"{mark}-{user}", "userId": user, "eventType": "page_view", "properties": {"page": "/a"}}
        for user in USERS
    ]
    assert mesh.track(*events).body["accepted"] == len(USERS)
    for event in events:
        mesh.await_applied(str(event["eventId"]), 10)


@pytest.mark.parametrize("epoch", [2**53, 2**53 + 1, 2**64 - 1])
def test_an_epoch_that_no_lease_has_stops_nothing(tmp_path: Path, epoch: int) -> None:
    with running_mesh(tmp_path) as mesh:
        sent(mesh, "before")
        for shard in ("0", "1"):
            assert asyncio.run(forged(mesh, shard, epoch)) == ["POSITION_STALE"] * 2
        sent(mesh, "after")
        standings = [one for one in mesh.get("/api/pipeline").body["standings"] if one["reader"] == "dispatcher"]
        assert [one["trouble"] for one in standings] == ["", ""]
        assert all(one["owner"] for one in standings)
        assert "given back" not in mesh.log.read_text()
