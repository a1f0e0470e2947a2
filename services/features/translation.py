"""Between the wire and the domain. What only one kind of event has is only asked of that kind."""

import zlib
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2

from services.features.domain.event import Click, Event, Kind, Platform
from services.features.domain.recents import Kept, session_starts
from services.features.domain.signal import Signal
from services.features.domain.state import SESSION_GAP_US, State

WHOLE_EVENT_BYTES = 1024
"""A larger event is kept among the user's last without its properties."""

_TYPE_PREFIX = len("SIGNAL_TYPE_")
_PLATFORM_NAMES = {Platform.WEB: "web", Platform.MOBILE: "mobile", Platform.BACKEND: "backend"}


def event_of(event: event_pb2.Event) -> Event:
    """The event as the features see it."""
    kind = event.event_type
    return Event(
        event.event_id,
        kind,
        event.event_time_us,
        event.page,
        event.target,
        event.attempt_count,
        event.error_code,
        event.is_refresh,
        event.is_bot,
        event.platform,
        event.time_zone,
        _click(event.click) if kind == Kind.CLICK else None,
        event.purchase.amount if kind == Kind.PURCHASE else 0.0,
    )


def whole(event: event_pb2.Event) -> bytes:
    """The event as it is kept among the user's last."""
    serialized = event.SerializeToString()
    if len(serialized) <= WHOLE_EVENT_BYTES:
        return serialized
    shortened = event_pb2.Event()
    shortened.CopyFrom(event)
    shortened.ClearField("properties")
    return shortened.SerializeToString()


def kept_events(user_id: str, kept: Sequence[Kept]) -> list[event_pb2.Event]:
    """Events as they were kept, each with the session it was found to belong to."""
    return [
        _kept_event(user_id, one, start_us)
        for one, start_us in zip(kept, session_starts(kept, SESSION_GAP_US), strict=True)
    ]


def _kept_event(user_id: str, kept: Kept, session_start_us: int) -> event_pb2.Event:
    event = event_pb2.Event.FromString(kept.whole)
    event.session_start_us = session_start_us
    if not event.session_id:
        event.session_id = f"s-{zlib.crc32(user_id.encode()):08x}-{session_start_us // 1000}"
    return event


def signal_row(row: int, signal: Signal) -> features_pb2.SignalRow:
    """The signal as it is answered."""
    return features_pb2.SignalRow(
        row=row,
        signal=features_pb2.Signal(
            type=features_pb2.SignalType.ValueType(signal.type),
            strength=signal.strength,
            reason=signal.reason,
            evidence_event_ids=signal.evidence_event_ids,
            detector_version=signal.detector_version,
            signal_time_us=signal.at_us,
            target=signal.target,
        ),
    )


def signal_name(signal: Signal) -> str:
    """What kind of signal it is, in a word. Example: `rage_clicks`."""
    return features_pb2.SignalType.Name(features_pb2.SignalType.ValueType(signal.type))[_TYPE_PREFIX:].lower()


def profile(user_id: str, state: State) -> features_pb2.GetProfileResponse:
    """The sum of what is known of a user."""
    return features_pb2.GetProfileResponse(
        user_id=user_id,
        first_seen_time=timestamp(state.first_us),
        last_seen_time=timestamp(state.last_us),
        event_count=state.event_count,
        session_count=state.session_count,
        purchase_amount=state.purchase_amount,
        purchase_count=state.purchase_count,
        platforms=[name for number, name in _PLATFORM_NAMES.items() if state.platforms >> number & 1],
        time_zone=state.time_zone,
        is_bot=state.is_bot,
        usual_engagement_score=state.usual_engagement,
        last_page=state.last_page,
    )


def timestamp(at_us: int) -> Timestamp:
    """A time for a person's eyes."""
    time = Timestamp()
    time.FromMicroseconds(at_us)
    return time


def _click(click: event_pb2.Click) -> Click:
    return Click(
        click.x if click.HasField("x") else None,
        click.y if click.HasField("y") else None,
        click.effect_observed if click.HasField("effect_observed") else None,
        click.error_observed,
        click.selection_changed,
    )
