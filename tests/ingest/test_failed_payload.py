"""What a failed event is kept as can be sent again: the gateway reads from it what was in the event."""

from typing import Any

import pytest
from journeymesh.common.v1 import event_pb2

from gateway.accepting.rows import Rows
from gateway.formats import native
from gateway.formats.native import EventSink
from services.ingest.events.translation.event_json import event_json
from tests.builders import MINUTE_US, NOW_US, event

# What is stamped on the way, and what is set anew when it is sent again.
STAMPED = ("properties", "received_time_us", "trace_id", "span_id")


def sent_again(original: event_pb2.Event) -> event_pb2.Event:
    rows = Rows()
    stamp = native.Stamp(NOW_US + MINUTE_US, b"t" * 16, b"s" * 8)
    native.read_event(event_json(original), EventSink(rows.add, stamp, str))
    return rows.table().event(0)


def without(original: event_pb2.Event, *names: str) -> event_pb2.Event:
    kept = event_pb2.Event()
    kept.CopyFrom(original)
    for name in names:
        kept.ClearField(name)  # type: ignore[arg-type]
    return kept


PLAYED = event_pb2.Playback(
    video_id="v",
    viewing_id="w",
    action=event_pb2.PLAYBACK_ACTION_RATE_CHANGE,
    position_seconds=10.5,
    watched_seconds=2,
    playback_rate=1.5,
    topic="loans",
)
OUTCOME = event_pb2.InterventionOutcome(intervention_id="i", outcome=event_pb2.OUTCOME_SHOWN, channel="chat")
RETURNED = event_pb2.Purchase(
    amount=-2.5,
    currency="EUR",
    is_refund=True,
    order_id="o-1",
    lines=[
        event_pb2.OrderLine(product_id="p-1", name="Tea", category="Drinks", quantity=2, price=1.25),
        event_pb2.OrderLine(product_id="p-2", quantity=1),
    ],
)
TYPED: dict[str, dict[str, Any]] = {
    "page_view": {"is_refresh": True},
    "click": {"target": "pay", "click": event_pb2.Click(x=0, y=2.5, effect_observed=False)},
    "struggle_signal": {"attempt_count": 3, "target": "loan"},
    "error": {"error_code": "http_500", "page": ""},
    "video_playback": {"playback": PLAYED, "target": "loans"},
    "intervention_outcome": {"outcome": OUTCOME},
    "purchase": {"purchase": RETURNED},
    "task_success": {"anonymous_id": "a", "session_id": "s", "device_id": "d", "time_zone": "UTC", "platform": 1},
}


@pytest.mark.parametrize("properties", [b"", b'{"other": 1e400, "n": 0.10}'])
@pytest.mark.parametrize(("kind", "members"), TYPED.items(), ids=TYPED)
def test_typed_members_come_back_under_whatever_names_they_were_told(
    kind: str, members: dict[str, Any], properties: bytes
) -> None:
    original = event(kind=kind, properties=properties, **members)
    again = sent_again(original)
    assert without(again, *STAMPED) == without(original, *STAMPED)
    assert b'"n":0.10' in again.properties.replace(b": ", b":") or not properties


def test_properties_that_tell_everything_are_kept_to_the_byte() -> None:
    written = b'{ "page":"/home",  "feature": "loan", "n": 1.0 }'
    assert sent_again(event(target="loan", properties=written)).properties == written


def test_properties_that_are_no_json_are_kept_as_they_are() -> None:
    assert b'"properties":{broken' in event_json(event(properties=b"{broken"))
    assert b'"properties":[1]' in event_json(event(properties=b"[1]"))


def test_it_is_told_without_the_time_of_sending() -> None:
    assert b"sentAt" not in event_json(event(sent_time_us=NOW_US))
