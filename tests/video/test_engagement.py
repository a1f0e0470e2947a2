"""Scores, taste, and the product's third worked example."""

import datetime as dt
import zoneinfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.video.domain import taste, viewer
from services.video.domain.engagement import WEIGHTS, Parts, parts, score
from services.video.domain.playback import Action, PlaybackEvent, Watched
from services.video.domain.viewer import OpenViewer, Viewer
from tests.video.builders import SECOND, keen_learner, playback_event, played

HOUR = 3600


def after(*events: PlaybackEvent) -> Viewer:
    opened = OpenViewer(Viewer())
    for each in events:
        viewer.watch(opened, each)
    return viewer.closed(opened)


def test_the_keen_learner_has_the_documented_numbers() -> None:
    learner = after(*keen_learner())
    assert learner.cards["v"].completion == pytest.approx(0.85)
    assert 76 <= learner.cards["v"].engagement <= 80
    assert viewer.overall(learner) == learner.cards["v"].engagement
    assert taste.preferred_content_type(learner) == "interactive"
    assert taste.best_viewing_hours(learner) == "19-21"
    assert taste.recommended_content(learner) == "advanced tutorials on loans"


def test_weights_are_of_the_parts_and_sum_to_one() -> None:
    assert tuple(WEIGHTS) == Parts._fields
    assert sum(WEIGHTS.values()) == pytest.approx(1)


@given(
    st.builds(
        Watched,
        duration_ms=st.sampled_from([0, 60_000]),
        once=st.sampled_from([[], [0, 30_000], [0, 90_000]]),
        twice=st.sampled_from([[], [0, 5_000, 8_000, 20_000]]),
        skipped=st.sampled_from([[], [10_000, 80_000]]),
        pause_count=st.integers(0, 500),
        seek_count=st.integers(0, 500),
        stall_count=st.integers(0, 500),
        session_count=st.integers(0, 500),
    )
)
def test_scores_and_parts_lie_between_0_and_100(watched: Watched) -> None:
    made_of = parts(watched)
    assert all(0 <= value <= 100 for value in (score(made_of), *made_of))


@pytest.mark.parametrize(
    ("more", "part", "is_raised"),
    [
        ([playback_event(30, 60, at=200)], "completion", True),
        ([playback_event(0, 10, at=200)], "replayed_segments", True),
        ([playback_event(30, 30, at=200, action=Action.PAUSE)], "interaction", True),
        ([playback_event(30, 30, at=200, action=Action.PAUSE)], "attention", False),
        ([playback_event(30, 30, at=200, action=Action.STALL)], "attention", False),
        ([playback_event(90, 90, at=200, action=Action.SEEK, seek_from=30)], "attention", False),
        ([playback_event(30, 30, at=HOUR, action=Action.PLAY, viewing="w2")], "multi_session", True),
    ],
)
def test_each_part_answers_to_what_it_is_about(more: list[PlaybackEvent], part: str, *, is_raised: bool) -> None:
    def value(*events: PlaybackEvent) -> float:
        opened = OpenViewer(Viewer())
        for each in events:
            viewer.watch(opened, each)
        return parts(opened.watched["v"])[Parts._fields.index(part)]

    before = value(*played(0, 30))
    assert (value(*played(0, 30), *more) > before) is is_raised
    assert value(*played(0, 30), *more) != before


def test_a_video_only_begun_hardly_counts() -> None:
    learner = after(*keen_learner())
    before = viewer.overall(learner)
    opened = OpenViewer(learner)
    viewer.watch(opened, playback_event(0, 10, at=HOUR, video="other"))
    assert before - 1.5 < viewer.overall(opened.viewer) < before


def test_videos_watched_long_ago_no_longer_count() -> None:
    fresh = played(0, 60, at=40 * 24 * HOUR, video="fresh")
    assert viewer.overall(after(*keen_learner(), *fresh)) == viewer.overall(after(*fresh))


def test_only_the_videos_watched_last_are_kept() -> None:
    kept = after(*(playback_event(0, 10, at=number, video=f"v{number}") for number in range(60)))
    assert set(kept.cards) == {f"v{number}" for number in range(10, 60)}


def test_nothing_is_said_where_too_little_is_known() -> None:
    beginner = after(*played(0, 60))
    assert taste.preferred_content_type(beginner) == ""
    assert taste.best_viewing_hours(beginner) == ""
    assert taste.recommended_content(beginner) == ""


@pytest.mark.parametrize(("local_hour", "hours"), [(19, "19-21"), (20, "19-21"), (23, "23-1"), (0, "23-1")])
def test_one_hour_alone_lies_in_the_stretch_from_an_odd_hour(local_hour: int, hours: str) -> None:
    assert taste.best_viewing_hours(after(*played(0, 360, at=(local_hour - 19) * HOUR - 1000))) == hours


@pytest.mark.parametrize(
    ("seconds", "what"), [(200, "short introductions on loans"), (400, "further tutorials on loans")]
)
def test_recommendations_follow_the_progress(seconds: int, what: str) -> None:
    assert taste.recommended_content(after(*played(0, seconds))) == what


def test_playback_events_without_a_zone_use_the_last_reported() -> None:
    evening = played(0, 360, at=-1000)
    zoned, unzoned = evening[0], [msgspec.structs.replace(each, time_zone="") for each in evening[1:]]
    assert taste.best_viewing_hours(after(zoned, *unzoned)) == "19-21"
    assert taste.best_viewing_hours(after(*unzoned)) != "19-21"
    late = msgspec.structs.replace(zoned, at_us=zoned.at_us - HOUR * SECOND, time_zone="Asia/Tokyo")
    assert after(zoned, late, *unzoned).time_zone == "Europe/Berlin"
    moved = msgspec.structs.replace(unzoned[-1], time_zone="Asia/Tokyo")
    assert after(zoned, *unzoned[:-1], moved).time_zone == "Asia/Tokyo"


def test_hours_are_right_on_both_sides_of_the_change_of_time() -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    for month, day in ((1, 20), (7, 20), (10, 24), (10, 26), (3, 28), (3, 30)):
        at_us = round(dt.datetime(2025, month, day, 19, 30, tzinfo=berlin).timestamp()) * SECOND
        watched = [msgspec.structs.replace(each, at_us=at_us) for each in played(0, 360)]
        assert taste.best_viewing_hours(after(*watched)) == "19-21"


def test_a_clock_that_was_years_ahead_does_not_hide_what_is_watched_later() -> None:
    year = 365 * 24 * HOUR
    wrong = [
        playback_event(s, s + 10, at=10 * year + s, video="wrong", received=10 * year + s) for s in range(0, 60, 10)
    ]
    right = [playback_event(s, s + 10, at=s, video="right", received=s + 20) for s in range(0, 300, 10)]
    both = after(*wrong, *right)
    assert both.latest_us == right[-1].at_us
    assert viewer.overall(both) == pytest.approx(viewer.overall(after(*right)), abs=10)
    assert {each.last_watched_us for each in both.cards.values()} <= {each.at_us for each in right}


def test_the_kind_watched_best_is_preferred() -> None:
    lecture = [playback_event(s, s + 10, at=5000 + s, video="l", content_type="lecture") for s in range(0, 150, 10)]
    assert taste.preferred_content_type(after(*keen_learner(), *lecture)) == "interactive"


def test_without_a_content_type_much_interaction_makes_it_interactive() -> None:
    unnamed = [
        playback_event(s, s + 10, at=s, content_type="", action=action)
        for s in range(0, 150, 10)
        for action in (Action.HEARTBEAT, Action.PAUSE)
    ]
    assert taste.preferred_content_type(after(*unnamed)) == "interactive"
    assert taste.preferred_content_type(after(*unnamed[::2])) == ""
