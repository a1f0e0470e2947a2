"""How a video is watched by all."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import NotFound
from mesh.state import applied
from mesh.state.applied import Batch
from services.video.domain import retention
from services.video.domain.lengths import Change
from services.video.domain.playback import Action, Effect, PlaybackEvent
from services.video.domain.retention import Counts, Curve
from services.video.states import CURVES, DENSE_CURVES
from tests.video.builders import World, playback_event, played, plays

PLAYBACK_EVENTS = st.lists(
    st.builds(
        lambda user, end, watched, at: playback_event(max(0, end - watched), end, at=at, user=user, duration=60),
        user=st.sampled_from(["ada", "bob", "eve"]),
        end=st.sampled_from([10, 20, 30]) | st.integers(0, 30).map(lambda half: 2 * half),
        watched=st.integers(0, 12),
        at=st.integers(0, 30),
    ),
    min_size=1,
    max_size=25,
)


@given(PLAYBACK_EVENTS)
async def test_counts_are_those_of_counting_one_by_one(events: list[PlaybackEvent]) -> None:
    world = World()
    for index, each in enumerate(events):
        # Users stay on their shard.
        await world.send(each, shard="3" if each.user_id == "ada" else "4")
        assert index < world.sequence
    curve = await world.playback.video("v")
    users: list[list[str]] = [[] for _ in range(60)]
    for one, start_ms, end_ms in plays(events):
        for second in range(start_ms // 1000, end_ms // 1000):
            users[second].append(one.user_id)
    length = len(curve.plays)
    assert curve.viewer_count == len({each.user_id for each in events})
    assert curve.plays == [len(each) for each in users[:length]]
    assert curve.viewers == [len(set(each)) for each in users[:length]]
    assert not any(users[length:])
    assert not curve.plays or curve.plays[-1]


async def test_scripts_do_not_count() -> None:
    world = World()
    await world.send(*played(0, 30), playback_event(0, 30, user="crawler", is_bot=True))
    curve = await world.playback.video("v")
    assert (curve.viewer_count, curve.viewers) == (1, [1] * 30)


async def test_a_video_nobody_watched_is_not_found() -> None:
    with pytest.raises(NotFound, match="VIDEO_NOT_FOUND"):
        await World().playback.video("v")


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 20_000)), max_size=10))
def test_bytes_and_back(stretches: list[tuple[int, int]]) -> None:
    counts = Counts()
    for start, length in stretches:
        stretch = (start * 1000, (start + length) * 1000)
        effect = Effect(length * 1000, [stretch], [start * 1000, start * 1000 + 700], Change(600_000))
        retention.count(counts, effect, is_new_viewer=True)
    assert CURVES.decode(CURVES.encode(counts)) == counts
    assert list(counts.seconds) == sorted(set(counts.seconds))
    # A stretch changes the counts at its ends only.
    assert len(counts.seconds) <= 4 * len(stretches)
    assert len(CURVES.encode(counts)) <= 40 + 40 * len(stretches)


def test_a_video_of_the_first_version_is_read_and_added() -> None:
    stored = (Path(__file__).parent / "golden" / "counts-dense.msgpack").read_bytes()
    dense = DENSE_CURVES.decode(stored)
    assert list(dense.seconds) == [0, 10, 20, 30]
    new = Counts()
    retention.count(new, Effect(5000, [(0, 5000)], [0, 5000], Change(600_000)), is_new_viewer=True)
    curve = retention.curve([new, dense])
    assert (curve.duration_ms, curve.viewer_count) == (600_000, 3)
    assert curve.plays == [3] * 5 + [2] * 5 + [3] * 10 + [1] * 10
    assert curve.viewers == [3] * 5 + [2] * 15 + [1] * 10


async def test_old_and_new_counts_of_a_video_stand_side_by_side() -> None:
    world = World()
    dense = (Path(__file__).parent / "golden" / "counts-dense.msgpack").read_bytes()
    before = Batch("events", "3", (1,))
    await world.state.save({"video:3:v": applied.seal(applied.resume(None, before), dense, before)}, before.fence)
    await world.shards.add("3")
    assert (await world.playback.video("v")).viewer_count == 2
    world.sequence = 1
    await world.send(*played(0, 10, user="eve"))
    curve = await world.playback.video("v")
    assert (curve.viewer_count, curve.plays[0]) == (3, 3)


def test_drop_offs_are_the_steepest_falls() -> None:
    viewers = [100] * 20 + [60] * 20 + [40] * 20 + [38] * 20
    curve = Curve(80_000, 100, viewers, viewers)
    assert retention.drop_offs(curve) == [(15, 20), (35, 40)]


def test_hot_spots_are_replayed_above_what_is_usual() -> None:
    viewers = [100] * 60
    plays = [110] * 20 + [190] * 5 + [110] * 15 + [240] * 10 + [110] * 10
    assert retention.replay_hot_spots(Curve(60_000, 100, viewers, plays)) == [(40, 50), (20, 25)]


def test_nothing_stands_out_where_all_watch_alike() -> None:
    flat = Curve(60_000, 10, [10] * 60, [10] * 60)
    assert retention.drop_offs(flat) == []
    assert retention.replay_hot_spots(flat) == []
    assert retention.replay_hot_spots(Curve(0, 1, [], [])) == []


async def test_a_player_that_was_only_opened_is_a_viewer_of_nothing() -> None:
    world = World()
    await world.send(playback_event(action=Action.PLAY))
    curve = await world.playback.video("v")
    assert (curve.viewer_count, curve.viewers) == (1, [])


async def test_a_viewers_wrong_positions_make_no_drop_offs_and_no_hot_spots_for_all() -> None:
    world = World()
    for user in ("ada", "bob", "eve"):
        await world.send(*played(0, 300, user=user))
    await world.send(*(playback_event(200, 210, at=500 + n, user="ada", viewing=f"w{n}") for n in range(3)))
    before = await world.playback.video("v")
    await world.send(*(playback_event(14_000 + 20 * n, 14_010 + 20 * n, at=900 + n, user="ada") for n in range(20)))
    after = await world.playback.video("v")
    assert after == before
    assert retention.replay_hot_spots(after) == [(200, 210)]


async def test_without_a_known_length_unseen_seconds_do_not_make_others_hot_spots() -> None:
    world = World()
    for user in ("ada", "bob"):
        await world.send(*(playback_event(n, n + 10, at=n, user=user, duration=0) for n in range(0, 100, 10)))
        await world.send(
            *(playback_event(n, n + 10, at=500 + n, user=user, duration=0, viewing="w2") for n in range(0, 100, 10))
        )
    await world.send(playback_event(12_000, 12_010, at=900, duration=0))
    assert retention.replay_hot_spots(await world.playback.video("v")) == []
