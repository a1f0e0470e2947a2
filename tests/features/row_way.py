"""The features' reading of one event at a time: what reading by columns must come to."""

import math

from journeymesh.common.v1 import event_pb2

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument
from services.features.domain.event import NAME_LIMIT, Carried, Click, Event, Kind
from services.features.domain.pages import shortened

_KINDS = frozenset(event_pb2.EventType.values()) - {event_pb2.EVENT_TYPE_UNSPECIFIED}


def event_of(message: event_pb2.Event) -> Event:
    """The event as the features see it."""
    kind = message.event_type
    if kind not in _KINDS or not 0 <= message.event_time_us <= LATEST_US:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "")
    if len(message.event_id) > 256 or len(message.time_zone) > 128:
        raise InvalidArgument("INVALID_IDENTIFIER", "")
    return Event(
        message.event_id,
        kind,
        message.event_time_us,
        shortened(message.page) if len(message.page) > NAME_LIMIT else message.page,
        shortened(message.target) if len(message.target) > NAME_LIMIT else message.target,
        message.attempt_count,
        message.error_code,
        message.is_refresh,
        message.is_bot,
        message.platform,
        message.time_zone,
        message.is_system,
        message.received_time_us,
        message.address if kind == Kind.PAGE_VIEW else "",
        _click(message.click) if kind == Kind.CLICK and message.HasField("click") else None,
        _finite(message.purchase.amount) if kind == Kind.PURCHASE else 0.0,
        _currency(message.purchase.currency) if kind == Kind.PURCHASE else "",
        kind == Kind.PURCHASE and message.purchase.is_refund,
        kind == Kind.PURCHASE and bool(message.copied_event_id) and message.event_id.startswith("jm:"),
        kind == Kind.IDENTIFY and bool(message.linked_user_id),
        _carried(message.carried) if kind == Kind.IDENTIFY and message.HasField("carried") else None,
    )


def whole(message: event_pb2.Event) -> event_pb2.Event:
    """The event as it is kept among the user's last."""
    kept = event_pb2.Event()
    kept.CopyFrom(message)
    kept.ClearField("carried")
    if kept.ByteSize() > 1024:
        kept.ClearField("properties")
        if kept.ByteSize() > 1024:
            kept.ClearField("user_agent")
            kept.ClearField("correlation_id")
            kept.page, kept.target = shortened(message.page), shortened(message.target)
        if kept.ByteSize() > 2048:
            kept.address = shortened(message.address)
    return kept


def _click(message: event_pb2.Click) -> Click:
    _finite(message.x + message.y)
    return Click(
        message.x if message.HasField("x") else None,
        message.y if message.HasField("y") else None,
        message.effect_observed if message.HasField("effect_observed") else None,
        message.error_observed,
        message.selection_changed,
        message.value_changed if message.HasField("value_changed") else None,
        message.role,
    )


def _carried(message: event_pb2.Carried) -> Carried:
    amounts = {_currency(each.currency): _finite(each.amount) for each in message.purchase_amounts}
    return Carried(message.purchase_count, amounts)


def _currency(code: str) -> str:
    if len(code) > 3:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "")
    return code


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "")
    return number
