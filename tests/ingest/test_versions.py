"""An upgrade: services of two versions side by side."""

import contextlib
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf import json_format
from journeymesh.common.v1 import error_reason_pb2, event_pb2, event_table_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import InvalidArgument, Unavailable
from mesh.observability.metrics import Metrics
from mesh.state.memory import MemoryShards, MemoryState
from mesh.stream.port import Entry
from records.table import of_events
from services.features.servicer import FeaturesServicer
from services.features.usecases import Features
from services.ingest.events.domain.event import refused_event_id
from services.intervention.bootstrap import in_memory
from services.intervention.servicer import InterventionServicer
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.servicer import ScoringServicer
from services.scoring.usecases import Scoring
from services.video.servicer import VideoServicer
from services.video.usecases import Playback
from tests.builders import NOW_US, event
from tests.ingest.harness import Harness, running
from tests.ingest.peers import Steps, applied_events, recording
from tests.intervention.builders import DOCUMENT


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
    async with running(steps) as harness:
        for number in range(50):  # a few that fail would be set aside
            await harness.accept(event(f"{number}"), event(f"a-{number}", "a-1"))
            await harness.dispatch()
        steps.lacks = {lacks}
        beat = event_pb2.Playback(video_id="v", action=event_pb2.PLAYBACK_ACTION_PLAY)
        await harness.accept(
            event("login", kind="identify", anonymous_id="a-1"),
            event("beat", kind="video_playback", playback=beat),
            event("beat-a", "a-1", kind="video_playback", playback=beat),
        )
        for _ in range(3):
            for shard in await harness.stream.shards():
                with contextlib.suppress(Unavailable):
                    await harness.advance(shard.name)
        assert await harness.failed.list(10, "") == ([], "")
        steps.lacks = set()
        await harness.dispatch()
        assert {"login", "beat", "beat-a"} <= set(harness.applied("features"))
        assert {"beat", "beat-a"} <= set(harness.applied("intervention"))
        assert ["a-1"] in steps.asked


async def test_an_intervention_that_does_not_know_groups_is_waited_for_and_nothing_is_set_aside() -> None:
    def older(step: str, request: Any) -> None:
        # It compares all columns with the assessments, one of each row.
        if step == "intervention" and len(request.record_indexes) != len(request.assessments):
            raise InvalidArgument("INVALID_TYPE", "All columns of a batch have a value for each row.")

    steps = recording(older)
    async with running(steps) as harness:
        await harness.accept(event("alone"))
        await harness.dispatch()
        await harness.accept(event("a", "bob"), event("b", "bob"))
        shard = (await harness.receipt("a")).position.shard
        for _ in range(3):
            with pytest.raises(Unavailable, match="upgraded first"):
                await harness.advance(shard)
        assert await harness.failed.list(10, "") == ([], "")
        steps.fault = lambda _step, _request: None
        await harness.dispatch()
        assert set(harness.applied("intervention")) == {"alone", "b"}


class Whole(Steps):
    """The four services over memory; those of `newer` are of a version whose features are fourteen."""

    def __init__(self) -> None:
        super().__init__(lambda _step, _request: None)
        self.newer: set[str] = set()
        self.told_ids: list[str] = []
        """The events of the batch under way."""
        self.lacking: dict[str, str] = {}
        """By method, the column that its answer is without."""
        self.video = VideoServicer(Playback(MemoryState(), MemoryShards()), Metrics())
        self.features = FeaturesServicer(Features(MemoryState()), Metrics())
        models = ModelDirectory(Path(__file__).parents[2] / "models" / "exit-risk")
        self.scoring = ScoringServicer(Scoring(models, MemoryState()), Metrics())
        core = in_memory([(0, DOCUMENT)], lambda: NOW_US)
        self.intervention = InterventionServicer(*core, Metrics())

    async def ApplyPlayback(self, request: Any, context: Any) -> Any:
        return self._without("ApplyPlayback", await self.video.ApplyPlayback(request, context))

    async def ApplyEvents(self, request: Any, context: Any) -> Any:
        answer = await self.features.ApplyEvents(request, context)
        self.told_ids = [event.event_id for event in applied_events(request)]
        if "features" in self.newer:
            rows = [answer.values[start : start + 13] for start in range(0, len(answer.values), 13)]
            answer.values[:] = [value for row in rows for value in (*row, 0.5)]
            answer.feature_count, answer.feature_schema_version = 14, "features-2"
            answer.feature_names.append("of_tomorrow")
        return self._without("ApplyEvents", answer)

    async def AssessUsers(self, request: Any, context: Any) -> Any:
        if "scoring" in self.newer:
            if request.feature_schema_version != "features-2":
                raise Unavailable("FEATURE_SCHEMA_MISMATCH", "The features are of another schema.")
            request.values[:] = [value for place, value in enumerate(request.values) if place % 14 != 13]
            request.feature_schema_version = "features-1"
        return self._without("AssessUsers", await self.scoring.AssessUsers(request, context))

    async def DecideInterventions(self, request: Any, context: Any) -> Any:
        answer = await self.intervention.DecideInterventions(request, context)
        self.log.append(("intervention", self.told_ids))
        return answer

    def _without(self, method: str, answer: Any) -> Any:
        if method in self.lacking:
            answer.ClearField(self.lacking[method])
        return answer


async def waits(harness: Harness) -> None:
    """Nothing passes, however often it is tried, and nothing is set aside."""
    before = len(harness.steps.log)
    for _ in range(3):
        for shard in await harness.stream.shards():
            with contextlib.suppress(Unavailable):
                await harness.advance(shard.name)
    assert len(harness.steps.log) == before
    assert await harness.failed.list(10, "") == ([], "")


def some(number: int) -> list[event_pb2.Event]:
    beat = event_pb2.Playback(video_id="v", action=event_pb2.PLAYBACK_ACTION_PLAY)
    failures = [event(f"e-{number}-{index}", "ada", kind="error", target="pay") for index in range(3)]
    return [*failures, event(f"v-{number}", "ada", kind="video_playback", playback=beat)]


async def test_an_upgrade_to_a_fourteenth_feature_waits_for_all_and_loses_nothing() -> None:
    steps = Whole()  # type: ignore[abstract]
    sent: list[str] = []
    async with running(steps) as harness:
        for number in range(50):  # a few that fail would be set aside
            await harness.accept(*(events := some(number)))
            sent += [each.event_id for each in events]
            await harness.dispatch()
        # Forward, features before scoring; back, features before scoring; forward, scoring first; back, scoring first.
        mixed_and_whole: list[tuple[set[str], set[str]]] = [
            ({"features"}, {"features", "scoring"}),
            ({"scoring"}, set()),
            ({"scoring"}, {"features", "scoring"}),
            ({"features"}, set()),
        ]
        for number, (mixed, whole) in enumerate(mixed_and_whole, start=50):
            await harness.accept(*(events := some(number)))
            sent += [each.event_id for each in events]
            steps.newer = mixed
            await waits(harness)
            steps.newer = whole
            await harness.dispatch()
            assert sorted(harness.applied("intervention")) == sorted(sent)
        assert await harness.failed.list(10, "") == ([], "")
        features = await steps.features.GetProfile(features_pb2.GetProfileRequest(user_id="ada"), cast("Any", None))
        assert features.event_count == len(sent)


@pytest.mark.parametrize(
    ("method", "column"),
    [
        ("ApplyPlayback", "engagement_scores"),
        ("ApplyEvents", "values"),
        ("ApplyEvents", "feature_count"),
        ("ApplyEvents", "feature_schema_version"),
        ("ApplyEvents", "time_zone_names"),
        ("AssessUsers", "assessments"),
    ],
)
async def test_an_answer_without_a_column_waits_for_the_upgrade(method: str, column: str) -> None:
    steps = Whole()  # type: ignore[abstract]
    async with running(steps) as harness:
        for number in range(50):
            await harness.accept(*some(number))
            await harness.dispatch()
        steps.lacking = {method: column}
        await harness.accept(*(events := [*some(50), event("zoned", "ada", time_zone="Asia/Tokyo")]))
        await waits(harness)
        steps.lacking = {}
        await harness.dispatch()
        assert {each.event_id for each in events} <= set(harness.applied("intervention"))


@pytest.mark.parametrize(
    "of_tomorrow",
    [
        {"event_type": 20},
        {"event_type": 13, "playback": {"video_id": "v", "action": 8}},
        {"event_type": 17, "outcome": {"outcome": 7}},
    ],
    ids=["kind", "action", "outcome"],
)
async def test_an_event_that_only_a_newer_version_knows_waits_for_the_upgrade(of_tomorrow: dict[str, Any]) -> None:
    """As a newer ingest has put it on the stream."""
    steps = Whole()  # type: ignore[abstract]
    async with running(steps) as harness:
        for number in range(50):
            await harness.accept(*some(number))
            await harness.dispatch()
        newer = json_format.ParseDict(of_tomorrow, event("x"))
        await harness.dispatcher.steps.log.append(of_events([newer]))
        await waits(harness)


async def test_what_failed_for_a_reason_of_a_newer_version_is_listed() -> None:
    async with running() as harness:
        await harness.accept(event("x", page=""))
        failed_id = refused_event_id("x", b"")
        (kept,) = await harness.failed.find([failed_id])
        assert kept is not None
        await harness.failed.add([kept._replace(reason="OF_NEXT_YEAR")])
        (listed,) = (await harness.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())).failed_events
        assert (listed.id, listed.reason) == (failed_id, error_reason_pb2.ERROR_REASON_UNSPECIFIED)
        assert (await harness.receipt("x")).failed_event_id == failed_id


@pytest.mark.parametrize(
    "form",
    [{"events": [event("x")]}, {"table": event_table_pb2.EventTable(row_count=1)}, {}],
    ids=["events", "a table that has no ids any more", "something else"],
)
async def test_a_record_of_a_form_of_tomorrow_waits_for_the_upgrade(form: dict[str, Any]) -> None:
    async with running() as harness:
        for number in range(50):
            await harness.accept(*some(number))
        await harness.dispatch()
        newer = event_table_pb2.StreamRecord(format_version=2, **form).SerializeToString()
        await harness.stream.append([Entry(harness.stream.ordering_group("ada"), newer)])
        await waits(harness)


async def test_what_stands_before_a_record_of_a_form_of_tomorrow_does_not_wait() -> None:
    async with running() as harness:
        await harness.accept(event("before"))
        newer = event_table_pb2.StreamRecord(format_version=2, events=[event("x")]).SerializeToString()
        await harness.stream.append([Entry(harness.stream.ordering_group("ada"), newer)])
        with pytest.raises(Unavailable):
            await harness.dispatch()
        assert harness.applied("intervention") == ["before"]
