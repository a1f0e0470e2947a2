"""Reads the events of a batch from their tables, column by column."""

import contextlib
import itertools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf.message import Message
from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument, VersionMismatch
from records import table, wire
from records.table import COLUMNS, Table
from records.tenants import plain
from services.features.domain.event import NAME_LIMIT, Carried, Click, Event, Kind
from services.features.domain.own import NO_COLUMNS, Columns, Own, taken
from services.features.domain.pages import shortened
from services.features.translation.kept import kept_of
from services.features.usecases import Rows

LONGEST_ID: Final = 128
"""Characters of an id or a name of the contract."""
LONGEST_EVENT_ID: Final = 256
"""Clients' ids have up to 100 characters; ids made by the mesh may contain another id."""
LONGEST_CURRENCY: Final = 3

_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_OWN_ID: Final = "jm:"
"""How ids that ingest makes begin."""
_KINDS: Final = frozenset(event_pb2.EventType.values()) - {event_pb2.EVENT_TYPE_UNSPECIFIED}
_LAST_KIND: Final = max(_KINDS)
# All at once: reading them one by one costs half as much again.
_CLICK: Final = operator.attrgetter(
    "x", "y", "effect_observed", "error_observed", "selection_changed", "value_changed", "role"
)

_Message = TypeVar("_Message", bound=Message)


def rows_of(request: features_pb2.ApplyEventsRequest, columns: Columns = NO_COLUMNS) -> Rows:
    """The rows of a request, with what they say of the installation's own columns.

    Raises:
        VersionMismatch: an event is of a newer version's kind.
        InvalidArgument: a table is none, or has no row that is meant; an event has no user, a kind that is none, or a
            number or time outside what there can be; or an engagement is of no row.
    """
    rows = Rows([], [], [], {update.row: _finite(update.score) for update in request.engagements})
    for of in filter(len, _tables(request)):
        rows.user_ids.extend(_users_of(of))
        rows.events.extend(events_of(of, columns, brings_arrivals=request.brings_arrivals))
        rows.kept.extend(kept_of(of))
    if rows.engagements and max(rows.engagements) >= len(rows.events):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "An engagement refers to a row that does not exist.")
    return rows


def assessed_rows_of(request: features_pb2.ApplyEventsRequest, row_count: int) -> Sequence[int]:
    """The rows after which a vector is wanted.

    Raises:
        InvalidArgument: they do not ascend, or one does not exist.
    """
    rows = list(request.assessed_rows)
    if rows and (rows[-1] >= row_count or any(row >= after for row, after in itertools.pairwise(rows))):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "The assessed rows ascend, and are among the events.")
    return rows or range(row_count)


def events_of(of: Table, columns: Columns = NO_COLUMNS, *, brings_arrivals: bool = True) -> list[Event]:
    """The events of a table. Members of one kind of event are read only for that kind.

    Args:
        of: the events.
        columns: the installation's own columns.
        brings_arrivals: whether the known user receives what moves with a link; if not, a link moves nothing.

    Raises:
        VersionMismatch: a kind is that of a newer version.
        InvalidArgument: a kind is none, an id or word is too long, or a number or time is outside what there can be.
    """
    _check(of)
    kinds = of.event_type
    purchases = _details(of, event_pb2.Purchase, Kind.PURCHASE)
    clicks = _details(of, event_pb2.Click, Kind.CLICK)
    carried = {row: each for row, each in of.carried.items() if kinds[row] == Kind.IDENTIFY}
    links = _rows_with(of, "linked_user_id", Kind.IDENTIFY) if brings_arrivals else []
    # Copies of an ingest that brings no arrivals have other ids. Their purchases count, as they did then.
    copies = [
        row for row in _rows_with(of, "copied_event_id", Kind.PURCHASE) if plain(of.event_id[row]).startswith(_OWN_ID)
    ]
    addresses = {row: of.address[row] for row in _rows_with(of, "address", Kind.PAGE_VIEW)}
    # In the order of `Event`.
    return [
        *map(
            Event,
            of.event_id,
            kinds,
            of.event_time_us,
            _names(of, "page"),
            _names(of, "target"),
            _column(of, "attempt_count"),
            _column(of, "error_code"),
            _column(of, "is_refresh"),
            _column(of, "is_bot"),
            _column(of, "platform"),
            _column(of, "time_zone"),
            _column(of, "is_system"),
            _column(of, "received_time_us"),
            _spread(of, addresses, ""),
            _spread(of, {row: _click(each) for row, each in clicks.items()}, None),
            _spread(of, {row: _finite(each.amount) for row, each in purchases.items()}, 0.0),
            _spread(of, {row: _currency(each.currency) for row, each in purchases.items()}, ""),
            _spread(of, {row: each.is_refund for row, each in purchases.items()}, False),
            _spread(of, dict.fromkeys(copies, True), False),
            _spread(of, dict.fromkeys(links, True), False),
            _spread(of, {row: _carried(each) for row, each in carried.items()}, None),
            _spread(of, _own(of, columns) if columns is not NO_COLUMNS and of.has("properties") else {}, None),
        )
    ]


def _tables(request: features_pb2.ApplyEventsRequest) -> list[Table]:
    if request.events:
        return [table.of_events(request.events)]
    try:
        return [wire.meant(each) for each in request.tables]
    except wire.UnreadableTableError:
        raise InvalidArgument("MALFORMED_MESSAGE", "A table is none, or has no such row.") from None


def _users_of(of: Table) -> list[str]:
    users = set(of.user_id)
    if not (_are_short(users) or _are_short(map(plain, users))):
        raise InvalidArgument("INVALID_IDENTIFIER", f"A user's id has 1 to {LONGEST_ID} characters.")
    return of.user_id


def _are_short(ids: Iterable[str]) -> bool:
    return all(0 < len(each) <= LONGEST_ID for each in ids)


def _check(of: Table) -> None:
    times_us = of.event_time_us
    if max(of.event_type, default=0) > _LAST_KIND:
        raise VersionMismatch("An event is of a kind that only a newer version knows.")
    if not _KINDS.issuperset(of.event_type) or min(times_us, default=0) < 0 or max(times_us, default=0) > LATEST_US:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "An event has a kind and a time from 1970 to 2255.")
    if _longest(of, "event_id") > LONGEST_EVENT_ID or _longest(of, "time_zone") > LONGEST_ID:
        raise InvalidArgument(
            "INVALID_IDENTIFIER", f"An id has at most {LONGEST_EVENT_ID} characters, a zone {LONGEST_ID}."
        )


def _longest(of: Table, name: str) -> int:
    return max(map(len, getattr(of, name)), default=0) if of.has(name) else 0


def _column(of: Table, name: str) -> Iterable[Any]:
    return getattr(of, name) if of.has(name) else itertools.repeat(COLUMNS[name])


def _names(of: Table, name: str) -> Iterable[str]:
    names = _column(of, name)
    return map(shortened, names) if _longest(of, name) > NAME_LIMIT else names


def _spread(of: Table, cells: Mapping[int, Any], empty: object) -> Iterable[Any]:
    """A column that few rows have a value in."""
    if not cells:
        return itertools.repeat(empty)
    column = [empty] * len(of)
    for row, cell in cells.items():
        column[row] = cell
    return column


def _rows_with(of: Table, name: str, kind: int) -> list[int]:
    """The rows of a kind that have a value in a column."""
    if not of.has(name):
        return []
    return [
        row
        for row, (cell, of_kind) in enumerate(zip(getattr(of, name), of.event_type, strict=True))
        if cell and of_kind == kind
    ]


def _details(of: Table, made_of: type[_Message], kind: int) -> dict[int, _Message]:
    """The details of a kind of event, by row."""
    kinds = of.event_type
    return {row: each for row, each in of.details.items() if isinstance(each, made_of) and kinds[row] == kind}


def _click(message: event_pb2.Click) -> Click:
    x, y, effect_observed, error_observed, selection_changed, value_changed, role = _CLICK(message)
    _finite(x + y)
    has = message.HasField
    return Click(
        x if has("x") else None,
        y if has("y") else None,
        effect_observed if has("effect_observed") else None,
        error_observed,
        selection_changed,
        value_changed if has("value_changed") else None,
        role,
    )


def _carried(message: event_pb2.Carried) -> Carried:
    return Carried(
        message.purchase_count, {_currency(each.currency): _finite(each.amount) for each in message.purchase_amounts}
    )


def _own(of: Table, columns: Columns) -> dict[int, Own]:
    """What the events say of the own columns, by row. Properties that are no JSON object say nothing."""
    found = {}
    for row, properties in enumerate(of.properties):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            if properties and (said := taken(columns, _decode_object(properties).get)) is not None:
                found[row] = said
    return found


def _currency(code: str) -> str:
    if len(code) > LONGEST_CURRENCY:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A currency must be given as its three-letter code.")
    return code


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "Every number must be finite.")
    return number
