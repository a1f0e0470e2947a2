"""Builders of what many tests need."""

from typing import Any, Final

from journeymesh.common.v1 import event_pb2

NOW_US: Final = 1_767_348_000_000_000
"""2026-01-02T10:00:00Z in Unix microseconds."""

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US


def event(event_id: str = "e-1", user_id: str = "ada", kind: str = "page_view", **members: Any) -> event_pb2.Event:
    """An event that ingest accepts; `members` replace what it has."""
    given: dict[str, Any] = {
        "event_time_us": NOW_US,
        "received_time_us": NOW_US,
        "page": "/home",
        "trace_id": bytes(range(16)),
        "span_id": bytes(range(8)),
    }
    given |= members
    event_type = event_pb2.EventType.Value(f"EVENT_TYPE_{kind.upper()}")
    return event_pb2.Event(event_id=event_id, user_id=user_id, event_type=event_type, **given)
