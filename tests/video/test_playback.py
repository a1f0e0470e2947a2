"""Playback events give the same result in any order and repeated, and the same as counting moments one by one."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.video.domain import coverage, playback, trail, viewer
from services.video.domain.engagement import replayed, skipped
from services.video.domain.playback import Action, PlaybackEvent, Watched
from services.video.states import OPEN_VIEWERS
from tests.video.builders import in_time, playback_event, plays

FEW = st.sampled_from([10, 20, 30])
# Positions apart by nothing, or by more than is taken for jitter.
APART = FEW | st.integers(0, 30).map(lambda half: 2 * half)


def playback_events_of(
    ends: st.SearchStrategy[int], actions: st.SearchStrategy[Action]
) -> st.SearchStrategy[list[PlaybackEvent]]:
    return st.lists(
        st.builds(
            lambda end, watched, at, action, viewing, seek_from: playback_event(
                max(0, end - watched), end, at=at, action=action, viewing=viewing, seek_from=seek_from, duration=60
            ),
            # Mostly few positions, so that many beats stand.
            end=ends,
            watched=st.integers(0, 12),
            at=st.integers(0, 30),
            action=actions,
            viewing=st.sampled_from(["w1", "w2"]),
            seek_from=st.integers(0, 60),
        ),
        max_size=20,
    )


PLAYBACK_EVENTS = playback_events_of(FEW | st.integers(0, 60), st.sampled_from(Action))
# If no event marks where a run begins, its claim from before cannot be distinguished from real playback.
UNTOLD = playback_events_of(APART, st.sampled_from([each for each in Action if each not in {Action.PLAY, Action.SEEK}]))


def after(events: list[PlaybackEvent]) -> Watched:
    watched = Watched()
    for each in events:
        playback.apply(watched, each)
    return watched


def known(watched: Watched) -> object:
    """Everything that can be read of it."""
    counts = (watched.pause_count, watched.seek_count, watched.stall_count, watched.rate_change_count)
    sets = (watched.once, watched.twice, watched.skipped)
    return watched.duration_ms, watched.watched_ms, watched.session_count, counts, sets


@given(UNTOLD.flatmap(lambda events: st.tuples(st.just(events), st.permutations(events * 2))))
def test_order_and_repeats_do_not_matter(drawn: tuple[list[PlaybackEvent], list[PlaybackEvent]]) -> None:
    events, shuffled = drawn
    assert known(after(shuffled)) == known(after(events))


@given(PLAYBACK_EVENTS)
def test_it_is_what_counting_second_by_second_gives(events: list[PlaybackEvent]) -> None:
    watched = after(in_time(events))
    counts = [0] * 60
    for _, start_ms, end_ms in plays(events):
        for second in range(start_ms // 1000, end_ms // 1000):
            counts[second] += 1

    def seconds(boundaries: list[int]) -> set[int]:
        return {s for start, end in coverage.stretches(boundaries) for s in range(start // 1000, end // 1000)}

    assert seconds(watched.once) == {second for second, count in enumerate(counts) if count}
    assert seconds(watched.twice) == {second for second, count in enumerate(counts) if count > 1}
    assert watched.watched_ms == 1000 * sum(counts)


@given(PLAYBACK_EVENTS)
def test_newly_seen_parts_add_up_to_the_coverage(events: list[PlaybackEvent]) -> None:
    watched = Watched()
    effects = [playback.apply(watched, each) for each in events]
    assert sum(coverage.length(each.unseen) for each in effects) == coverage.length(watched.once)
    assert sum(each.played_ms for each in effects) == watched.watched_ms


@given(PLAYBACK_EVENTS)
def test_bytes_and_back(events: list[PlaybackEvent]) -> None:
    watched = after(events)
    assert playback.decode(playback.encode(watched)) == watched
    assert playback.decode(b"") == Watched()


def test_a_replay_is_another_playback_event_over_the_same_seconds() -> None:
    watched = after([playback_event(0, 30, at=30), playback_event(10, 20, at=60), playback_event(10, 20, at=60)])
    assert (watched.watched_ms, watched.once, watched.twice) == (40_000, [0, 30_000], [10_000, 20_000])


def test_a_players_rounding_is_no_replay_and_no_gap() -> None:
    watched = after(
        [playback_event(0, 10.05, at=10), playback_event(9.95, 20, at=20), playback_event(20.02, 30, at=30)]
    )
    assert replayed(watched) == []
    assert coverage.notable(watched.once, 1000, 2000) == [0, 30_000]


def test_skipped_parts_stay_skipped_until_they_are_seen() -> None:
    watched = after([playback_event(0, 10, at=10), playback_event(50, 50, at=11, action=Action.SEEK, seek_from=10)])
    assert skipped(watched) == [10_000, 50_000]
    playback.apply(watched, playback_event(20, 45, at=60))
    assert skipped(watched) == [10_000, 20_000, 45_000, 50_000]


def test_a_jump_back_skips_nothing() -> None:
    assert skipped(after([playback_event(10, 10, action=Action.SEEK, seek_from=50)])) == []


def test_state_stays_bounded() -> None:
    watched = Watched()
    for second in range(0, 6000, 2):
        playback.apply(watched, playback_event(second, second + 1, at=second, viewing=f"w{second}", duration=6000))
    assert len(watched.once) == 2 * playback.MOST_STRETCHES
    assert len(playback.encode(watched)) < 8_000
    assert watched.session_count == 3000


def test_numbers_of_a_player_become_milliseconds() -> None:
    assert [playback.position_ms(each) for each in (1.2345, -3, 917_302.5, 1e300)] == [1234, 0, 917_302_500, 10**15]
    assert [playback.length_ms(each) for each in (1.2345, 0, -0.001, 86_400, 86_401, 604_800)] == [
        1234,
        0,
        0,
        86_400_000,
        0,
        0,
    ]


# A player that stands.


def stands(begin: float, count: int, position: float = 30, **members: Any) -> list[PlaybackEvent]:
    """Playback events every ten seconds of a standing player; each claims the ten seconds before its position."""
    return [playback_event(position - 10, position, at=begin + 10 * number, **members) for number in range(count)]


def plays_on(start: int, end: int, begin: float, **members: Any) -> list[PlaybackEvent]:
    return [playback_event(s, s + 10, at=begin + s - start + 10, **members) for s in range(start, end, 10)]


STOOD = {
    "after a pause": [*plays_on(0, 30, 0), playback_event(30, 30, at=31, action=Action.PAUSE), *stands(40, 12)],
    "in a stall": [*plays_on(0, 30, 0), playback_event(30, 30, at=31, action=Action.STALL), *stands(40, 12)],
    "without a word": [*plays_on(0, 30, 0), *stands(40, 12)],
    "after its end, reported twice": [
        *plays_on(0, 30, 0),
        *(playback_event(20, 30, at=at, action=Action.ENDED, duration=30) for at in (30.5, 31)),
    ],
    "while it claims ever more": [*plays_on(0, 30, 0), *(playback_event(30 - n, 30, at=40 + n) for n in range(1, 11))],
    "reported out of order": [*stands(40, 12), *reversed(plays_on(0, 30, 0))],
}


@pytest.mark.parametrize("events", STOOD.values(), ids=STOOD.keys())
def test_a_position_that_stands_is_not_watched_time(events: list[PlaybackEvent]) -> None:
    watched = after(events)
    assert (watched.watched_ms, watched.once, watched.twice) == (30_000, [0, 30_000], [])
    assert known(after(list(reversed(events)))) == known(watched)


JITTER = {
    "by a millisecond": [0.001 * (n % 3 - 1) for n in range(20)],
    "by a frame with each event": [0.04 * n for n in range(1, 21)],
    "by a quarter of a second with each event": [0.25 * n for n in range(1, 21)],
    "back by a little with each event": [-0.04 * n for n in range(1, 21)],
    "about half a second to and fro": [0.5 * (n % 2) for n in range(20)],
    "by whole seconds that are cut off": [-(n % 2) for n in range(20)],
    "at random": [random.Random(n).uniform(-0.5, 0.5) for n in range(20)],  # noqa: S311 - the same each time
}


@pytest.mark.parametrize("moved", JITTER.values(), ids=JITTER.keys())
def test_a_nearly_standing_position_counts_as_far_as_it_moved(moved: list[float]) -> None:
    stood = [playback_event(20 + by, 30 + by, at=40 + 10 * number) for number, by in enumerate(moved)]
    paused = playback_event(30, 30, at=31, action=Action.PAUSE)
    for events in ([*plays_on(0, 30, 0), *stood], [*plays_on(0, 30, 0), paused, *stood]):
        watched = after(events)
        assert watched.watched_ms == 30_000 + round(1000 * max(0, *moved))
        assert watched.twice == []
        assert watched.pause_count == events.count(paused)


def test_a_pause_reported_again_slightly_off_is_one() -> None:
    assert (
        after([playback_event(30 + by, 30 + by, at=31 + by, action=Action.PAUSE) for by in (0, 0.02, -0.3)]).pause_count
        == 1
    )


CLAIMS = {
    "ten seconds of each five": [playback_event(max(0, 5 * n - 10), 5 * n, at=5 * n) for n in range(1, 25)],
    "ten seconds of each one": [playback_event(max(0, n - 10), n, at=n) for n in range(1, 121)],
    "all so far": [playback_event(0, 10 * n, at=10 * n) for n in range(1, 13)],
    "ten seconds, at a pause between": [
        playback_event(0, 0, at=0, action=Action.PLAY),
        *(
            each
            for n in range(12)
            for each in (
                playback_event(10 * n + 5, 10 * n + 5, at=20 * n + 5, action=Action.PAUSE),
                playback_event(10 * n + 5, 10 * n + 5, at=20 * n + 14, action=Action.PLAY),
                playback_event(10 * n, 10 * n + 10, at=20 * n + 19),
            )
        ),
    ],
}


@pytest.mark.parametrize("events", CLAIMS.values(), ids=CLAIMS.keys())
def test_claims_beyond_the_movement_of_the_position_count_once(events: list[PlaybackEvent]) -> None:
    watched = after(events)
    assert (watched.watched_ms, watched.once, watched.twice) == (120_000, [0, 120_000], [])


def test_playback_events_in_a_stall_add_what_played_after_it() -> None:
    stalled = [
        playback_event(30, 30, at=31, action=Action.STALL),
        playback_event(20, 30, at=41),
        playback_event(20.2, 30.2, at=51),
    ]
    goes_on = [playback_event(30.3, 30.3, at=60, action=Action.PLAY), playback_event(30.3, 40.3, at=70)]
    assert after([*plays_on(0, 30, 0), *stalled, *goes_on]).watched_ms == 40_200


BEGUN = {
    "after a jump that is reported": [
        *plays_on(0, 10, 0),
        playback_event(300, 300, at=12, action=Action.SEEK, seek_from=12),
        playback_event(300, 300, at=12.5, action=Action.SEEK),
        playback_event(293, 303, at=15.5),
    ],
    "after a jump that claims": [
        *plays_on(0, 10, 0),
        playback_event(290, 300, at=12, action=Action.SEEK, seek_from=12),
        playback_event(293, 303, at=15.5),
    ],
    "after a jump back": [
        *plays_on(0, 10, 0),
        *plays_on(390, 400, 10),
        playback_event(300, 300, at=30, action=Action.SEEK, seek_from=400),
        playback_event(293, 303, at=33),
    ],
    "where playing began": [playback_event(300, 300, at=0, action=Action.PLAY), playback_event(293, 303, at=3)],
    "where playing began again": [
        *plays_on(390, 400, 10),
        playback_event(300, 300, at=30, action=Action.PLAY),
        playback_event(293, 303, at=33),
    ],
}


@pytest.mark.parametrize("events", BEGUN.values(), ids=BEGUN.keys())
def test_claims_from_before_the_beginning_were_not_played(events: list[PlaybackEvent]) -> None:
    once = after(events).once
    assert coverage.inside(once, 250_000, 350_000) == [300_000, 303_000]
    assert coverage.inside(after(events * 2).once, 250_000, 350_000) == [300_000, 303_000], "nor when reported again"


def test_playback_after_standing_counts() -> None:
    watched = after([*plays_on(0, 30, 0), *stands(40, 12), *plays_on(30, 60, 170)])
    assert (watched.watched_ms, watched.twice) == (60_000, [])


BACK = {
    "by a jump back": [playback_event(20, 20, at=165, action=Action.SEEK, seek_from=30)],
    "by a jump that another player of the session reports": [playback_event(10, 20, at=165)],
    "after it played on": [playback_event(30, 40, at=165)],
}


@pytest.mark.parametrize("between", BACK.values(), ids=BACK.keys())
def test_returning_to_a_position_is_watching_again(between: list[PlaybackEvent]) -> None:
    alone = after([*plays_on(0, 30, 0), *between]).watched_ms
    watched = after([*plays_on(0, 30, 0), *stands(40, 12), *between, *stands(175, 3)])
    assert watched.watched_ms == alone + 10_000
    assert watched.twice != []
    late = after([*plays_on(0, 30, 0), *stands(40, 12), *stands(175, 3), *between])
    assert known(late) == known(watched), "the jump back comes last"


def test_another_viewing_watches_again() -> None:
    watched = after([*plays_on(0, 30, 0), *stands(40, 3, viewing="w2")])
    assert (watched.watched_ms, watched.twice) == (40_000, [20_000, 30_000])


@pytest.mark.parametrize(
    ("action", "count"),
    [
        (Action.PAUSE, "pause_count"),
        (Action.STALL, "stall_count"),
        (Action.SEEK, "seek_count"),
        (Action.RATE_CHANGE, "rate_change_count"),
    ],
)
def test_an_action_reported_twice_with_nothing_between_is_one(action: Action, count: str) -> None:
    once, again, later = (playback_event(30, 30, at=at, action=action, seek_from=10) for at in (31, 31.2, 90))
    between = playback_event(50, 60, at=60)
    assert getattr(after([once, again]), count) == 1
    assert getattr(after([once, again, between, later]), count) == 2
    assert getattr(after([once, later, between, again]), count) == 2, "whatever comes first"


def test_a_long_pause_is_known_without_remembering_every_playback_event() -> None:
    watched = after([playback_event(5, 30, at=30), *stands(40, 500)])
    assert (watched.watched_ms, watched.once, watched.twice) == (25_000, [5_000, 30_000], [])
    assert len(trail.moments_of(watched.trail)) == trail.REMEMBERED_MOMENTS


# Live streams.


def test_live_streams_count_time_without_positions() -> None:
    live = [playback_event(917_302 + n, 917_312 + n, at=n, duration=0) for n in range(0, 60, 10)]
    watched = after(
        [*live, *live, playback_event(917_300, 917_300, at=99, action=Action.SEEK, seek_from=9, duration=0)]
    )
    assert watched.watched_ms == 60_000
    assert (watched.once, watched.twice, watched.skipped, watched.duration_ms) == ([], [], [], 0)
    standing = [playback_event(917_302, 917_312, at=n, duration=0) for n in range(0, 60, 10)]
    assert after(standing).watched_ms == 10_000


def test_state_of_the_first_version_continues() -> None:
    stored = (Path(__file__).parent / "golden" / "viewer-1.msgpack").read_bytes()
    opened = OPEN_VIEWERS.decode(stored)
    viewer.watch(opened, playback_event(30, 40, at=40))
    watched = playback.decode(viewer.closed(opened).cards["v"].watched)
    assert (watched.watched_ms, watched.once, watched.session_count, watched.duration_ms) == (
        40_000,
        [0, 40_000],
        1,
        600_000,
    )
    assert after([playback_event(0, 10, at=10)]) == playback.decode(
        playback.encode(after([playback_event(0, 10, at=10)]))
    )


# Guesses.


def guessed(end: float, at: float, **members: Any) -> PlaybackEvent:
    """A single playback event with only a position: it is guessed to have played ten seconds."""
    return playback_event(max(0, end - 10), end, at=at, is_guessed=True, **members)


GUESSES: list[tuple[list[PlaybackEvent], float]] = [
    ([guessed(10 * n, 10 * n) for n in range(1, 13)], 120),
    ([guessed(5 * n, 5 * n) for n in range(1, 25)], 120),
    ([guessed(n, n) for n in range(1, 61)], 60),
    ([guessed(20 * n, 10 * n) for n in range(1, 7)], 60),  # at twice the speed: ten of twenty seconds are known
    ([guessed(10, 10), playback_event(300, 300, at=12, action=Action.SEEK, seek_from=12), guessed(303, 15)], 13),
    ([guessed(10, 10), guessed(300, 13), guessed(305, 18)], 10 + 3 + 5),
    ([guessed(10, 10), guessed(3, 14), guessed(8, 19)], 10 + 3 + 5),
    ([guessed(10, 10), guessed(10, 20), guessed(10, 30)], 10),
    ([guessed(10, 10), guessed(20, 20), guessed(20, 20)], 20),
    ([guessed(10, 10), guessed(20, 20, viewing="w2")], 20),
    ([playback_event(0, 0, at=0, action=Action.PLAY), guessed(3, 3)], 3),
    # An explicit claim is believed.
    ([guessed(10, 10), playback_event(290, 300, at=13)], 20),
]


@pytest.mark.parametrize(("events", "seconds"), GUESSES)
def test_a_guess_goes_back_no_further_than_the_previous_event(events: list[PlaybackEvent], seconds: float) -> None:
    watched = after(events)
    assert watched.watched_ms == seconds * 1000
    assert watched.once[-1] == max(each.end_ms for each in events if each.action is Action.HEARTBEAT)
    assert known(after([*events, *events])) == known(watched)


# What cannot be.


def hours(events: list[PlaybackEvent]) -> float:
    return after(events).watched_ms / 3_600_000


IMPLAUSIBLE = {
    "a day a second": [playback_event(0, 86_400 - n, at=n, duration=0) for n in range(100)],
    "a day a second, each in a viewing of its own": [
        playback_event(0, 86_400 - n, at=n, duration=0, viewing=f"w{n}") for n in range(100)
    ],
    "a day a second, backwards": [playback_event(0, 86_400 - n, at=-n, duration=0) for n in range(100)],
    "an hour at a time, all at once": [playback_event(0, 3600 + n, at=0, duration=7200) for n in range(100)],
    "half a minute, a thousand times": [
        playback_event(60 * n, 60 * n + 30, at=n / 10, duration=0) for n in range(1000)
    ],
    "of a live stream": [playback_event(1e9 + 100 * n, 1e9 + 100 * n + 86_400, at=n) for n in range(100)],
}


@pytest.mark.parametrize("events", IMPLAUSIBLE.values(), ids=IMPLAUSIBLE.keys())
def test_watched_time_is_limited_by_the_time_that_passed(events: list[PlaybackEvent]) -> None:
    assert hours(events) <= 100 * playback.FASTEST / 3600 + playback.MOST_ALONE_MS / 3_600_000


def test_time_that_passed_is_used_once() -> None:
    after_a_day = [
        playback_event(0, 10, at=-86_400),
        *(playback_event(0, 86_400 - n, at=n, duration=0) for n in range(1, 101)),
    ]
    assert hours(after_a_day) <= 24 + (100 * playback.FASTEST + 600) / 3600


def test_claims_beyond_it_are_cut_at_its_beginning() -> None:
    watched = after([playback_event(0, 10, at=10), playback_event(0, 7200, at=20, duration=7200)])
    # 10 seconds at 16 times the speed, and the slack, less the 10 seconds before.
    assert watched.once == [0, 10_000, 7_200_000 - 160_000 - 600_000 + 10_000, 7_200_000]
    assert watched.watched_ms == 10_000 + 160_000 + 600_000 - 10_000


PLAUSIBLE = {
    "at once": plays_on(0, 3600, 0),
    "at 16 times the speed": [
        playback_event(160 * n, 160 * (n + 1), at=10 * (n + 1), duration=7200) for n in range(40)
    ],
    "on a pause only": [
        playback_event(0, 0, at=0, action=Action.PLAY),
        playback_event(0, 1500, at=1500, action=Action.PAUSE),
    ],
    "with one event at its end": [playback_event(0, 5400, at=5400, action=Action.ENDED, duration=5400)],
    "by a clock of whole minutes": [playback_event(20 * n, 20 * (n + 1), at=60 * (n // 3)) for n in range(30)],
}


@pytest.mark.parametrize("events", PLAUSIBLE.values(), ids=PLAUSIBLE.keys())
def test_plausible_playback_counts_in_full_in_any_order(events: list[PlaybackEvent]) -> None:
    reported_ms = sum(each.end_ms - each.start_ms for each in events)
    shuffled = random.Random(1).sample(events, len(events))  # noqa: S311 - the same order each time
    for order in (events, list(reversed(events)), shuffled):
        assert after(order).watched_ms == reported_ms


def test_a_repeated_playback_event_uses_up_nothing() -> None:
    once = after([playback_event(0, 10, at=10), playback_event(0, 500, at=11, duration=7200)])
    again = after([playback_event(0, 10, at=10), *[playback_event(0, 500, at=11, duration=7200)] * 9])
    assert (again.watched_ms, again.ahead_ms) == (once.watched_ms, once.ahead_ms)
