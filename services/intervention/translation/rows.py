"""A batch of assessed events, from the wire."""

import operator
from collections.abc import Callable
from typing import Final

from journeymesh.common.v1.event_pb2 import InterventionOutcome
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.scoring.v1 import scoring_pb2

from mesh.errors import InvalidArgument
from services.intervention.domain.facts import Assessment, Bought, Contact, Indicator, Outcome, OutcomeReport
from services.intervention.usecases.rows import Rows

_OUTCOMES: Final = frozenset(each.value for each in Outcome)
# The fields of the domain's values of the same names, read at once: the hot path reads seven of each row.
_NUMBERS: Final[Callable[[object], tuple[float, int, float, float, float, int]]] = operator.attrgetter(
    *Assessment.__struct_fields__[:-1]
)
_INDICATOR: Final[Callable[[object], tuple[str, float, str]]] = operator.attrgetter(*Indicator.__struct_fields__)


def rows_of(request: wire.DecideInterventionsRequest) -> Rows:
    """The rows of a batch.

    Raises:
        InvalidArgument: the columns differ in length, or something points outside of them.
    """
    rows = Rows(
        record_indexes=list(request.record_indexes),
        event_indexes=list(request.event_indexes),
        user_ids=list(request.user_ids),
        event_ids=list(request.event_ids),
        received_us=list(request.received_times_us),
        trace_ids=list(request.trace_ids),
        span_ids=list(request.span_ids),
        pages=list(request.pages),
        time_zones=list(request.time_zones),
        assessments=list(map(_assessment, request.assessments)),
        bot_rows=list(request.bot_rows),
        outcomes={each.row: _report(each.outcome) for each in request.outcomes},
        model_version=request.model_version,
        rules_version=request.rules_version,
        kinds=list(request.event_types),
        targets=list(request.targets),
        purchases={each.row: Bought(each.purchase.amount, each.purchase.currency) for each in request.purchases},
        contacts={each.row: Contact(each.contact.email, each.contact.push_target) for each in request.contacts},
        features={each.row: tuple(each.values) for each in request.features},
        feature_names=tuple(request.feature_names),
        feature_schema_version=request.feature_schema_version,
    )
    _check(rows, len(request.position.sequences))
    return rows


def _assessment(of: scoring_pb2.Assessment) -> Assessment:
    numbers = _NUMBERS(of)
    # An assessment of a low level comes without indicators: not to look spares time on most rows.
    if numbers[1] == scoring_pb2.RISK_LEVEL_LOW:
        return Assessment(*numbers)
    return Assessment(*numbers, tuple([Indicator(*_INDICATOR(each)) for each in of.indicators]))


def _report(of: InterventionOutcome) -> OutcomeReport:
    outcome = Outcome(of.outcome) if of.outcome in _OUTCOMES else Outcome.NONE
    return OutcomeReport(of.intervention_id, outcome, of.channel)


def _check(rows: Rows, record_count: int) -> None:
    columns = (
        rows.record_indexes,
        rows.event_indexes,
        rows.user_ids,
        rows.event_ids,
        rows.received_us,
        rows.trace_ids,
        rows.span_ids,
        rows.pages,
        rows.time_zones,
    )
    count = len(rows.assessments)
    if any(len(column) != count for column in columns):
        raise InvalidArgument("INVALID_TYPE", "All columns of a batch have a value for each row.")
    if rows.kinds and not len(rows.kinds) == len(rows.targets) == count:
        raise InvalidArgument("INVALID_TYPE", "Kinds and targets of events have a value for each row, or none at all.")
    records = rows.record_indexes
    if records and (records[-1] >= record_count or sorted(records) != records):
        raise InvalidArgument("INVALID_TYPE", "Rows name records of the batch, in their order.")
    of_rows = (rows.bot_rows, rows.outcomes, rows.purchases, rows.contacts, rows.features)
    if any(row >= count for rows_named in of_rows for row in rows_named):
        raise InvalidArgument("INVALID_TYPE", "What is told of single rows belongs to a row.")
    if any(each.outcome is Outcome.NONE for each in rows.outcomes.values()):
        raise InvalidArgument("MISSING_FIELD", "An outcome says what became of the intervention.")
