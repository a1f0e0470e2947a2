"""Little in, little kept, little out: what a playback event may cost, whatever it claims."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2
from journeymesh.video.v1 import video_pb2 as wire

from mesh.state import applied
from services.video import translation
from services.video.domain import playback
from services.video.domain.playback import Action, PlaybackEvent, Watched
from services.video.domain.viewer import KEPT_VIDEOS, Card, Viewer
from services.video.states import OPEN_VIEWERS
from tests.builders import NOW_US
from tests.video.builders import World, playback_event, played

# What a viewer or a video costs at all, and what one more playback event may add: bytes.
AT_ALL = 400
A_BEAT = 400
ANSWER = 40_000


async def kept(world: World, *, but_for: str = "") -> int:
    """Bytes in the store."""
    return sum(len(blob) for key, blob in world.state._values.items() if not but_for or but_for not in key)


async def answers(world: World, user: str, video: str) -> int:
    """Bytes of the two answers."""
    answer = translation.viewer_message(user, await world.playback.viewer(user))
    curve = translation.video_message(video, await world.playback.video(video))
    return answer.ByteSize() + curve.ByteSize()


def event(**playback: float | str) -> event_pb2.Event:
    claimed = event_pb2.Playback(video_id="v", action=event_pb2.PLAYBACK_ACTION_HEARTBEAT)
    for name, value in playback.items():
        setattr(claimed, name, value)
    return event_pb2.Event(
        event_id="e",
        user_id="ada",
        event_type=event_pb2.EVENT_TYPE_VIDEO_PLAYBACK,
        event_time_us=NOW_US,
        playback=claimed,
    )


EXPENSIVE = {
    "the end of the longest video": {"position_seconds": 604_800.0, "watched_seconds": 10.0},
    "the last second that is counted": {"position_seconds": 14_400.0, "watched_seconds": 1.0},
    "the whole of it": {"position_seconds": 14_400.0, "watched_seconds": 14_400.0},
    "a day": {"position_seconds": 86_400.0, "watched_seconds": 86_400.0, "duration_seconds": 86_400.0},
    "all there is": {"position_seconds": 1e300, "watched_seconds": 1e300, "duration_seconds": 1e300},
}


async def test_the_most_expensive_playback_event_is_cheap() -> None:
    for members in EXPENSIVE.values():
        world = World()
        await world.send(*translation.playback_events_of(wire.ApplyPlaybackRequest(events=[event(**members)])))
        # The envelope holds the state before and after the batch.
        assert await kept(world) < 2 * AT_ALL
        assert await answers(world, "ada", "v") < ANSWER


async def test_each_new_video_costs_little() -> None:
    world = World()
    for number in range(200):
        await world.send(playback_event(0, 14_400, at=number, video=f"v{number}"))
    assert await kept(world, but_for="user:") < 200 * AT_ALL
    assert await kept(world) - await kept(world, but_for="user:") < KEPT_VIDEOS * 2 * AT_ALL
    answer = translation.viewer_message("ada", await world.playback.viewer("ada"))
    assert len(answer.videos) == KEPT_VIDEOS
    assert answer.ByteSize() < KEPT_VIDEOS * AT_ALL


PLAYBACK_EVENTS = st.builds(
    lambda end, watched, at, action, viewing, duration: playback_event(
        max(0, end - watched), end, at=at, action=action, viewing=f"w{viewing}", duration=duration
    ),
    end=st.integers(0, 15_000) | st.integers(0, 10**6),
    watched=st.integers(0, 20_000),
    at=st.integers(0, 10_000),
    action=st.sampled_from(Action),
    viewing=st.integers(0, 30),
    duration=st.sampled_from([0.0, 600.0, 14_400.0]) | st.floats(1, 86_400),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(PLAYBACK_EVENTS, min_size=1, max_size=150))
async def test_kept_bytes_and_answers_grow_no_faster_than_the_requests(
    sent_events: list[PlaybackEvent],
) -> None:
    world = World()
    for each in sent_events:
        await world.send(each)
    assert await kept(world) < 2 * (AT_ALL + A_BEAT * len(sent_events))
    assert await answers(world, "ada", "v") < ANSWER + A_BEAT * len(sent_events)


VIEWER = 64 * 1024
TOLD = 128 * 1024
GROWTH = 900
"""Bytes written per byte that a client sent, for batches of one playback event of 160 bytes."""

SCATTERED = {
    "a second here and there": lambda n: playback_event(
        61 * (n // 50), 61 * (n // 50) + 1.1, at=n, video=f"v{n % 50}", duration=86_000, viewing=f"w{n // 50}"
    ),
    "jumps": lambda n: playback_event(
        61 * (n // 50) + 30,
        61 * (n // 50) + 31,
        at=n,
        video=f"v{n % 50}",
        action=Action.SEEK if n % 3 else Action.HEARTBEAT,
        seek_from=61 * (n // 50),
        duration=86_000,
    ),
    "the same places twice": lambda n: playback_event(
        61 * (n // 50 % 130), 61 * (n // 50 % 130) + 5, at=n, video=f"v{n % 50}", duration=86_000
    ),
    "long names": lambda n: playback_event(
        61 * (n // 50), 61 * (n // 50) + 1, at=n, video=f"{n % 50:0>3}" + "\U00020bb7" * 125, topic="\U00020bb7" * 128
    ),
}


@pytest.mark.parametrize("make", SCATTERED.values(), ids=SCATTERED.keys())
async def test_a_viewer_is_bounded_and_so_is_what_one_more_playback_event_writes(
    make: Callable[[int], PlaybackEvent],
) -> None:
    world = World()
    for first in range(0, 13_400, 670):
        await world.send(*map(make, range(first, first + 670)))
    assert len(applied.current(world.state._values["user:ada"])) < VIEWER
    answer = translation.viewer_message("ada", await world.playback.viewer("ada"))
    assert answer.ByteSize() < TOLD
    written = 0
    for number in range(13_400, 13_500):
        await world.send(make(number))
        written += len(world.state._values["user:ada"])
    assert written < GROWTH * 160 * 100


async def test_the_reported_numbers_of_a_video_watched_earlier_stay() -> None:
    world = World()
    await world.send(*played(0, 600), *played(100, 160, at=700))
    before = translation.viewer_message("ada", await world.playback.viewer("ada")).videos[0]
    for number in range(8):
        await world.send(*played(0, 100, at=1000 + 200 * number, video=f"other{number}"))
    (after,) = [
        each
        for each in translation.viewer_message("ada", await world.playback.viewer("ada")).videos
        if each.video_id == "v"
    ]
    assert after == before
    await world.send(*played(590, 600, at=3000))
    (again,) = [
        each
        for each in translation.viewer_message("ada", await world.playback.viewer("ada")).videos
        if each.video_id == "v"
    ]
    assert again.watched_seconds == before.watched_seconds + 10


async def test_a_viewer_whom_the_version_before_kept_whole_becomes_small() -> None:
    watched = Watched(
        duration_ms=86_000_000,
        once=[1000 * n for n in range(512)],
        event_keys=bytes(2048),
        session_keys=bytes(512),
        session_count=9,
    )
    card = Card(50.0, 0.5, 0.5, 100, NOW_US, "", "", playback.encode(watched))
    old = msgspec.msgpack.encode(Viewer(cards={f"v{n}": card for n in range(50)}))
    opened = OPEN_VIEWERS.decode(old)
    assert len(old) > 3 * VIEWER
    assert len(OPEN_VIEWERS.encode(opened)) < VIEWER
    assert {each.engagement for each in opened.viewer.cards.values()} == {50.0}


async def test_a_curve_has_at_most_a_thousand_points_and_covers_the_whole_video() -> None:
    for seconds, points, step in ((600, 600, 1), (1000, 1000, 1), (1001, 501, 2), (14_400, 960, 15)):
        world = World()
        await world.send(playback_event(0, seconds, at=seconds, duration=seconds))
        message = translation.video_message("v", await world.playback.video("v"))
        assert [each.second for each in message.retention] == list(range(0, points * step, step))
        assert {each.viewer_count for each in message.retention} == {1}
