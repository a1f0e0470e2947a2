"""The five worked examples of the product, over REST against running processes, and their neighbours.

Nothing in the code knows the examples: a neighbour that differs a little comes out a little different.
"""

import datetime as dt
from typing import Any

import pytest

from tests.e2e.journeys import Journey, journey
from tests.processes import RunningMesh

pytestmark = pytest.mark.processes


# 1. Calculator.


def calculate(one: Journey, attempts: int, page: str = "/calculator", gap: float = 15) -> float:
    one.send(one.event(0, "page_view", page=page))
    one.send(one.event(gap, "feature_interaction", page=page, feature="loan_amount"))
    return one.send(one.event(2 * gap, "struggle_signal", page=page, attempts=attempts))


def test_three_failed_attempts_at_the_calculator_bring_help_within_a_second(mesh: RunningMesh) -> None:
    one = journey(mesh)
    seconds = calculate(one, attempts=3)
    intervention = one.pending()
    assert seconds < 1
    assert intervention is not None
    assert intervention["type"] == "critical_intervention"
    assert intervention["action"] == "show_live_chat_popup"
    assert intervention["payload"]["riskScore"] >= 75
    assert intervention["payload"]["riskLevel"] == "high"
    assert one.risk()["assessment"]["score"] == intervention["payload"]["riskScore"]


@pytest.mark.parametrize("page", ["/tax-return", "/mortgage/step-2"])
@pytest.mark.parametrize("gap", [2, 40])
def test_it_is_the_attempts_that_count_not_the_page_or_the_second(mesh: RunningMesh, page: str, gap: float) -> None:
    one = journey(mesh)
    calculate(one, attempts=3, page=page, gap=gap)
    assert one.level() == "high"
    assert one.pending() is not None


def test_fewer_attempts_are_less_risk_and_more_are_more(mesh: RunningMesh) -> None:
    scores = []
    for attempts in (1, 2, 3, 5):
        one = journey(mesh)
        calculate(one, attempts=attempts)
        scores.append(one.score())
        assert (one.pending() is None) == (attempts < 3), scores
    assert scores == sorted(scores)
    assert scores[0] < 60 < scores[2]


def test_attempts_may_also_come_one_by_one(mesh: RunningMesh) -> None:
    one = journey(mesh)
    one.send(one.event(0, "page_view", page="/calculator"))
    for number in range(3):
        one.send(one.event(10 + 5 * number, "task_failure", page="/calculator", task="loan"))
    assert one.level() == "high"
    assert one.pending() is not None


# 2. Form trouble.


def form_trouble(one: Journey, *, errors: int = 3, helps: int = 2, refreshes: int = 3, falls: bool = True) -> None:
    """Two engaged sessions on the days before, then a form that does not work."""
    for day in (-2, -1):
        base = day * 24 * 3600
        for step in range(12):
            one.send(
                one.event(base + step * 40, "page_view", page=f"/products/{step % 4}"),
                one.event(base + step * 40 + 8, "feature_interaction", page=f"/products/{step % 4}", feature="compare"),
                one.event(base + step * 40 + 20, "task_success", page=f"/products/{step % 4}", task="compare"),
            )
    page = {"page": "/loan-application"}
    one.send(one.event(0, "page_view", **page), one.event(20, "form_start", **page, form="loan"))
    if not falls:
        for step in range(12):
            one.send(
                one.event(21 + step, "feature_interaction", **page, feature="slider"),
                one.event(21.5 + step, "task_success", **page, task="field"),
            )
    for number in range(errors):
        one.send(one.event(60 + 20 * number, "error", **page, form="loan", errorCode="validation"))
    for number in range(refreshes):
        one.send(one.event(130 + 10 * number, "page_view", **page, isRefresh=True))
    for number in range(helps):
        one.send(one.event(200 + 90 * number, "help_request", **page, topic="loan"))


def test_form_trouble_is_high_risk_and_its_reasons_are_named(mesh: RunningMesh) -> None:
    one = journey(mesh)
    form_trouble(one)
    risk = one.risk()
    kinds = {active["signal"]["type"] for active in risk["signals"]}
    assert {"form_errors", "help_seeking", "page_refreshes", "engagement_drop"} <= kinds
    assert risk["assessment"]["level"] == "high"
    assert risk["assessment"]["confidence"] == pytest.approx(0.87, abs=0.02)
    named = {indicator["name"] for indicator in risk["assessment"]["indicators"]}
    assert {"form_errors", "help_seeking"} <= named
    intervention = one.pending()
    assert intervention is not None
    assert intervention["action"] == "show_live_chat_popup"
    # Help was offered as soon as the risk was high, which was before the second request for help.
    assert "form_errors" in intervention["payload"]["indicators"]


def test_each_trouble_less_is_less_risk(mesh: RunningMesh) -> None:
    scores = []
    lighter: tuple[dict[str, Any], ...] = (
        {},
        {"errors": 2},
        {"errors": 2, "helps": 1},
        {"errors": 2, "helps": 1, "refreshes": 0},
        {"errors": 0, "helps": 0, "refreshes": 0, "falls": False},
    )
    for less in lighter:
        one = journey(mesh)
        form_trouble(one, **less)
        scores.append(one.score())
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 40


# 3. Keen learner.


def play_parts(one: Journey, video: str, start: float, watched: list[tuple[int, int]], **members: Any) -> float:
    """Plays parts of a video, an event per ten seconds, and jumps between them; returns the time of the end."""
    at, position = start, 0
    about = {"page": "/learn", "videoId": video, "durationSeconds": 600} | members
    for begin, end in watched:
        events = [one.event(at, "video_playback", action="play", positionSeconds=begin, **about)]
        if begin != position:
            jump = {"positionSeconds": begin, "seekFromSeconds": position}
            events.insert(0, one.event(at, "video_playback", action="seek", **jump, **about))
        for position in range(begin + 10, end + 1, 10):
            at += 10
            events.append(
                one.event(
                    at, "video_playback", action="heartbeat", positionSeconds=position, watchedSeconds=10, **about
                )
            )
        events.append(one.event(at, "video_playback", action="pause", positionSeconds=end, **about))
        one.send(*events)
        at += 5
    return at


LEARNT = [(0, 510), (60, 90), (200, 240), (400, 430)]


def learn(one: Journey, watched: list[tuple[int, int]]) -> dict[str, Any]:
    play_parts(one, "loans-1", 0, watched, contentType="interactive", topic="loans")
    body: dict[str, Any] = one.mesh.get(f"/api/users/{one.user_id}/videos").body
    return body


def test_a_keen_learner_is_known_by_the_way_of_watching(mesh: RunningMesh) -> None:
    one = journey(mesh, "2026-01-02T18:20:00+00:00", timeZone="Europe/Berlin")
    viewer = learn(one, LEARNT)
    (video,) = viewer["videos"]
    assert video["completionRatio"] == pytest.approx(0.85)
    assert len(video["replayedSegments"]) == 3
    assert viewer["engagementScore"] == pytest.approx(78, abs=2)
    assert viewer["preferredContentType"] == "interactive"
    assert "advanced tutorials" in viewer["recommendedContent"]
    assert viewer["bestViewingHours"] == "19-21"


def test_less_watched_is_less_engaged_and_the_morning_is_the_morning(mesh: RunningMesh) -> None:
    keen = journey(mesh, "2026-01-02T18:20:00+00:00", timeZone="Europe/Berlin")
    brief = journey(mesh, "2026-01-02T06:10:00+00:00", timeZone="Europe/Berlin")
    assert learn(brief, [(0, 120)])["engagementScore"] < learn(keen, LEARNT)["engagementScore"] - 20
    assert learn(brief, [(120, 240)])["bestViewingHours"] != "19-21"


# 4. Known by e-mail.


def known_by_email(one: Journey, accepted: int = 5, declined: int = 1) -> None:
    for number, outcome in enumerate(["accepted"] * accepted + ["declined"] * declined):
        at = -24 * 3600 * (number + 1)
        one.send(one.event(at, "intervention_outcome", channel="email", outcome=outcome))
    one.send(one.event(0, "page_view", page="/import"))
    one.send(one.event(5, "task_success", page="/import", task="login"))
    for seconds in (20, 60):
        one.send(one.event(seconds, "error", page="/import", target="upload", errorCode="http_500"))


def test_a_user_who_welcomes_email_gets_a_tutorial_by_email_at_medium_risk(mesh: RunningMesh) -> None:
    one = journey(mesh, timeZone="Europe/Berlin")
    known_by_email(one)
    assert one.level() == "medium"
    intervention = one.pending()
    assert intervention is not None
    assert intervention["priority"] == "medium"
    assert [intervention["channel"], *intervention["alsoChannels"]] == ["email", "in_app"]
    assert {"tutorial", "support_link"} <= set(intervention["content"])
    assert intervention["successProbability"] == pytest.approx(0.73, abs=0.01)
    made = dt.datetime.fromisoformat(one.decisions()[0]["decisionTime"])
    due = dt.datetime.fromisoformat(intervention["deliverByTime"])
    assert made < due
    if made.weekday() < 5 and 8 <= made.hour < 15:  # office hours in Berlin, summer and winter
        assert due - made <= dt.timedelta(hours=2)


def test_a_user_who_does_not_welcome_email_gets_none_at_medium_risk(mesh: RunningMesh) -> None:
    one = journey(mesh, timeZone="Europe/Berlin")
    known_by_email(one, accepted=1, declined=5)
    assert one.level() == "medium"
    assert one.pending() is None


# 5. Calm user.


def test_a_calm_user_is_left_in_peace_and_the_ledger_says_why(mesh: RunningMesh) -> None:
    one = journey(mesh, minutes=20)
    for number in range(20):
        one.send(
            one.event(60 * number, "page_view", page=f"/articles/{number}"),
            one.event(60 * number + 30, "task_success", page=f"/articles/{number}", task="read"),
        )
        assert one.level() == "low"
    assert one.pending() is None
    decision = one.decisions()[0]
    assert decision["kind"] == "none"
    assert decision["reasons"] == ["below_trigger"]
    assert decision["explanation"]
    assert len(one.decisions()) == 20


def test_a_calm_user_with_one_error_is_still_left_in_peace(mesh: RunningMesh) -> None:
    one = journey(mesh, minutes=20)
    for number in range(10):
        one.send(
            one.event(60 * number, "page_view", page=f"/articles/{number}"),
            one.event(60 * number + 30, "task_success", page=f"/articles/{number}", task="read"),
        )
    one.send(one.event(700, "error", page="/articles/9", errorCode="http_500"))
    assert one.level() == "low"
    assert one.pending() is None
