"""What is accepted and what is refused, and why."""

from typing import Any, cast

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2

from services.ingest.domain.event import Event
from services.ingest.domain.validation import Rejection, reject
from tests.builders import NOW_US, event

PLAY: dict[str, Any] = {"video_id": "v", "action": event_pb2.PLAYBACK_ACTION_HEARTBEAT, "position_seconds": 10.0}


def playback(**members: Any) -> event_pb2.Event:
    return event(kind="video_playback", playback=event_pb2.Playback(**(PLAY | members)))


def outcome(**members: Any) -> event_pb2.Event:
    return event(kind="intervention_outcome", outcome=event_pb2.InterventionOutcome(**members))


def judged(one: event_pb2.Event) -> Rejection | None:
    return reject(cast("Event", one), NOW_US)


REFUSED = {
    "no id": (event(event_id=""), "MISSING_FIELD"),
    "no user": (event(user_id=""), "MISSING_FIELD"),
    "long id": (event(event_id="x" * 101), "INVALID_IDENTIFIER"),
    "long user": (event(user_id="x" * 129), "INVALID_IDENTIFIER"),
    "control character in a user": (event(user_id="a\nb"), "INVALID_IDENTIFIER"),
    "blank user": (event(user_id="  "), "INVALID_IDENTIFIER"),
    "long page": (event(page="/" * 2049), "INVALID_IDENTIFIER"),
    "unknown time zone": (event(time_zone="Mars/Olympus"), "INVALID_IDENTIFIER"),
    "time zone that is a path": (event(time_zone="../../etc/passwd"), "INVALID_IDENTIFIER"),
    "large properties": (event(properties=b" " * 32_769), "EVENT_TOO_LARGE"),
    "many attempts": (event(attempt_count=1001), "VALUE_OUT_OF_RANGE"),
    "negative time": (event(event_time_us=-1), "INVALID_TIME"),
    "time before 2000": (event(event_time_us=946_684_799_999_999), "INVALID_TIME"),
    "far future": (event(event_time_us=NOW_US + 24 * 3600 * 1_000_000 + 1), "TIME_IN_FUTURE"),
    "no kind": (event_pb2.Event(event_id="e", user_id="u", event_time_us=NOW_US), "MISSING_FIELD"),
    "page view without a page": (event(page=""), "MISSING_FIELD"),
    "click nowhere": (event(kind="click", click=event_pb2.Click(x=float("nan"))), "VALUE_OUT_OF_RANGE"),
    "playback without a video": (playback(video_id=""), "MISSING_FIELD"),
    "playback without an action": (playback(action=0), "MISSING_FIELD"),
    "negative position": (playback(position_seconds=-1), "VALUE_OUT_OF_RANGE"),
    "endless video": (playback(duration_seconds=float("inf")), "VALUE_OUT_OF_RANGE"),
    "no number": (playback(seek_from_seconds=float("nan")), "VALUE_OUT_OF_RANGE"),
    "too fast": (playback(playback_rate=17), "VALUE_OUT_OF_RANGE"),
    "more watched than there is": (playback(watched_seconds=11), "VALUE_OUT_OF_RANGE"),
    "endless amount": (event(kind="purchase", purchase=event_pb2.Purchase(amount=float("inf"))), "VALUE_OUT_OF_RANGE"),
    "long currency": (event(kind="purchase", purchase=event_pb2.Purchase(currency="EURO")), "INVALID_IDENTIFIER"),
    "outcome without one": (outcome(intervention_id="i"), "MISSING_FIELD"),
    "outcome of nothing": (outcome(outcome=event_pb2.OUTCOME_SHOWN), "MISSING_FIELD"),
}


@pytest.mark.parametrize(("bad", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_bad_event_is_refused_with_its_reason(bad: event_pb2.Event, reason: str) -> None:
    rejection = judged(bad)
    assert rejection is not None
    assert rejection.reason == reason
    assert f"ERROR_REASON_{reason}" in error_reason_pb2.ErrorReason.keys()  # noqa: SIM118 - an enum, not a dict


ACCEPTED = {
    "a page view": event(),
    "years ago": event(event_time_us=1_600_000_000_000_000),
    "a day ahead": event(event_time_us=NOW_US + 24 * 3600 * 1_000_000),
    "a user in any script": event(user_id="ユーザー 1"),
    "a click without a place": event(kind="click"),
    "a beat": playback(watched_seconds=10, playback_rate=0),
    "an outcome by channel": outcome(outcome=event_pb2.OUTCOME_ACCEPTED, channel="email"),
    "a time zone": event(time_zone="Europe/Berlin"),
}


@pytest.mark.parametrize("good", ACCEPTED.values(), ids=ACCEPTED)
def test_a_good_event_is_accepted(good: event_pb2.Event) -> None:
    assert judged(good) is None


@pytest.mark.parametrize("kind", [name for name in event_pb2.EventType.keys() if not name.endswith("UNSPECIFIED")])  # noqa: SIM118 - an enum
def test_every_kind_can_be_accepted(kind: str) -> None:
    details: dict[str, Any] = {
        "EVENT_TYPE_VIDEO_PLAYBACK": {"playback": event_pb2.Playback(**PLAY)},
        "EVENT_TYPE_INTERVENTION_OUTCOME": {
            "outcome": event_pb2.InterventionOutcome(intervention_id="i", outcome=event_pb2.OUTCOME_SHOWN)
        },
    }
    assert judged(event(kind=kind.removeprefix("EVENT_TYPE_"), **details.get(kind, {}))) is None
