"""Beats in any order, however often repeated, tell the same; and the same as counting moments one by one."""

from hypothesis import given
from hypothesis import strategies as st

from services.video.domain import coverage, playback
from services.video.domain.engagement import replayed, skipped
from services.video.domain.playback import Action, Beat, Watched
from tests.video.builders import beat

BEATS = st.lists(
    st.builds(
        lambda end, watched, at, action, viewing, seek_from: beat(
            max(0, end - watched), end, at=at, action=action, viewing=viewing, seek_from=seek_from, duration=60
        ),
        end=st.integers(0, 60),
        watched=st.integers(0, 12),
        at=st.integers(0, 30),
        action=st.sampled_from(Action),
        viewing=st.sampled_from(["w1", "w2"]),
        seek_from=st.integers(0, 60),
    ),
    max_size=20,
)


def after(beats: list[Beat]) -> Watched:
    watched = Watched()
    for each in beats:
        playback.apply(watched, each)
    return watched


def told(watched: Watched) -> object:
    """All that a reader can be told."""
    counts = (watched.pause_count, watched.seek_count, watched.stall_count, watched.rate_change_count)
    sets = (watched.once, watched.twice, watched.skipped)
    return watched.duration_ms, watched.watched_ms, watched.viewing_count, counts, sets


@given(BEATS.flatmap(lambda beats: st.tuples(st.just(beats), st.permutations(beats * 2))))
def test_order_and_repeats_do_not_matter(drawn: tuple[list[Beat], list[Beat]]) -> None:
    beats, shuffled = drawn
    assert told(after(shuffled)) == told(after(beats))


@given(BEATS)
def test_it_is_what_counting_second_by_second_gives(beats: list[Beat]) -> None:
    watched = after(beats)
    plays = [0] * 60
    for _, _, start_ms, end_ms in {(each.viewing, each.at_us, each.start_ms, each.end_ms) for each in beats}:
        for second in range(start_ms // 1000, end_ms // 1000):
            plays[second] += 1

    def seconds(boundaries: list[int]) -> set[int]:
        return {s for start, end in coverage.stretches(boundaries) for s in range(start // 1000, end // 1000)}

    assert seconds(watched.once) == {second for second, count in enumerate(plays) if count}
    assert seconds(watched.twice) == {second for second, count in enumerate(plays) if count > 1}
    assert watched.watched_ms == 1000 * sum(plays)


@given(BEATS)
def test_what_was_never_seen_before_adds_up_to_the_coverage(beats: list[Beat]) -> None:
    watched = Watched()
    effects = [playback.apply(watched, each) for each in beats]
    assert sum(coverage.length(each.unseen) for each in effects) == coverage.length(watched.once)
    assert sum(each.played_ms for each in effects) == watched.watched_ms


@given(BEATS)
def test_bytes_and_back(beats: list[Beat]) -> None:
    watched = after(beats)
    assert playback.decode(playback.encode(watched)) == watched
    assert playback.decode(b"") == Watched()


def test_a_replay_is_another_beat_over_the_same_time() -> None:
    watched = after([beat(0, 30, at=30), beat(10, 20, at=60), beat(10, 20, at=60)])
    assert (watched.watched_ms, watched.once, watched.twice) == (40_000, [0, 30_000], [10_000, 20_000])


def test_a_players_rounding_is_no_replay_and_no_gap() -> None:
    watched = after([beat(0, 10.05, at=10), beat(9.95, 20, at=20), beat(20.02, 30, at=30)])
    assert replayed(watched) == []
    assert coverage.notable(watched.once, 1000, 2000) == [0, 30_000]


def test_what_was_skipped_is_so_until_it_is_seen() -> None:
    watched = after([beat(0, 10, at=10), beat(50, 50, at=11, action=Action.SEEK, seek_from=10)])
    assert skipped(watched) == [10_000, 50_000]
    playback.apply(watched, beat(20, 45, at=60))
    assert skipped(watched) == [10_000, 20_000, 45_000, 50_000]


def test_a_jump_back_skips_nothing() -> None:
    assert skipped(after([beat(10, 10, action=Action.SEEK, seek_from=50)])) == []


def test_state_stays_bounded() -> None:
    watched = Watched()
    for second in range(0, 6000, 2):
        playback.apply(watched, beat(second, second + 1, at=second, viewing=f"w{second}", duration=6000))
    assert len(watched.once) == 2 * playback.MOST_STRETCHES
    assert len(playback.encode(watched)) < 8_000
    assert watched.viewing_count == 3000


def test_numbers_of_a_player_become_milliseconds() -> None:
    told_seconds = [1.2345, -3, float("nan"), float("inf"), 1e12]
    assert [playback.milliseconds(each) for each in told_seconds] == [
        1234,
        0,
        0,
        playback.LONGEST_MS,
        playback.LONGEST_MS,
    ]
