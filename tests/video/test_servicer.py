"""The service behind a real server, with real interceptors and a real stub."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.common.v1.event_pb2 import Event
from journeymesh.video.v1 import video_pb2 as wire
from journeymesh.video.v1.video_pb2_grpc import VideoServiceStub, add_VideoServiceServicer_to_server

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from mesh.observability.metrics import Metrics
from services.video.domain.playback import Action, PlaybackEvent
from services.video.servicer import VideoServicer
from tests.serving import serving
from tests.video.builders import World, keen_learner, playback_event, played

if TYPE_CHECKING:
    from journeymesh.video.v1.video_pb2_grpc import VideoServiceAsyncStub


@pytest.fixture
async def stub() -> AsyncIterator["VideoServiceAsyncStub"]:
    servicer = VideoServicer(World().playback, Metrics())
    async with serving(lambda server: add_VideoServiceServicer_to_server(servicer, server)) as channel:
        yield VideoServiceStub(channel)


def event(of: PlaybackEvent) -> Event:
    """The playback event as its message."""
    made = Event(
        user_id=of.user_id,
        session_id=of.session_id,
        event_type=event_pb2.EVENT_TYPE_VIDEO_PLAYBACK,
        event_time_us=of.at_us,
        time_zone=of.time_zone,
        is_bot=of.is_bot,
    )
    message = made.playback
    message.video_id = of.video_id
    message.action = event_pb2.PlaybackAction.ValueType(of.action)
    message.position_seconds = of.end_ms / 1000
    message.watched_seconds = (of.end_ms - of.start_ms) / 1000
    message.duration_seconds = of.duration_ms / 1000
    message.seek_from_seconds = of.seek_from_ms / 1000
    message.content_type, message.topic = of.content_type, of.topic
    return made


def request(sequence: int, sent_events: Sequence[PlaybackEvent]) -> wire.ApplyPlaybackRequest:
    """The batch of one record as the dispatcher sends it."""
    made = wire.ApplyPlaybackRequest(events=map(event, sent_events))
    made.position.stream, made.position.shard = "events", "3"
    made.position.sequences.append(str(sequence))
    return made


def test_the_domain_numbers_actions_as_the_contract_does() -> None:
    actions = {
        name.removeprefix("PLAYBACK_ACTION_"): number for name, number in event_pb2.PlaybackAction.items() if number
    }
    assert {each.name: each.value for each in Action} == actions


async def test_a_keen_learner_is_reported(stub: "VideoServiceAsyncStub") -> None:
    sent_events = keen_learner()
    answer = await stub.ApplyPlayback(request(1, sent_events))
    assert len(answer.engagement_scores) == len(sent_events)
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
    assert video.last_watched_time.ToMicroseconds() == sent_events[-1].at_us
    assert sum(each.weight for each in video.parts) == pytest.approx(1)
    assert sum(each.weight * each.value for each in video.parts) == pytest.approx(video.engagement_score)


async def test_videos_are_listed_last_watched_first(stub: "VideoServiceAsyncStub") -> None:
    await stub.ApplyPlayback(
        request(1, [playback_event(0, 10, at=20, video="old"), playback_event(0, 10, at=90, video="new")])
    )
    viewer = await stub.GetViewer(wire.GetViewerRequest(user_id="ada"))
    assert [each.video_id for each in viewer.videos] == ["new", "old"]


async def test_a_video_is_reported_second_by_second(stub: "VideoServiceAsyncStub") -> None:
    sent_events = [*played(0, 60, user="ada"), *played(0, 30, user="bob"), *played(10, 20, at=100, user="bob")]
    await stub.ApplyPlayback(request(1, sent_events))
    video = await stub.GetVideo(wire.GetVideoRequest(video_id="v"))
    assert (video.viewer_count, video.duration_seconds) == (2, 600)
    at_15, at_45 = video.retention[15], video.retention[45]
    assert (at_15.second, at_15.viewer_count, at_15.play_count, at_15.retention_ratio) == (15, 2, 3, 1.0)
    assert (at_45.viewer_count, at_45.play_count, at_45.retention_ratio) == (1, 1, 0.5)
    assert [(each.start_seconds, each.end_seconds) for each in video.replay_hot_spots] == [(10, 20)]
    assert (25, 30) in [(each.start_seconds, each.end_seconds) for each in video.drop_offs]


async def test_without_a_playback_session_id_the_session_is_used(stub: "VideoServiceAsyncStub") -> None:
    await stub.ApplyPlayback(request(1, [playback_event(0, 10, viewing="s1"), playback_event(10, 20, viewing="s2")]))
    viewer = await stub.GetViewer(wire.GetViewerRequest(user_id="ada"))
    assert viewer.videos[0].viewing_count == 2


async def test_unknown_users_are_not_found(stub: "VideoServiceAsyncStub") -> None:
    with pytest.raises(NotFound, match="USER_NOT_FOUND"):
        await stub.GetViewer(wire.GetViewerRequest(user_id="ada"))
    with pytest.raises(NotFound, match="VIDEO_NOT_FOUND"):
        await stub.GetVideo(wire.GetVideoRequest(video_id="v"))


async def test_wrong_batches_are_refused(stub: "VideoServiceAsyncStub") -> None:
    nameless = request(1, [playback_event(video="")])
    for wrong in (nameless, wire.ApplyPlaybackRequest(events=nameless.events)):
        with pytest.raises(InvalidArgument):
            await stub.ApplyPlayback(wrong)


def odd(**members: float | str) -> Event:
    """A playback event with some members replaced; `playback_...` those of the playback."""
    made = event(playback_event(0, 10))
    for name, value in members.items():
        of = made.playback if name.startswith("playback_") else made
        setattr(of, name.removeprefix("playback_"), value)
    return made


WRONG = {
    "no user": odd(user_id=""),
    "a user with a long id": odd(user_id="u" * 129),
    "a long video id": odd(playback_video_id="v" * 129),
    "a long viewing id": odd(playback_viewing_id="w" * 129),
    "a long topic": odd(playback_topic="t" * 129),
    "a long zone": odd(time_zone="Europe/" + "x" * 200),
    "an action below all": odd(playback_action=-1),
    "no action": odd(playback_action=0),
    "a time before 1970": odd(event_time_us=-1),
    "the last time there is": odd(event_time_us=2**63 - 1),
    "a position that is no number": odd(playback_position_seconds=float("nan")),
    "an endless position": odd(playback_position_seconds=float("inf")),
    "an endless length": odd(playback_duration_seconds=float("inf")),
    "a jump from nowhere": odd(playback_seek_from_seconds=float("-inf")),
    "time that is no number": odd(playback_watched_seconds=float("nan")),
}


@pytest.mark.parametrize("action", [8, 99, 2**31 - 1])
async def test_an_action_of_a_newer_version_waits_for_the_upgrade(stub: "VideoServiceAsyncStub", action: int) -> None:
    asked = request(1, [])
    asked.events.append(odd(playback_action=action))
    with pytest.raises(Unavailable) as refused:
        await stub.ApplyPlayback(asked)
    assert refused.value.reason == "VERSION_MISMATCH"


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_an_impossible_event_is_refused_and_changes_nothing(stub: "VideoServiceAsyncStub", wrong: Event) -> None:
    await stub.ApplyPlayback(request(1, played(0, 30)))
    viewer, video = wire.GetViewerRequest(user_id="ada"), wire.GetVideoRequest(video_id="v")
    before = await stub.GetViewer(viewer), await stub.GetVideo(video)
    asked = request(2, [playback_event(30, 40, at=40)])
    asked.events.append(wrong)
    with pytest.raises(InvalidArgument) as refused:
        await stub.ApplyPlayback(asked)
    assert refused.value.reason in {"MISSING_FIELD", "INVALID_IDENTIFIER", "VALUE_OUT_OF_RANGE"}
    assert (await stub.GetViewer(viewer), await stub.GetVideo(video)) == before


@pytest.mark.parametrize(
    "members",
    [
        {"event_time_us": 0},
        {"event_time_us": 2**53, "time_zone": "Pacific/Kiritimati"},
        {"event_time_us": 1, "time_zone": "Pacific/Pago_Pago"},
        {"time_zone": "No/Where"},
        {"time_zone": "../../etc/passwd"},
        {"received_time_us": -(2**63)},
        {"playback_position_seconds": 1e300, "playback_watched_seconds": 1e300, "playback_duration_seconds": 1e300},
        {"playback_position_seconds": -0.021, "playback_watched_seconds": 10.0, "playback_duration_seconds": -1.0},
        {"playback_watched_seconds": -5.0, "playback_seek_from_seconds": -5.0, "playback_action": Action.SEEK.value},
    ],
)
async def test_accepted_events_can_be_read(stub: "VideoServiceAsyncStub", members: dict[str, Any]) -> None:
    asked = request(1, [])
    asked.events.extend([odd(**members)] * 2)
    (score, _) = (await stub.ApplyPlayback(asked)).engagement_scores
    assert 0 <= score <= 100
    viewer = await stub.GetViewer(wire.GetViewerRequest(user_id="ada"))
    assert viewer.videos[0].last_watched_time.ToMicroseconds() == asked.events[0].event_time_us
    await stub.GetVideo(wire.GetVideoRequest(video_id="v"))


async def test_a_standing_player_is_reported_as_it_is(stub: "VideoServiceAsyncStub") -> None:
    moves = [playback_event(10 * n, 10 * n + 10, at=10 * n + 10) for n in range(3)]
    stands = [playback_event(20, 30, at=40 + 10 * n) for n in range(12)]
    for sequence, each in enumerate([*moves, playback_event(30, 30, at=31, action=Action.PAUSE), *stands], 1):
        await stub.ApplyPlayback(request(sequence, [each]))
    (video,) = (await stub.GetViewer(wire.GetViewerRequest(user_id="ada"))).videos
    assert (video.watched_seconds, video.unique_seconds, len(video.replayed_segments)) == (30, 30, 0)
    assert not (await stub.GetVideo(wire.GetVideoRequest(video_id="v"))).replay_hot_spots


async def test_a_batch_from_before_the_checkpoint_is_refused(stub: "VideoServiceAsyncStub") -> None:
    for sequence in (1, 2, 3):
        await stub.ApplyPlayback(request(sequence, [playback_event(0, 10, at=sequence)]))
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        await stub.ApplyPlayback(request(1, [playback_event(0, 10, at=1)]))
