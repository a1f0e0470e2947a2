"""The service behind a real server, with real interceptors and a real stub."""

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.common.v1.event_pb2 import InterventionOutcome
from journeymesh.common.v1.position_pb2 import EventPosition
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.intervention.v1.intervention_pb2_grpc import (
    InterventionServiceStub,
    add_InterventionServiceServicer_to_server,
)
from journeymesh.scoring.v1 import scoring_pb2
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from mesh.observability import semconv, telemetry
from services.intervention.decision.adapters.spans import SpanObserver
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Level, Outcome
from services.intervention.decision.domain.offer import WithdrawalReason
from services.intervention.policy.domain.policy import EventKind
from services.intervention.translation.decisions import assessment_message
from tests.intervention.builders import MINUTE, NOON_ISH, POLICY, Row, World, batch, facts
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceAsyncStub

TRACE = (7).to_bytes(16, "big").hex()


@dataclasses.dataclass
class Served:
    """A world behind a server."""

    world: World
    stub: "InterventionServiceAsyncStub"

    async def send(self, *rows: Row) -> wire.DecideInterventionsResponse:
        """Decides one more record."""
        self.world.sequence += 1
        self.world.clock.now_us = rows[-1].at_us
        return await self.stub.DecideInterventions(request(self.world.sequence, *rows))

    async def pending(self, user_id: str = "ada") -> wire.GetPendingInterventionResponse:
        """What waits."""
        return await self.stub.GetPendingIntervention(wire.GetPendingInterventionRequest(user_id=user_id))


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    world = World()
    servicer = world.servicer()
    async with serving(lambda server: add_InterventionServiceServicer_to_server(servicer, server)) as channel:
        yield Served(world, InterventionServiceStub(channel))


def request(sequence: int, *rows: Row) -> wire.DecideInterventionsRequest:
    """The batch of one record as the dispatcher sends it."""
    at, columns = batch(sequence, [rows])
    made = wire.DecideInterventionsRequest(
        record_indexes=columns.record_indexes,
        event_indexes=columns.event_indexes,
        user_ids=columns.user_ids,
        event_ids=columns.event_ids,
        received_times_us=columns.received_us,
        trace_ids=columns.trace_ids,
        span_ids=[(9).to_bytes(8, "big") for _ in rows],
        pages=columns.pages,
        time_zones=columns.time_zones,
        model_version=columns.model_version,
        rules_version=columns.rules_version,
        bot_rows=columns.bot_rows,
        event_types=[event_pb2.EventType.ValueType(kind) for kind in columns.kinds],
        targets=columns.targets,
        feature_names=columns.feature_names,
        feature_schema_version=columns.feature_schema_version,
        event_times_us=columns.event_us,
        copied_rows=columns.copied_rows,
        system_rows=columns.system_rows,
        settled_rows=columns.settled_rows,
        standings=[wire.StandingRow(row=i, standing=row.standing) for i, row in enumerate(rows) if row.standing],
        linked_rows=[wire.LinkedRow(row=row, user_id=user_id) for row, user_id in columns.linked.items()],
        model_outcomes=[
            scoring_pb2.ModelOutcome(model_version=version, outcome=each)
            for version, each in columns.model_outcomes.items()
        ],
    )
    for row, values in columns.features.items():
        made.features.add(row=row, values=values)
    for row, bought in columns.purchases.items():
        purchase = event_pb2.Purchase(amount=bought.amount, currency=bought.currency, is_refund=bought.is_refund)
        purchase.lines.extend(
            event_pb2.OrderLine(product_id=each, quantity=1) for each in columns.products.get(row, ())
        )
        made.purchases.add(row=row, purchase=purchase)
    for row, said in columns.segments.items():
        change = event_pb2.SegmentChange(segment=said.name, group=said.group)
        for product in said.products:
            change.products.add(product_id=product.product_id, name=product.name, reason=product.reason)
        made.segment_changes.add(row=row, segment_change=change)
    for row, contact in columns.contacts.items():
        made.contacts.add(row=row, contact=wire.Contact(email=contact.email, push_target=contact.push_target))
    made.position.stream, made.position.shard = at.stream, at.shard
    made.position.sequences.extend(map(str, at.sequences))
    for each in columns.assessments:
        made.assessments.append(assessment_message(each))
    for row, report in columns.outcomes.items():
        made.outcomes.add(
            row=row,
            outcome=InterventionOutcome(
                intervention_id=report.intervention_id,
                outcome=event_pb2.Outcome.ValueType(report.outcome),
                channel=report.channel,
            ),
        )
    return made


def test_the_domain_numbers_things_as_the_contract_does() -> None:
    assert {each.name: each.value for each in Outcome if each} == names(event_pb2.Outcome, "OUTCOME_")
    assert {each.name: each.value for each in Level if each} == names(scoring_pb2.RiskLevel, "RISK_LEVEL_")
    assert {each.name: each.value for each in EventKind} == names(event_pb2.EventType, "EVENT_TYPE_")
    assert {each.name: each.value for each in Reason} == names(wire.DecisionReason, "DECISION_REASON_")
    withdrawals = {each.name: each.value for each in WithdrawalReason if each}
    assert withdrawals == names(wire.WithdrawalReason, "WITHDRAWAL_REASON_")


def names(enum: object, prefix: str) -> dict[str, int]:
    items = enum.items()  # type: ignore[attr-defined]
    return {name.removeprefix(prefix): number for name, number in items if number}


async def test_a_decision_names_the_model_that_assessed_its_user(served: Served) -> None:
    asked = request(1, Row(20.0), Row(78.4, user_id="bob"), Row(20.0, user_id="cyd"))
    asked.other_models.add(model_version="canary-1", rows=[1])
    await served.stub.DecideInterventions(asked)
    found = [(await served.stub.GetDecision(wire.GetDecisionRequest(id=f"d-3-1-{row}"))).decision for row in range(3)]
    assert [each.model_version for each in found] == ["model-1", "canary-1", "model-1"]
    (record,) = (await served.stub.ReadLedger(wire.ReadLedgerRequest(shard="3", sequences=["1"]))).records
    assert [*record.other_models] == [scoring_pb2.ModelRows(model_version="canary-1", rows=[1])]


async def test_a_decision_keeps_the_probability_that_was_told_and_of_what(served: Served) -> None:
    asked = request(1, Row(20.0), Row(78.4, indicators=("form_errors",)), Row(20.0, user_id="cyd"))
    asked.other_models.add(model_version="canary-1", rows=[1, 2])
    for version, outcome in (("canary-1", "never returns"), ("model-1", "no event for 14 days"), ("other-1", "no")):
        asked.model_outcomes.add(model_version=version, outcome=outcome)
    asked.assessments[1].probability = 0.625
    asked.assessments[2].probability = 0.0  # told, and not absent
    await served.stub.DecideInterventions(asked)
    found = [(await served.stub.GetDecision(wire.GetDecisionRequest(id=f"d-3-1-{row}"))).decision for row in range(3)]
    assert [each.model_outcome for each in found] == ["no event for 14 days", "never returns", "never returns"]
    told = [each.assessment.probability if each.assessment.HasField("probability") else None for each in found]
    assert told == [None, 0.625, 0.0]
    (record,) = (await served.stub.ReadLedger(wire.ReadLedgerRequest(shard="3", sequences=["1"]))).records
    assert [each.assessment for each in found] == [*record.assessments]
    assert {each.model_version: each.outcome for each in record.model_outcomes} == {
        "canary-1": "never returns",
        "model-1": "no event for 14 days",
    }


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
async def test_a_probability_that_is_none_is_refused(served: Served, wrong: float) -> None:
    asked = request(1, Row(20.0))
    asked.assessments[0].probability = wrong
    with pytest.raises(InvalidArgument):
        await served.stub.DecideInterventions(asked)


async def test_help_is_made_waits_and_is_explained(served: Served) -> None:
    assert not (await served.pending()).has_pending_intervention
    response = await served.send(Row(20.0), Row(78.4, indicators=("form_errors",)))
    (made,) = response.interventions
    assert (made.row, made.decision_id, made.intervention_id) == (1, "d-3-1-1", "i-3-1-1")
    pending = await served.pending()
    assert pending.has_pending_intervention
    assert pending.intervention.action == "show_live_chat_popup"
    assert (pending.intervention.payload.risk_score, pending.intervention.payload.risk_level) == (78.4, "high")
    assert list(pending.intervention.payload.indicators) == ["form_errors"]
    assert pending.intervention.expires_at.ToMicroseconds() == NOON_ISH + 30 * MINUTE
    decision = (await served.stub.GetDecision(wire.GetDecisionRequest(id="d-3-1-1"))).decision
    assert decision.kind == wire.DECISION_KIND_INTERVENE
    assert decision.intervention == pending.intervention
    assert (decision.trace_id, decision.event_id, decision.user_id) == (TRACE, "e-1-1", "ada")
    assert decision.assessment == request(1, Row(78.4, indicators=("form_errors",))).assessments[0]
    assert (decision.model_version, decision.rules_version) == ("model-1", "rules-1")
    assert decision.policy_version == POLICY.version
    assert (decision.position.shard, decision.position.sequence, decision.position.event_index) == ("3", "1", 1)
    assert (decision.decision_time.ToMicroseconds(), decision.propensity) == (NOON_ISH, 1.0)
    followed = await served.stub.GetIntervention(wire.GetInterventionRequest(id="i-3-1-1"))
    assert (followed.user_id, followed.decision_id, followed.is_ended) == ("ada", "d-3-1-1", False)
    assert followed.outcome == event_pb2.OUTCOME_UNSPECIFIED


async def test_decisions_are_listed_by_user_trace_and_position(served: Served) -> None:
    await served.send(Row(20.0, NOON_ISH), Row(21.0, NOON_ISH, user_id="bob"))
    await served.send(Row(22.0, NOON_ISH + MINUTE, trace=8))

    async def listed(query: wire.ListDecisionsRequest) -> list[str]:
        decisions = (await served.stub.ListDecisions(query)).decisions
        assert all(each.kind == wire.DECISION_KIND_NONE for each in decisions)
        return [each.id for each in decisions]

    assert await listed(wire.ListDecisionsRequest(user_id="ada")) == ["d-3-2-0", "d-3-1-0"]
    assert await listed(wire.ListDecisionsRequest(user_id="ada", page_size=1)) == ["d-3-2-0"]
    assert await listed(wire.ListDecisionsRequest(user_id="eve")) == []
    assert await listed(wire.ListDecisionsRequest(trace_id=TRACE)) == ["d-3-1-1", "d-3-1-0"]
    at = wire.ListDecisionsRequest()
    at.position.shard, at.position.sequence, at.position.event_index = "3", "1", 1
    assert await listed(at) == ["d-3-1-1"]
    at.position.event_index = 2
    assert await listed(at) == []


async def test_a_withdrawal_is_reported_in_every_response(served: Served) -> None:
    await served.send(Row(80.0))
    stream = served.stub.WatchPendingIntervention(wire.WatchPendingInterventionRequest(user_id="ada"))
    answers = aiter(stream)
    assert (await anext(answers)).intervention.id == "i-3-1-0"
    await served.send(Row(20.0, kind=EventKind.TASK_SUCCESS, is_settled=True))
    withdrawal = wire.Withdrawal(intervention_id="i-3-1-0", reason=wire.WITHDRAWAL_REASON_SOLVED)
    change, pending = await anext(answers), await served.pending()
    assert (change.withdrawn, change.HasField("intervention")) == (withdrawal, False)
    assert (pending.withdrawn, pending.has_pending_intervention, pending.cursor) == (withdrawal, False, change.cursor)
    followed = await served.stub.GetIntervention(wire.GetInterventionRequest(id="i-3-1-0"))
    assert (followed.outcome, followed.withdrawal_reason) == (event_pb2.OUTCOME_WITHDRAWN, withdrawal.reason)
    assert followed.is_ended
    made = (await served.stub.GetDecision(wire.GetDecisionRequest(id="d-3-1-0"))).decision
    assert (made.outcome, made.withdrawal_reason) == (event_pb2.OUTCOME_WITHDRAWN, withdrawal.reason)
    solved = (await served.stub.GetDecision(wire.GetDecisionRequest(id="d-3-2-0"))).decision
    assert (solved.withdrawn, solved.HasField("intervention"), bool(solved.inputs)) == (withdrawal, False, True)
    stream.cancel()


async def test_standing_leaves_and_arrives_by_rows(served: Served) -> None:
    await served.send(Row(80.0, user_id="anon"))
    answer = await served.send(Row(user_id="calm", linked="ada"), Row(user_id="anon", linked="ada"))
    ((row, standing),) = [(each.row, each.standing) for each in answer.standings]
    assert row == 1
    await served.send(Row(is_copy=True, standing=standing))
    assert (await served.pending()).intervention.id == "i-3-1-0"
    left = await served.pending("anon")
    assert left.withdrawn.reason == wire.WITHDRAWAL_REASON_IDENTIFIED
    followed = await served.stub.GetIntervention(wire.GetInterventionRequest(id="i-3-1-0"))
    assert (followed.user_id, followed.is_ended) == ("ada", False)


async def test_a_dispatcher_of_the_version_before_is_served_as_before(served: Served) -> None:
    old = request(1, Row(80.0, age_us=60 * MINUTE, kind=EventKind.SESSION_END))
    for name in ("event_times_us", "copied_rows", "settled_rows", "standings", "linked_rows", "system_rows"):
        old.ClearField(name)
    del old.time_zones[:]
    old.time_zones.append("")
    old.event_types[0] = event_pb2.EVENT_TYPE_PAGE_VIEW
    assert [each.intervention_id for each in (await served.stub.DecideInterventions(old)).interventions] == ["i-3-1-0"]


async def test_outcomes_arrive_as_rows(served: Served) -> None:
    await served.send(Row(80.0))
    accepted = InterventionOutcome(intervention_id="i-3-1-0", outcome=event_pb2.OUTCOME_ACCEPTED)
    second = request(2, Row(80.0))
    second.outcomes.add(row=0, outcome=accepted)
    assert not (await served.stub.DecideInterventions(second)).interventions
    assert not (await served.pending()).has_pending_intervention
    followed = await served.stub.GetIntervention(wire.GetInterventionRequest(id="i-3-1-0"))
    assert followed.outcome == event_pb2.OUTCOME_ACCEPTED


@pytest.mark.parametrize("decision_id", ["", "d-3-1-9", "d-3-2-0", "i-3-1-0", "d-3-x-0", "nonsense"])
async def test_unknown_decisions_are_not_found(served: Served, decision_id: str) -> None:
    await served.send(Row(80.0))
    with pytest.raises(NotFound, match="DECISION_NOT_FOUND"):
        await served.stub.GetDecision(wire.GetDecisionRequest(id=decision_id))


async def test_unknown_interventions_are_not_found(served: Served) -> None:
    with pytest.raises(NotFound, match="INTERVENTION_NOT_FOUND"):
        await served.stub.GetIntervention(wire.GetInterventionRequest(id="i-3-1-0"))


@pytest.mark.parametrize(
    "query",
    [
        wire.ListDecisionsRequest(),
        wire.ListDecisionsRequest(trace_id="7"),
        wire.ListDecisionsRequest(position=EventPosition()),
    ],
)
async def test_wrong_queries_are_refused(served: Served, query: wire.ListDecisionsRequest) -> None:
    with pytest.raises(InvalidArgument):
        await served.stub.ListDecisions(query)


async def test_a_batch_from_before_the_checkpoint_is_refused(served: Served) -> None:
    for minute in (0, 20, 40):
        await served.send(Row(80.0, NOON_ISH + minute * MINUTE))
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        await served.stub.DecideInterventions(request(1, Row(80.0)))


async def test_watching_yields_what_waits_and_every_change(served: Served) -> None:
    stream = served.stub.WatchPendingIntervention(wire.WatchPendingInterventionRequest(user_id="ada"))
    answers = aiter(stream)
    first = await anext(answers)
    assert not first.HasField("intervention")
    await served.send(Row(80.0))
    second = await anext(answers)
    assert second.intervention.id == "i-3-1-0"
    assert int(second.cursor) > int(first.cursor)
    # The clock passes the expiry; another's change of nothing wakes the watch.
    served.world.clock.now_us += 31 * MINUTE
    served.world.listeners.wake(["ada"])
    third = await anext(answers)
    assert not third.HasField("intervention")
    assert int(third.cursor) > int(second.cursor)
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await anext(answers)


async def test_watching_goes_on_from_a_cursor(served: Served) -> None:
    await served.send(Row(80.0))
    first = await anext(
        aiter(served.stub.WatchPendingIntervention(wire.WatchPendingInterventionRequest(user_id="ada")))
    )
    again = wire.WatchPendingInterventionRequest(user_id="ada", cursor=first.cursor)
    answers = aiter(served.stub.WatchPendingIntervention(again))
    following = asyncio.ensure_future(anext(answers))
    accepted = request(2, Row(80.0))
    accepted.outcomes.add(
        row=0, outcome=InterventionOutcome(intervention_id="i-3-1-0", outcome=event_pb2.OUTCOME_ACCEPTED)
    )
    await served.stub.DecideInterventions(accepted)
    expired = await following
    assert not expired.HasField("intervention")
    assert int(expired.cursor) > int(first.cursor)


async def test_a_watch_says_on_wish_that_nothing_has_changed(served: Served) -> None:
    await served.send(Row(80.0))
    first = await anext(
        aiter(served.stub.WatchPendingIntervention(wire.WatchPendingInterventionRequest(user_id="ada")))
    )
    again = wire.WatchPendingInterventionRequest(user_id="ada", cursor=first.cursor, wants_unchanged=True)
    answers = aiter(served.stub.WatchPendingIntervention(again))
    assert await anext(answers) == wire.WatchPendingInterventionResponse(is_unchanged=True)
    accepted = request(2, Row(80.0))
    accepted.outcomes.add(
        row=0, outcome=InterventionOutcome(intervention_id="i-3-1-0", outcome=event_pb2.OUTCOME_ACCEPTED)
    )
    await served.stub.DecideInterventions(accepted)
    assert int((await anext(answers)).cursor) > int(first.cursor)


async def test_watches_are_bounded_and_end_with_their_caller(served: Served) -> None:
    watch = wire.WatchPendingInterventionRequest(user_id="ada")
    streams = [served.stub.WatchPendingIntervention(watch) for _ in range(4)]
    for stream in streams:
        await anext(aiter(stream))
    with pytest.raises(ResourceExhausted):
        await anext(aiter(served.stub.WatchPendingIntervention(watch)))
    for stream in streams:
        stream.cancel()
    async with asyncio.timeout(5):
        while served.world.listeners._count:  # noqa: ASYNC110 - the server ends a call in its own time
            await asyncio.sleep(0)
    await anext(aiter(served.stub.WatchPendingIntervention(watch)))


async def test_a_wrong_cursor_is_refused(served: Served) -> None:
    watch = wire.WatchPendingInterventionRequest(user_id="ada", cursor="yesterday")
    with pytest.raises(InvalidArgument):
        await anext(aiter(served.stub.WatchPendingIntervention(watch)))


async def test_a_span_stands_in_the_trace_of_the_event() -> None:
    exporter = InMemorySpanExporter()
    traced = telemetry.exporting("intervention", exporter)
    world = World()
    (made,) = await world.send(Row(80.0))
    SpanObserver(traced).created("d-3-1-0", made.decision, (9).to_bytes(8, "big"))
    traced.provider.force_flush()
    (span,) = exporter.get_finished_spans()
    assert span.name == semconv.SPAN_DECIDE
    assert span.context.trace_id == int.from_bytes(facts(Row()).trace_id, "big")
    assert span.parent is not None
    assert span.parent.span_id == 9
    assert span.attributes is not None
    assert span.attributes[semconv.DECISION_ID] == "d-3-1-0"
    traced.close()
