"""An upgrade: services of two versions side by side."""

import contextlib
from typing import Any

import grpc
import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import InvalidArgument, Unavailable
from services.ingest.domain.event import refused_event_id
from tests.builders import event
from tests.ingest.house import housed
from tests.ingest.peers import Steps, recording


class Older(Steps):
    """Services of which one has not been upgraded yet."""

    def __init__(self, *lacks: str) -> None:
        super().__init__(lambda _step, _request: None)
        self.lacks = set(lacks)

    async def _answer(self, method: str, request: Any, context: Any) -> Any:
        if method in self.lacks:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        return await getattr(super(), method)(request, context)

    async def ApplyPlayback(self, request: Any, context: Any) -> Any:
        return await self._answer("ApplyPlayback", request, context)

    async def BatchListRecentEvents(self, request: Any, context: Any) -> Any:
        return await self._answer("BatchListRecentEvents", request, context)

    async def DecideInterventions(self, request: Any, context: Any) -> Any:
        return await self._answer("DecideInterventions", request, context)

    async def AssessUsers(self, request: Any, context: Any) -> Any:
        if "AssessUsers" in self.lacks:
            raise InvalidArgument("FEATURE_SCHEMA_MISMATCH", "The values are of another schema.")
        return await super().AssessUsers(request, context)


@pytest.mark.parametrize("lacks", ["ApplyPlayback", "BatchListRecentEvents", "DecideInterventions", "AssessUsers"])
async def test_what_a_service_of_an_older_version_does_not_know_waits_for_the_upgrade(lacks: str) -> None:
    steps = Older()  # type: ignore[abstract]
    async with housed(steps) as house:
        for number in range(50):  # a few that fail would be set aside
            await house.accept(event(f"{number}"), event(f"a-{number}", "a-1"))
            await house.dispatch()
        steps.lacks = {lacks}
        beat = event_pb2.Playback(video_id="v", action=event_pb2.PLAYBACK_ACTION_PLAY)
        await house.accept(
            event("login", kind="identify", anonymous_id="a-1"),
            event("beat", kind="video_playback", playback=beat),
            event("beat-a", "a-1", kind="video_playback", playback=beat),
        )
        for _ in range(3):
            for shard in await house.stream.shards():
                with contextlib.suppress(Unavailable):
                    await house.advance(shard.name)
        assert await house.failed.list(10, "") == ([], "")
        steps.lacks = set()
        await house.dispatch()
        assert {"login", "beat", "beat-a"} <= set(house.applied("features"))
        assert {"beat", "beat-a"} <= set(house.applied("intervention"))
        assert ["a-1"] in steps.asked


async def test_an_intervention_that_does_not_know_groups_is_waited_for_and_nothing_is_set_aside() -> None:
    def older(step: str, request: Any) -> None:
        # It compares all columns with the assessments, one of each row.
        if step == "intervention" and len(request.record_indexes) != len(request.assessments):
            raise InvalidArgument("INVALID_TYPE", "All columns of a batch have a value for each row.")

    steps = recording(older)
    async with housed(steps) as house:
        await house.accept(event("alone"))
        await house.dispatch()
        await house.accept(event("a", "bob"), event("b", "bob"))
        shard = (await house.receipt("a")).position.shard
        for _ in range(3):
            with pytest.raises(Unavailable, match="upgraded first"):
                await house.advance(shard)
        assert await house.failed.list(10, "") == ([], "")
        steps.fault = lambda _step, _request: None
        await house.dispatch()
        assert set(house.applied("intervention")) == {"alone", "b"}


async def test_what_failed_for_a_reason_of_a_newer_version_is_listed() -> None:
    async with housed() as house:
        await house.accept(event("x", page=""))
        failed_id = refused_event_id("x", b"")
        (kept,) = await house.failed.find([failed_id])
        assert kept is not None
        await house.failed.add([kept._replace(reason="OF_NEXT_YEAR")])
        (listed,) = (await house.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())).failed_events
        assert (listed.id, listed.reason) == (failed_id, error_reason_pb2.ERROR_REASON_UNSPECIFIED)
        assert (await house.receipt("x")).failed_event_id == failed_id
