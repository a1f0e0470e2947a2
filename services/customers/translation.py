"""Translates between messages and the domain's values."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.common.v1 import event_pb2
from journeymesh.customers.v1 import customers_pb2 as wire
from journeymesh.customers.v1 import predictions_pb2, segments_pb2

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import timestamp
from records.tenants import plain
from services.customers.domain import migration, performance
from services.customers.domain.fit import Fit, Place
from services.customers.domain.groups import Groups, centres
from services.customers.domain.history import Bought, Facts, Money
from services.customers.domain.migration import Change, Moved, Transition
from services.customers.domain.performance import Performance
from services.customers.domain.purchases import History, Line, Order
from services.customers.domain.segments import NAMES
from services.customers.domain.strategies import STRATEGIES
from services.customers.domain.traits import Declared, Trait

AMOUNT_MOST: Final = 1e12
"""As ingest accepts amounts and prices."""

_DECODE_TRAITS: Final = msgspec.json.Decoder(dict[str, Any]).decode
_DAY_US: Final = 86_400_000_000
_CHANGES: Final[Mapping[Change, segments_pb2.GroupChange.ValueType]] = {
    Change.KEPT: segments_pb2.GROUP_CHANGE_KEPT,
    Change.MERGED: segments_pb2.GROUP_CHANGE_MERGED,
    Change.SPLIT: segments_pb2.GROUP_CHANGE_SPLIT,
    Change.GONE: segments_pb2.GROUP_CHANGE_GONE,
    Change.NEW: segments_pb2.GROUP_CHANGE_NEW,
}


def rows_of(request: wire.ApplyPurchasesRequest) -> list[tuple[str, Bought | Declared]]:
    """The purchases and refunds of a batch, and what it declares of users, by user.

    Raises:
        InvalidArgument: a row has no user or event, or its time or a number is out of range.
    """
    bought = [(row.user_id, _bought(row)) for row in request.purchases]
    return [*bought, *((row.user_id, _declared(row)) for row in request.declared)]


def bought_of(event_id: str, at_us: int, of: event_pb2.Purchase) -> Bought:
    """What an event says was bought or given back. `event_id` is that of the original, `at_us` Unix microseconds."""
    amount = -abs(of.amount) if of.is_refund else of.amount
    lines = tuple(Line(each.product_id, each.name, each.category, each.quantity, each.price) for each in of.lines)
    return Bought(event_id, at_us // 1000, of.order_id, amount, of.currency, of.is_refund or of.amount < 0, lines)


def customer_message(
    user_id: str, of: Facts, traits: Mapping[str, Trait], place: Place | None, now_us: int
) -> wire.GetCustomerResponse:
    """A customer as a message, as of a time in Unix microseconds."""
    return wire.GetCustomerResponse(
        user_id=user_id,
        order_count=of.orders,
        first_order_time=_time(of.first) if of.orders else None,
        last_order_time=_time(of.last) if of.orders else None,
        recency_days=number(max(0.0, (now_us - of.last * 1000) / _DAY_US) if of.orders else None),
        cadence_days=number(of.cadence_days),
        usual_days=number(of.usual_days),
        money=[*map(_money, of.money)],
        traits=[_trait(name, trait) for name, trait in sorted(traits.items()) if trait.value is not None],
        segment=place.segment if place else "",
        group=place.group if place else "",
    )


def purchases_message(user_id: str, orders: History) -> wire.ListPurchasesResponse:
    """Orders as a message, in the order given."""
    return wire.ListPurchasesResponse(user_id=user_id, orders=[*map(_order, orders)])


def fit_message(fit: Fit | None) -> predictions_pb2.CustomersFit:
    """What was learnt, as a message."""
    if not fit:
        return predictions_pb2.CustomersFit(state=predictions_pb2.LEARNING_STATE_LEARNING)
    return predictions_pb2.CustomersFit(
        state=predictions_pb2.LEARNING_STATE_READY, fitted_time=_time(fit.fitted_ms), customer_count=fit.customers
    )


def segment_message(name: str, fit: Fit | None) -> segments_pb2.CustomerSegment:
    """A segment as a message."""
    count = fit.members.get(name, 0) if fit else 0
    aim, offer, offers_a_week = STRATEGIES[name]
    return segments_pb2.CustomerSegment(
        name=name,
        cells=[
            segments_pb2.SegmentCell(recency=recency, frequency=frequency)
            for (recency, frequency), each in sorted(NAMES.items())
            if each == name
        ],
        customer_count=count,
        share=count / fit.customers if fit else 0.0,
        strategy=segments_pb2.SegmentStrategy(aim=aim, offer=offer, offers_a_week=offers_a_week),
    )


def group_messages(of: Groups) -> list[segments_pb2.CustomerGroup]:
    """Groups as messages."""
    return [
        segments_pb2.CustomerGroup(
            name=name, customer_count=count, days_since=centre.days_since, order_days=centre.orders, money=centre.money
        )
        for name, count, centre in zip(of.names, of.counts, centres(of), strict=True)
    ]


def performance_messages(fit: Fit, days: int) -> list[segments_pb2.SegmentPerformance]:
    """What each segment brought in a window; empty if the fit is of a version that did not count it."""
    of = next((window.segments for window in fit.windows if window.days == days), {})
    shares = performance.shares(of.values())
    return [_performance(name, fit, each, its) for (name, each), its in zip(of.items(), shares, strict=True)]


def assignment_message(user_id: str, place: Place | None) -> segments_pb2.SegmentAssignment:
    """Where a user belongs, as a message."""
    if not place:
        return segments_pb2.SegmentAssignment(user_id=user_id)
    return segments_pb2.SegmentAssignment(
        user_id=user_id,
        segment=place.segment,
        group=place.group,
        scores=segments_pb2.SegmentCell(recency=place.recency, frequency=place.frequency),
        days_since=number(place.days_since),
        order_days=place.order_days,
    )


def migration_rows(of: Moved) -> list[segments_pb2.MigrationRow]:
    """Who moved, as messages."""
    return [
        segments_pb2.MigrationRow(
            segment=name,
            moved_to=[
                segments_pb2.MigrationShare(segment=to, customer_count=of[name][to], share=share)
                for to, share in row.items()
            ],
        )
        for name, row in migration.shares(of).items()
    ]


def transition_messages(of: Sequence[Transition]) -> list[segments_pb2.GroupTransition]:
    """What became of groups, as messages."""
    return [
        segments_pb2.GroupTransition(group=each.group, change=_CHANGES[each.change], became=each.became) for each in of
    ]


def number(value: float | None) -> DoubleValue | None:
    """A number that may be absent."""
    return None if value is None else DoubleValue(value=value)


def _bought(row: wire.PurchaseRow) -> Bought:
    of = row.purchase
    if not row.user_id or not row.event_id:
        raise InvalidArgument("MISSING_FIELD", "A purchase names its user and its event.")
    numbers = (of.amount, *(line.price for line in of.lines))
    if not 0 <= row.event_time_us <= LATEST_US or not all(
        math.isfinite(each) and abs(each) <= AMOUNT_MOST for each in numbers
    ):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A purchase has a time from 1970 to 2255, and amounts up to 10^12.")
    return bought_of(row.event_id, row.event_time_us, of)


def _declared(row: wire.TraitsRow) -> Declared:
    if not row.user_id or not row.event_id:
        raise InvalidArgument("MISSING_FIELD", "Traits name their user and their event.")
    if not 0 <= row.event_time_us <= LATEST_US:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "Traits have a time from 1970 to 2255.")
    try:
        traits = _DECODE_TRAITS(row.traits)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        traits = {}
    return Declared(row.event_id, row.event_time_us // 1000, traits)


def _trait(name: str, of: Trait) -> wire.CustomerTrait:
    value = of.value if isinstance(of.value, str) else msgspec.json.encode(of.value).decode()
    return wire.CustomerTrait(name=name, value=value, declared_time=_time(of.at), event_id=of.event)


def _performance(name: str, fit: Fit, of: Performance, shares: Mapping[str, float]) -> segments_pb2.SegmentPerformance:
    return segments_pb2.SegmentPerformance(
        segment=name,
        customer_count=fit.members.get(name, 0),
        order_count=of.orders,
        money=[
            segments_pb2.SegmentMoney(currency=currency, amount=amount, share=shares[currency])
            for currency, amount in of.money.items()
        ],
        starting_count=of.starting,
        returning_count=of.returning,
        conversion=number(of.returning / of.starting if of.starting else None),
    )


def _money(of: Money) -> wire.CustomerMoney:
    return wire.CustomerMoney(
        currency=of.currency,
        order_count=of.orders,
        amount=of.amount,
        refunded=of.refunded,
        mean_amount=of.amount / of.orders if of.orders else 0.0,
    )


def _order(of: Order) -> wire.CustomerOrder:
    return wire.CustomerOrder(
        order_id=plain(of.order),
        order_time=_time(of.at),
        amount=of.amount,
        currency=of.currency,
        is_refund=of.refund,
        lines=[
            event_pb2.OrderLine(
                product_id=each.product,
                name=each.name,
                category=each.category,
                quantity=each.quantity,
                price=each.price,
            )
            for each in of.lines
        ],
    )


def _time(at_ms: int) -> Timestamp:
    return timestamp(at_ms * 1000)
