"""A batch of events and assessments, from the wire."""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from journeymesh.common.v1.event_pb2 import InterventionOutcome, SegmentChange
from journeymesh.common.v1.event_pb2 import Purchase as WirePurchase
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.scoring.v1 import scoring_pb2

from mesh.errors import InvalidArgument, VersionMismatch
from services.intervention.batch.rows import Rows, Struggle
from services.intervention.decision.domain import linking
from services.intervention.decision.domain.facts import (
    Assessment,
    Contact,
    Indicator,
    Level,
    Outcome,
    OutcomeReport,
    Purchase,
)
from services.intervention.decision.domain.linking import TransferError, UserTransfer
from services.intervention.decision.domain.segment import MOST_PRODUCTS, Recommended, Segment
from services.intervention.translation import checks

# The fields of the domain's values of the same names, read at once: the hot path reads six of each row.
_NUMBERS: Final[Callable[[object], tuple[float, int, float, float, float, int]]] = operator.attrgetter(
    *Assessment.__struct_fields__[:6]
)
_SIGNAL: Final[Callable[[object], tuple[int, float, str, str]]] = operator.attrgetter(
    "type", "strength", "target", "reason"
)
_LONGEST_PRODUCT_NAME: Final = 256
_LAST_LEVEL: Final = int(Level.CRITICAL)
_INDICATOR: Final[Callable[[object], tuple[str, float, str]]] = operator.attrgetter(*Indicator.__struct_fields__)


def rows_of(request: wire.DecideInterventionsRequest) -> Rows:
    """The rows of a batch.

    Raises:
        InvalidArgument: columns do not belong together, something points outside of them, or a value is none of those
            there are; see `checks`.
        VersionMismatch: the sender is of another version.
    """
    checks.lengths(request)
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
        bot_rows=_ascending(request.bot_rows),
        outcomes={each.row: _report(each.outcome) for each in request.outcomes},
        model_version=request.model_version,
        rules_version=request.rules_version,
        kinds=list(request.event_types),
        targets=list(request.targets),
        purchases={each.row: _bought(each.purchase) for each in request.purchases},
        products={each.row: found for each in request.purchases if (found := _products(each.purchase))},
        segments={each.row: _segment(each.segment_change) for each in request.segment_changes},
        contacts={each.row: Contact(each.contact.email, each.contact.push_target) for each in request.contacts},
        features={each.row: checks.finite(each.values) for each in request.features},
        feature_names=tuple(request.feature_names),
        feature_schema_version=request.feature_schema_version,
        event_us=list(request.event_times_us),
        copied_rows=_ascending(request.copied_rows),
        system_rows=_ascending(request.system_rows),
        settled_rows=_ascending(request.settled_rows),
        transfers={each.row: _moving(each.standing) for each in request.standings},
        linked={each.row: each.user_id for each in request.linked_rows},
        struggles=[Struggle(each.row, *_SIGNAL(each.signal)) for each in request.signals],
        decided_rows=list(request.decided_rows),
        decisions=list(request.decisions),
        other_models={row: each.model_version for each in request.other_models for row in each.rows},
        model_outcomes={each.model_version: each.outcome for each in request.model_outcomes},
    )
    checks.values(rows, len(request.position.sequences))
    return rows


def _assessment(of: scoring_pb2.Assessment) -> Assessment:
    numbers = _NUMBERS(of)
    score, level, confidence, rule_score, model_score, _ = numbers
    probability = of.probability if of.HasField("probability") else None
    # In place, as it is done for every row. No number but a finite one lies within a range.
    if not (
        0.0 <= score <= 100.0
        and 0.0 <= confidence <= 1.0
        and 0.0 <= rule_score <= 100.0
        and 0.0 <= model_score <= 100.0
        and 0 <= level <= _LAST_LEVEL
        and (probability is None or 0.0 <= probability <= 1.0)
    ):
        if level > _LAST_LEVEL:
            raise VersionMismatch("A risk is of a level that only a newer version knows.")
        raise InvalidArgument(
            "VALUE_OUT_OF_RANGE",
            "Scores are 0 to 100, confidences and probabilities 0 to 1, and levels those there are.",
        )
    # An assessment of a low level comes without indicators: not to look spares time on most rows.
    if level == scoring_pb2.RISK_LEVEL_LOW:
        return Assessment(*numbers, (), 0, probability)
    indicators = tuple([Indicator(*_INDICATOR(each)) for each in of.indicators])
    checks.finite([each.contribution for each in indicators])
    return Assessment(*numbers, indicators, checks.time_us(of.latest_signal_time_us), probability)


def _report(of: InterventionOutcome) -> OutcomeReport:
    return OutcomeReport(
        checks.identifier(of.intervention_id, "intervention id"),
        Outcome(checks.reported(of.outcome)),
        checks.identifier(of.channel, "channel"),
    )


def _bought(of: WirePurchase) -> Purchase:
    return Purchase(checks.amount(of.amount), checks.identifier(of.currency, "currency"), of.is_refund)


def _products(of: WirePurchase) -> tuple[str, ...]:
    """What was bought; nothing by a refund."""
    lines = () if _bought(of).gives_back else of.lines
    return tuple(dict.fromkeys(checks.identifier(each.product_id, "product id") for each in lines))


def _segment(of: SegmentChange) -> Segment:
    products = [
        Recommended(
            checks.identifier(each.product_id, "product id"),
            checks.identifier(each.name, "product name", most=_LONGEST_PRODUCT_NAME),
            checks.identifier(each.reason, "reason"),
        )
        for each in of.products[:MOST_PRODUCTS]
    ]
    names = (checks.identifier(of.segment, "segment"), checks.identifier(of.group, "group"))
    return Segment(*names, products=tuple(products))


def _moving(standing: bytes) -> UserTransfer:
    try:
        return linking.decode(standing)
    except TransferError as error:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", str(error)) from None


def _ascending(rows: Iterable[int]) -> Sequence[int]:
    return sorted(set(rows))
