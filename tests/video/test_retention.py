"""How a video is watched by all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import NotFound
from services.video.domain import retention
from services.video.domain.playback import Action, Beat, Effect
from services.video.domain.retention import Counts, Curve
from tests.video.builders import World, beat, played

BEATS = st.lists(
    st.builds(
        lambda user, end, watched, at: beat(max(0, end - watched), end, at=at, user=user, duration=60),
        user=st.sampled_from(["ada", "bob", "eve"]),
        end=st.integers(0, 60),
        watched=st.integers(0, 12),
        at=st.integers(0, 30),
    ),
    min_size=1,
    max_size=25,
)


@given(BEATS)
async def test_counts_are_those_of_counting_one_by_one(beats: list[Beat]) -> None:
    world = World()
    for index, each in enumerate(beats):
        # Users stay on their shard.
        await world.send(each, shard="3" if each.user_id == "ada" else "4")
        assert index < world.sequence
    curve = await world.playback.video("v")
    plays: list[list[str]] = [[] for _ in range(60)]
    for user, _, start_ms, end_ms in {(each.user_id, each.at_us, each.start_ms, each.end_ms) for each in beats}:
        for second in range(start_ms // 1000, end_ms // 1000):
            plays[second].append(user)
    length = len(curve.plays)
    assert curve.viewer_count == len({each.user_id for each in beats})
    assert curve.plays == [len(users) for users in plays[:length]]
    assert curve.viewers == [len(set(users)) for users in plays[:length]]
    assert not any(plays[length:])


async def test_scripts_do_not_count() -> None:
    world = World()
    await world.send(*played(0, 30), beat(0, 30, user="crawler", is_bot=True))
    curve = await world.playback.video("v")
    assert (curve.viewer_count, curve.viewers) == (1, [1] * 30 + [0])


async def test_a_video_nobody_watched_is_not_found() -> None:
    with pytest.raises(NotFound, match="VIDEO_NOT_FOUND"):
        await World().playback.video("v")


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 20_000)), max_size=10))
def test_bytes_and_back(effects: list[tuple[int, int]]) -> None:
    counts = Counts()
    for start, length in effects:
        retention.count(
            counts,
            Effect(start * 1000, (start + length) * 1000, [start * 1000, start * 1000 + 700]),
            0,
            is_new_viewer=True,
        )
    assert retention.decode(retention.encode(counts)) == counts
    assert len(counts.played) <= retention.LONGEST_SECONDS + 1
    assert len(retention.encode(counts)) < 120_000


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
    await world.send(beat(action=Action.PLAY))
    curve = await world.playback.video("v")
    assert (curve.viewer_count, curve.viewers) == (1, [])
