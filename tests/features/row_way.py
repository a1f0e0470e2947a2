"""The features' reading of one event at a time: what reading by columns must come to."""

import math

from journeymesh.common.v1 import event_pb2

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument
from services.features.domain.event import NAME_LIMIT, Carried, Click, Event, Kind
from services.features.domain.pages import shortened

_KINDS = frozenset(event_pb2.EventType.values()) - {event_pb2.EVENT_TYPE_UNSPECIFIED}


def event_of(told: event_pb2.Event) -> Event:
    """The event as the features see it."""
    kind = told.event_type
    if kind not in _KINDS or not 0 <= told.event_time_us <= LATEST_US:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "")
    if len(told.event_id) > 256 or len(told.time_zone) > 128:
        raise InvalidArgument("INVALID_IDENTIFIER", "")
    return Event(
        told.event_id,
        kind,
        told.event_time_us,
        shortened(told.page) if len(told.page) > NAME_LIMIT else told.page,
        shortened(told.target) if len(told.target) > NAME_LIMIT else told.target,
        told.attempt_count,
        told.error_code,
        told.is_refresh,
        told.is_bot,
        told.platform,
        told.time_zone,
        told.is_system,
        told.received_time_us,
        told.address if kind == Kind.PAGE_VIEW else "",
        _click(told.click) if kind == Kind.CLICK and told.HasField("click") else None,
        _finite(told.purchase.amount) if kind == Kind.PURCHASE else 0.0,
        _currency(told.purchase.currency) if kind == Kind.PURCHASE else "",
        kind == Kind.PURCHASE and told.purchase.is_refund,
        kind == Kind.PURCHASE and bool(told.copied_event_id) and told.event_id.startswith("jm:"),
        kind == Kind.IDENTIFY and bool(told.linked_user_id),
        _carried(told.carried) if kind == Kind.IDENTIFY and told.HasField("carried") else None,
    )


def whole(told: event_pb2.Event) -> event_pb2.Event:
    """The event as it is kept among the user's last."""
    kept = event_pb2.Event()
    kept.CopyFrom(told)
    kept.ClearField("carried")
    if kept.ByteSize() > 1024:
        kept.ClearField("properties")
        if kept.ByteSize() > 1024:
            kept.ClearField("user_agent")
            kept.ClearField("correlation_id")
            kept.page, kept.target = shortened(told.page), shortened(told.target)
        if kept.ByteSize() > 2048:
            kept.address = shortened(told.address)
    return kept


def _click(told: event_pb2.Click) -> Click:
    _finite(told.x + told.y)
    return Click(
        told.x if told.HasField("x") else None,
        told.y if told.HasField("y") else None,
        told.effect_observed if told.HasField("effect_observed") else None,
        told.error_observed,
        told.selection_changed,
        told.value_changed if told.HasField("value_changed") else None,
        told.role,
    )


def _carried(told: event_pb2.Carried) -> Carried:
    amounts = {_currency(each.currency): _finite(each.amount) for each in told.purchase_amounts}
    return Carried(told.purchase_count, amounts)


def _currency(code: str) -> str:
    if len(code) > 3:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "")
    return code


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "")
    return number
