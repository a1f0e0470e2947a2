"""What is accepted and what is refused, and why."""

from typing import Any, cast

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2

from services.ingest.accept.domain.validation import Rejection, reject
from services.ingest.events.domain.event import Event
from tests.builders import NOW_US, event

PLAY: dict[str, Any] = {"video_id": "v", "action": event_pb2.PLAYBACK_ACTION_HEARTBEAT, "position_seconds": 10.0}


def playback(**members: Any) -> event_pb2.Event:
    return event(kind="video_playback", playback=event_pb2.Playback(**(PLAY | members)))


def outcome(**members: Any) -> event_pb2.Event:
    return event(kind="intervention_outcome", outcome=event_pb2.InterventionOutcome(**members))


def unknown_kind() -> event_pb2.Event:
    made = event()
    made.event_type = cast("Any", 99)
    return made


def judged(one: event_pb2.Event) -> Rejection | None:
    return reject(cast("Event", one), NOW_US)


OWN: dict[str, Any] = {"is_own": True, "anonymous_id": "ada"}
DECLINED = event_pb2.InterventionOutcome(intervention_id="i", outcome=event_pb2.OUTCOME_DECLINED)

REFUSED = {
    "no id": (event(event_id=""), "MISSING_FIELD"),
    "no user": (event(user_id=""), "MISSING_FIELD"),
    "long id": (event(event_id="x" * 101), "INVALID_IDENTIFIER"),
    "long user": (event(user_id="x" * 129), "INVALID_IDENTIFIER"),
    "control character in a user": (event(user_id="a\nb"), "INVALID_IDENTIFIER"),
    "line separator in a user": (event(user_id="a\u2028b"), "INVALID_IDENTIFIER"),
    "blank user": (event(user_id="  "), "PLACEHOLDER_ID"),
    "nobody": (event(user_id="undefined"), "PLACEHOLDER_ID"),
    "nobody identified": (event(kind="identify", user_id="null", anonymous_id="a-1"), "PLACEHOLDER_ID"),
    "an id of the mesh": (event(event_id="jm:link:1"), "RESERVED_ID"),
    "an outcome by another name": (
        event("jm:outcome:i:accepted", kind="intervention_outcome", outcome=DECLINED, **OWN),
        "RESERVED_ID",
    ),
    "an outcome's name on another event": (event("jm:outcome:i:declined", **OWN), "RESERVED_ID"),
    "properties that are no object": (event(properties=b"[1]"), "MALFORMED_JSON"),
    "properties that are no JSON": (event(properties=b'{"a":'), "MALFORMED_JSON"),
    "an unknown kind": (unknown_kind(), "MISSING_FIELD"),
    "an unknown action": (playback(action=99), "VALUE_OUT_OF_RANGE"),
    "an outcome that clients do not tell": (
        outcome(intervention_id="i", outcome=event_pb2.OUTCOME_WITHDRAWN),
        "VALUE_OUT_OF_RANGE",
    ),
    "control character in an intervention": (
        outcome(intervention_id="i\x00", outcome=event_pb2.OUTCOME_SHOWN),
        "INVALID_IDENTIFIER",
    ),
    "large properties": (event(properties=b" " * 32_769), "EVENT_TOO_LARGE"),
    "negative time": (event(event_time_us=-1), "INVALID_TIME"),
    "time before 2000": (event(event_time_us=946_684_799_999_999), "INVALID_TIME"),
    "far future": (event(event_time_us=NOW_US + 24 * 3600 * 1_000_000 + 1), "TIME_IN_FUTURE"),
    "no kind": (event_pb2.Event(event_id="e", user_id="u", event_time_us=NOW_US), "MISSING_FIELD"),
    "page view without a page": (event(page=""), "MISSING_FIELD"),
    "playback without a video": (playback(video_id=""), "MISSING_FIELD"),
    "playback without an action": (playback(action=0), "MISSING_FIELD"),
    "endless amount": (event(kind="purchase", purchase=event_pb2.Purchase(amount=float("inf"))), "UNREADABLE_AMOUNT"),
    "no amount": (event(kind="purchase", purchase=event_pb2.Purchase(amount=float("nan"))), "UNREADABLE_AMOUNT"),
    "outcome without one": (outcome(intervention_id="i"), "MISSING_FIELD"),
    "segment of nothing": (event(kind="segment_change", segment_change={"group": "g"}), "MISSING_FIELD"),
    "no segment at all": (event(kind="segment_change"), "MISSING_FIELD"),
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
    "a segment left": event(kind="segment_change", segment_change={"previous_segment": "Loyal"}),
    "an outcome by channel": outcome(outcome=event_pb2.OUTCOME_ACCEPTED, channel="email"),
    "a user with a joiner": event(user_id="\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
    "a user with a no-break space": event(user_id="Jos\u00e9\u00a0Luis"),
    "an outcome by its own name": event("jm:outcome:i:declined", kind="intervention_outcome", outcome=DECLINED, **OWN),
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
        "EVENT_TYPE_SEGMENT_CHANGE": {"segment_change": event_pb2.SegmentChange(segment="s")},
    }
    assert judged(event(kind=kind.removeprefix("EVENT_TYPE_"), **details.get(kind, {}))) is None
