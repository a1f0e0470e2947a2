"""What a batch must hold to be decided on: refused with a reason here, it breaks nothing that is read later."""

import itertools
import math
import operator
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from journeymesh.intervention.v1 import intervention_pb2 as wire

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument, VersionMismatch
from records.tenants import plain
from services.intervention.batch.rows import Rows
from services.intervention.decision.domain.facts import Outcome
from services.intervention.policy.domain.policy import EventKind

_KINDS: Final = frozenset({0, *EventKind})
_LAST_KIND: Final = max(EventKind)
# A withdrawal is the mesh's own doing: nobody reports one.
_REPORTED: Final = frozenset(Outcome) - {Outcome.NONE, Outcome.WITHDRAWN}
_LAST_OUTCOME: Final = max(Outcome)
_LONGEST_IDENTIFIER: Final = 128
_LARGEST_AMOUNT: Final = 1e12
_TRACE_LENGTHS: Final = frozenset({0, 16})
_SPAN_LENGTHS: Final = frozenset({0, 8})
_UNSEEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def lengths(request: wire.DecideInterventionsRequest) -> None:
    """Returns if the columns belong together.

    Raises:
        InvalidArgument: `INVALID_TYPE`.
        VersionMismatch: a column is missing as a whole.
    """
    decided, count = list(request.decided_rows), len(request.record_indexes)
    columns = (request.event_indexes, request.received_times_us, request.trace_ids, request.span_ids)
    if count and not all(columns):
        raise VersionMismatch("A column of the batch is missing.")
    if any(len(column) != count for column in columns):
        raise InvalidArgument("INVALID_TYPE", "Columns of events have a value for each row.")
    columns_of_decisions = (
        request.user_ids,
        request.event_ids,
        request.pages,
        request.time_zones,
        request.assessments,
    )
    if count and not all(columns_of_decisions):
        raise VersionMismatch("A column of the batch is missing.")
    if any(len(column) != (len(decided) or count) for column in columns_of_decisions):
        raise InvalidArgument("INVALID_TYPE", "Columns of decisions have a value for each decision.")
    if decided or request.decisions:
        _decisions(request, decided)
    optional = (request.event_types, request.targets, request.event_times_us)
    if any(len(column) not in (0, count) for column in optional) or len(request.event_types) != len(request.targets):
        raise InvalidArgument(
            "INVALID_TYPE", "Kinds, targets and times of events have a value for each row, or none at all."
        )


def _decisions(request: wire.DecideInterventionsRequest, decided: Sequence[int]) -> None:
    """Returns if each row has a decision of its record, and each decision a row that it is about."""
    decisions, records = list(request.decisions), list(request.record_indexes)
    is_whole = (
        len(decisions) == len(records)
        and all(map(operator.lt, decided, decided[1:]))
        and max(decided, default=-1) < len(records)
        and max(decisions, default=0) < len(decided)
        and all(decisions[row] == number for number, row in enumerate(decided))
        and all(record == records[decided[number]] for record, number in zip(records, decisions, strict=True))
    )
    if not is_whole:
        raise InvalidArgument("INVALID_TYPE", "Each row has one decision, which is about a row of the same record.")


def values(rows: Rows, record_count: int) -> None:
    """Returns if what the columns hold can be decided on.

    Raises:
        InvalidArgument: `INVALID_TYPE`, `MISSING_FIELD`, `INVALID_TIME`, `INVALID_IDENTIFIER` or `VALUE_OUT_OF_RANGE`.
        VersionMismatch: an event is of a newer version's kind.
    """
    records, count = rows.record_indexes, len(rows.record_indexes)
    if records and (records[-1] >= record_count or sorted(records) != records):
        raise InvalidArgument("INVALID_TYPE", "Rows name records of the batch, in their order.")
    if any(row >= count for row in _single_rows(rows)):
        raise InvalidArgument("INVALID_TYPE", "Values of single rows belong to a row of the batch.")
    if not all(rows.user_ids):
        raise InvalidArgument("MISSING_FIELD", "Each row names its user.")
    if any(user_id in ("", rows.user(row)) for row, user_id in rows.linked.items()):
        raise InvalidArgument("MISSING_FIELD", "A row that ends an anonymous journey names another user.")
    if not _KINDS.issuperset(rows.kinds):
        if max(rows.kinds) > _LAST_KIND:
            raise VersionMismatch("An event is of a kind that only a newer version knows.")
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A kind of event is none of those there are.")
    for times_us in filter(None, (rows.received_us, rows.event_us)):
        time_us(min(times_us))
        time_us(max(times_us))
    if not (_TRACE_LENGTHS.issuperset(map(len, rows.trace_ids)) and _SPAN_LENGTHS.issuperset(map(len, rows.span_ids))):
        raise InvalidArgument("INVALID_IDENTIFIER", "A trace id has 16 bytes, and a span id 8.")


def finite(numbers: Iterable[float]) -> tuple[float, ...]:
    """The numbers, if all are.

    Raises:
        InvalidArgument: `VALUE_OUT_OF_RANGE`.
    """
    found = tuple(numbers)
    if not all(map(math.isfinite, found)):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "Features and contributions are finite numbers.")
    return found


def time_us(at_us: int) -> int:
    """The time, if it is one.

    Raises:
        InvalidArgument: `INVALID_TIME`.
    """
    if not 0 <= at_us <= LATEST_US:
        raise InvalidArgument("INVALID_TIME", "Times are Unix microseconds between the years 1970 and 2255.")
    return at_us


def amount(claimed: float) -> float:
    """The amount, if it can be summed.

    Raises:
        InvalidArgument: `VALUE_OUT_OF_RANGE`.
    """
    if not abs(claimed) <= _LARGEST_AMOUNT:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"Amounts are {_LARGEST_AMOUNT:g} at most, either way.")
    return claimed


def reported(outcome: int) -> int:
    """The outcome, if it is one that is reported.

    Raises:
        InvalidArgument: `MISSING_FIELD` or `VALUE_OUT_OF_RANGE`.
        VersionMismatch: it is a newer version's.
    """
    if outcome == Outcome.NONE:
        raise InvalidArgument("MISSING_FIELD", "An outcome says what the user did about the intervention.")
    if outcome > _LAST_OUTCOME:
        raise VersionMismatch("An outcome is one that only a newer version knows.")
    if outcome not in _REPORTED:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "The outcome is none of those that are reported.")
    return outcome


def identifier(text: str, name: str, most: int = _LONGEST_IDENTIFIER) -> str:
    """The text, if it can be an id: short, and nothing that is not seen as a letter or within a word.

    The name of its tenant does not count.

    Raises:
        InvalidArgument: `INVALID_IDENTIFIER`.
    """
    sent = plain(text)
    is_seen = sent.isprintable() or not any(unicodedata.category(each) in _UNSEEN for each in sent)
    if len(sent) > most or not is_seen:
        raise InvalidArgument(
            "INVALID_IDENTIFIER", f"The {name} has at most {most} characters, and no control characters."
        )
    return text


def _single_rows(rows: Rows) -> Iterable[int]:
    return itertools.chain(
        rows.bot_rows,
        rows.copied_rows,
        rows.system_rows,
        rows.settled_rows,
        rows.outcomes,
        rows.purchases,
        rows.segments,
        rows.contacts,
        rows.features,
        rows.transfers,
        rows.linked,
        (each.row for each in rows.struggles),
    )
