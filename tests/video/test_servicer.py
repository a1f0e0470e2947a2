"""The service behind a real server, with real interceptors and a real stub."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.common.v1.event_pb2 import Event
from journeymesh.video.v1 import video_pb2 as wire
from journeymesh.video.v1.video_pb2_grpc import VideoServiceStub, add_VideoServiceServicer_to_server

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from mesh.metrics import Metrics
from services.video.domain.playback import Action, Beat
from services.video.servicer import VideoServicer
from tests.serving import serving
from tests.video.builders import World, beat, keen_learner, played

if TYPE_CHECKING:
    from journeymesh.video.v1.video_pb2_grpc import VideoServiceAsyncStub


@pytest.fixture
async def stub() -> AsyncIterator["VideoServiceAsyncStub"]:
    servicer = VideoServicer(World().playback, Metrics())
    async with serving(lambda server: add_VideoServiceServicer_to_server(servicer, server)) as channel:
        yield VideoServiceStub(channel)


def event(of: Beat) -> Event:
    """The event a player's beat came as."""
    made = Event(
        user_id=of.user_id,
        session_id=of.viewing,
        event_type=event_pb2.EVENT_TYPE_VIDEO_PLAYBACK,
        event_time_us=of.at_us,
        time_zone=of.time_zone,
        is_bot=of.is_bot,
    )
    told = made.playback
    told.video_id = of.video_id
    told.action = event_pb2.PlaybackAction.ValueType(of.action)
    told.position_seconds = of.end_ms / 1000
    told.watched_seconds = (of.end_ms - of.start_ms) / 1000
    told.duration_seconds = of.duration_ms / 1000
    told.seek_from_seconds = of.seek_from_ms / 1000
    told.content_type, told.topic = of.content_type, of.topic
    return made


def request(sequence: int, beats: Sequence[Beat]) -> wire.ApplyPlaybackRequest:
    """The batch of one record as the dispatcher sends it."""
    made = wire.ApplyPlaybackRequest(events=map(event, beats))
    made.position.stream, made.position.shard = "events", "3"
    made.position.sequences.append(str(sequence))
    return made


def test_the_domain_numbers_actions_as_the_contract_does() -> None:
    told = {
        name.removeprefix("PLAYBACK_ACTION_"): number for name, number in event_pb2.PlaybackAction.items() if number
    }
    assert {each.name: each.value for each in Action} == told


async def test_the_keen_learner_is_told_of(stub: "VideoServiceAsyncStub") -> None:
    beats = keen_learner()
    answer = await stub.ApplyPlayback(request(1, beats))
    assert len(answer.engagement_scores) == len(beats)
    viewer = await stub.GetViewer(wire.GetViewerRequest(user_id="ada"))
    assert viewer.engagement_score == answer.engagement_scores[-1]
    assert 76 <= viewer.engagement_score <= 80
    assert (viewer.preferred_content_type, viewer.best_viewing_hours) == ("interactive", "19-21")
    assert viewer.recommended_content == "advanced tutorials on loans"
    (video,) = viewer.videos
    assert video.completion_ratio == pytest.approx(0.85)
    assert [(each.start_seconds, each.end_seconds) for each in video.coverage] == [(0, 510)]
    replayed = [(each.start_seconds, each.end_seconds) for each in video.replayed_segments]
    assert replayed == [(60, 90), (200, 230), (400, 420)]
    assert (video.unique_seconds, video.watched_seconds, video.duration_seconds) == (510, 590, 600)
    assert (video.viewing_count, video.pause_count, video.seek_count, video.stall_count) == (1, 3, 3, 0)
    assert video.last_watched_time.ToMicroseconds() == beats[-1].at_us
    assert sum(each.weight for each in video.parts) == pytest.approx(1)
    assert sum(each.weight * each.value for each in video.parts) == pytest.approx(video.engagement_score)


async def test_videos_are_told_last_watched_first(stub: "VideoServiceAsyncStub") -> None:
    await stub.ApplyPlayback(request(1, [beat(0, 10, at=20, video="old"), beat(0, 10, at=90, video="new")]))
    viewer = await stub.GetViewer(wire.GetViewerRequest(user_id="ada"))
    assert [each.video_id for each in viewer.videos] == ["new", "old"]


async def test_a_video_is_told_second_by_second(stub: "VideoServiceAsyncStub") -> None:
    beats = [*played(0, 60, user="ada"), *played(0, 30, user="bob"), *played(10, 20, at=100, user="bob")]
    await stub.ApplyPlayback(request(1, beats))
    video = await stub.GetVideo(wire.GetVideoRequest(video_id="v"))
    assert (video.viewer_count, video.duration_seconds) == (2, 600)
    at_15, at_45 = video.retention[15], video.retention[45]
    assert (at_15.second, at_15.viewer_count, at_15.play_count, at_15.retention_ratio) == (15, 2, 3, 1.0)
    assert (at_45.viewer_count, at_45.play_count, at_45.retention_ratio) == (1, 1, 0.5)
    assert [(each.start_seconds, each.end_seconds) for each in video.replay_hot_spots] == [(10, 20)]
    assert (25, 30) in [(each.start_seconds, each.end_seconds) for each in video.drop_offs]


async def test_the_session_is_the_viewing_where_none_is_told(stub: "VideoServiceAsyncStub") -> None:
    await stub.ApplyPlayback(request(1, [beat(0, 10, viewing="s1"), beat(10, 20, viewing="s2")]))
    viewer = await stub.GetViewer(wire.GetViewerRequest(user_id="ada"))
    assert viewer.videos[0].viewing_count == 2


async def test_strangers_are_not_found(stub: "VideoServiceAsyncStub") -> None:
    with pytest.raises(NotFound, match="USER_NOT_FOUND"):
        await stub.GetViewer(wire.GetViewerRequest(user_id="ada"))
    with pytest.raises(NotFound, match="VIDEO_NOT_FOUND"):
        await stub.GetVideo(wire.GetVideoRequest(video_id="v"))


async def test_wrong_batches_are_refused(stub: "VideoServiceAsyncStub") -> None:
    nameless = request(1, [beat(video="")])
    for wrong in (nameless, wire.ApplyPlaybackRequest(events=nameless.events)):
        with pytest.raises(InvalidArgument):
            await stub.ApplyPlayback(wrong)


async def test_a_batch_from_before_the_checkpoint_is_refused(stub: "VideoServiceAsyncStub") -> None:
    for sequence in (1, 2, 3):
        await stub.ApplyPlayback(request(sequence, [beat(0, 10, at=sequence)]))
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        await stub.ApplyPlayback(request(1, [beat(0, 10, at=1)]))
