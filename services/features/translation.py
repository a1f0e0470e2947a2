"""Between the wire and the domain. What only one kind of event has is only asked of that kind."""

import math
import operator
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument, VersionMismatch
from services.features.domain import money
from services.features.domain.event import NAME_LIMIT, Carried, Click, Event, Kind, Platform
from services.features.domain.pages import shortened
from services.features.domain.recents import Kept, session_starts
from services.features.domain.settlement import Settled
from services.features.domain.signal import Signal
from services.features.domain.state import SESSION_GAP_US, State
from services.features.usecases import Row

WHOLE_EVENT_BYTES = 1024
"""A larger event is kept among the user's last without its properties, and with short names if need be."""
ADDRESS_BYTES = 2 * 1024
"""One that is still larger is kept with a short address."""
LONGEST_ID = 128
"""Characters of an id or a name of the contract."""
LONGEST_EVENT_ID = 256
"""Clients' have up to 100; those of the mesh may hold another id."""
LONGEST_CURRENCY = 3

_OWN_ID = "jm:"
"""How ids that ingest makes begin."""
_KINDS = frozenset(event_pb2.EventType.values()) - {event_pb2.EVENT_TYPE_UNSPECIFIED}
_LAST_KIND = max(_KINDS)
_TYPE_PREFIX = len("SIGNAL_TYPE_")
_PLATFORM_NAMES = {Platform.WEB: "web", Platform.MOBILE: "mobile", Platform.BACKEND: "backend"}


def rows_of(request: features_pb2.ApplyEventsRequest) -> list[Row]:
    """The rows of a request.

    Raises:
        InvalidArgument: an event has no user, a kind that is none, or a number or time outside what there can be; or an
            engagement is of no row.
        VersionMismatch: an event is of a newer version's kind.
    """
    engagements = {update.row: _finite(update.score) for update in request.engagements}
    if engagements and max(engagements) >= len(request.events):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "An engagement refers to a row that does not exist.")
    rows = [_row(event, engagements.get(index)) for index, event in enumerate(request.events)]
    return rows if request.brings_arrivals else [_staying(row) for row in rows]


def _row(event: event_pb2.Event, video_engagement: float | None) -> Row:
    user_id = event.user_id
    if not 0 < len(user_id) <= LONGEST_ID:
        raise InvalidArgument("INVALID_IDENTIFIER", f"A user's id has 1 to {LONGEST_ID} characters.")
    told = event_of(event)
    return Row(user_id, told, whole(event if told.carried is None else _emptied(event)), video_engagement)


def _staying(row: Row) -> Row:
    """The row for a sender that brings nothing to anybody: a link moves nothing."""
    if not row.event.is_link:
        return row
    return msgspec.structs.replace(row, event=msgspec.structs.replace(row.event, is_link=False))


def event_of(event: event_pb2.Event) -> Event:
    """The event as the features see it.

    Raises:
        InvalidArgument: its kind is none, an id or word is too long, or a number or time is outside what there can be.
        VersionMismatch: its kind is a newer version's.
    """
    common = _COMMON(event)
    kind = common[1]
    if kind not in _KINDS or not 0 <= common[2] <= LATEST_US:
        if kind > _LAST_KIND:
            raise VersionMismatch("An event is of a kind that only a newer version knows.")
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "An event has a kind and a time from 1970 to 2255.")
    if len(common[0]) > LONGEST_EVENT_ID or len(common[10]) > LONGEST_ID:
        raise InvalidArgument(
            "INVALID_IDENTIFIER", f"An id has at most {LONGEST_EVENT_ID} characters, a zone {LONGEST_ID}."
        )
    if len(common[3]) > NAME_LIMIT or len(common[4]) > NAME_LIMIT:
        common = (*common[:3], shortened(common[3]), shortened(common[4]), *common[5:])
    more = _MORE.get(kind)
    return more(common, event) if more else Event(*common)


def whole(event: event_pb2.Event) -> bytes:
    """The event as it is kept among the user's last."""
    serialized = event.SerializeToString()
    if len(serialized) <= WHOLE_EVENT_BYTES:
        return serialized
    shorter = event_pb2.Event()
    shorter.CopyFrom(event)
    shorter.ClearField("properties")
    if shorter.ByteSize() > WHOLE_EVENT_BYTES:
        for member in ("user_agent", "correlation_id"):
            shorter.ClearField(member)
        # As `event_of` does: a copy of it is the same to the features.
        shorter.page, shorter.target = shortened(event.page), shortened(event.target)
    if shorter.ByteSize() > ADDRESS_BYTES:
        shorter.address = shortened(event.address)
    return shorter.SerializeToString()


def _emptied(event: event_pb2.Event) -> event_pb2.Event:
    """The event without what moved with it: a copy of it would move it again."""
    rest = event_pb2.Event()
    rest.CopyFrom(event)
    rest.ClearField("carried")
    return rest


def kept_events(user_id: str, kept: Sequence[Kept]) -> list[event_pb2.Event]:
    """Events as they were kept, each with the session it was found to belong to."""
    return [
        _kept_event(user_id, one, start_us)
        for one, start_us in zip(kept, session_starts(kept, SESSION_GAP_US), strict=True)
    ]


def _kept_event(user_id: str, kept: Kept, session_start_us: int) -> event_pb2.Event:
    event = event_pb2.Event.FromString(kept.whole)
    event.session_start_us = session_start_us
    if not event.session_id and session_start_us:
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
            run_start_time_us=signal.run_start_us,
        ),
    )


def settled_row(row: int, settled: Settled) -> features_pb2.SettledRow:
    """The signal that is over, as it is answered."""
    return features_pb2.SettledRow(
        row=row,
        type=features_pb2.SignalType.ValueType(settled.type),
        signal_time_us=settled.at_us,
        target=settled.target,
    )


def carried_row(row: int, carried: Carried) -> features_pb2.CarriedRow:
    """What moves to another user, as it is answered."""
    told = event_pb2.Carried(purchase_count=carried.purchase_count, purchase_amounts=_money(carried.purchase_amounts))
    return features_pb2.CarriedRow(row=row, carried=told)


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
        purchase_amount=money.total(state),
        purchase_count=state.purchase_count,
        platforms=[name for number, name in _PLATFORM_NAMES.items() if state.platforms >> number & 1],
        time_zone=state.time_zone,
        is_bot=state.is_bot,
        usual_engagement_score=state.usual_engagement,
        last_page=state.last_page,
        purchase_amounts=_money(money.amounts(state)),
    )


def timestamp(at_us: int) -> Timestamp | None:
    """A time for a person's eyes; None for never."""
    if not at_us:
        return None
    time = Timestamp()
    time.FromMicroseconds(at_us)
    return time


_Common = tuple[str, int, int, str, str, int, str, bool, bool, int, str, bool, int]
# All at once, in the order of `Event`: read one by one they cost half as much again.
_COMMON: Final[Callable[[event_pb2.Event], _Common]] = operator.attrgetter(
    "event_id",
    "event_type",
    "event_time_us",
    "page",
    "target",
    "attempt_count",
    "error_code",
    "is_refresh",
    "is_bot",
    "platform",
    "time_zone",
    "is_system",
    "received_time_us",
)


_CLICK: Final = operator.attrgetter(
    "x", "y", "effect_observed", "error_observed", "selection_changed", "value_changed", "role"
)


def _page_view(common: _Common, event: event_pb2.Event) -> Event:
    return Event(*common, event.address)


def _click(common: _Common, event: event_pb2.Event) -> Event:
    told = event.click
    has = told.HasField
    x, y, effect_observed, error_observed, selection_changed, value_changed, role = _CLICK(told)
    _finite(x + y)
    click = Click(
        x if has("x") else None,
        y if has("y") else None,
        effect_observed if has("effect_observed") else None,
        error_observed,
        selection_changed,
        value_changed if has("value_changed") else None,
        role,
    )
    return Event(*common, "", click)


def _purchase(common: _Common, event: event_pb2.Event) -> Event:
    told = event.purchase
    # Copies of an ingest that brings no arrivals have other ids. Their purchases count, as they did then.
    is_copy = bool(event.copied_event_id) and event.event_id.startswith(_OWN_ID)
    return Event(*common, "", None, _finite(told.amount), _currency(told.currency), told.is_refund, is_copy)


def _identify(common: _Common, event: event_pb2.Event) -> Event:
    return Event(
        *common,
        is_link=bool(event.linked_user_id),
        carried=_carried(event.carried) if event.HasField("carried") else None,
    )


_MORE: Final = {
    Kind.PAGE_VIEW: _page_view,
    Kind.CLICK: _click,
    Kind.PURCHASE: _purchase,
    Kind.IDENTIFY: _identify,
}


def _carried(told: event_pb2.Carried) -> Carried:
    return Carried(
        told.purchase_count, {_currency(each.currency): _finite(each.amount) for each in told.purchase_amounts}
    )


def _money(amounts: Mapping[str, float]) -> list[event_pb2.Money]:
    return [event_pb2.Money(currency=currency, amount=amount) for currency, amount in amounts.items()]


def _currency(code: str) -> str:
    if len(code) > LONGEST_CURRENCY:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A currency is told by its code of three letters.")
    return code


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "Every number must be finite.")
    return number
