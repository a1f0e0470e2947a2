"""Routes of interventions and of the ledger of decisions."""

import functools
import re
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway.acceptance import accept, refusal_of
from gateway.additions import Warn
from gateway.core import Core
from gateway.parameters import number
from gateway.refusal import decoded
from gateway.rendering import render
from gateway.schema import OUTCOMES, words
from gateway.transcode import Stamp
from gateway.web import Answer, Request, json
from mesh.errors import FailedPrecondition, InvalidArgument

_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_OUTCOME_WORDS: Final = words(event_pb2.Outcome.DESCRIPTOR)


class OutcomeReport(msgspec.Struct, forbid_unknown_fields=True):
    """What became of an intervention."""

    outcome: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(OUTCOMES)})]


class OutcomeTaken(msgspec.Struct, rename="camel"):
    """The event that carries an outcome."""

    event_id: str
    trace_id: str


async def pending(core: Core, request: Request) -> Answer:
    """What waits for a user."""
    asked = intervention_pb2.GetPendingInterventionRequest(user_id=request.parameters["userId"])
    return json(render(await core.peers.intervention.GetPendingIntervention(asked)))


async def intervention(core: Core, request: Request) -> Answer:
    """An intervention and what came of it."""
    asked = intervention_pb2.GetInterventionRequest(id=request.parameters["id"])
    return json(render(await core.peers.intervention.GetIntervention(asked)))


async def outcome(core: Core, request: Request) -> Answer:
    """Takes what became of an intervention."""
    told = decoded(await request.told_body(), OutcomeReport, '{"outcome":"accepted"}')
    return json(await report(core, request, request.parameters["id"], told.outcome), 202)


async def report(core: Core, request: Request, intervention_id: str, told: str) -> OutcomeTaken:
    """Takes what became of an intervention, as an event like any other; taking it twice counts once.

    Raises:
        MeshError: it is no outcome; there is no such intervention, or it has ended; the event was not taken.
    """
    if told not in OUTCOMES:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`outcome` must be one of {', '.join(OUTCOMES)}.")
    found = await core.peers.intervention.GetIntervention(intervention_pb2.GetInterventionRequest(id=intervention_id))
    known = _OUTCOME_WORDS.get(found.outcome)
    is_answered = found.is_ended or known == "accepted"
    is_conversion = (known, told) == ("accepted", "converted")
    if is_answered and told != known and not is_conversion:
        raise FailedPrecondition("INTERVENTION_ENDED", "The intervention has already ended.")
    event_id = f"jm:outcome:{intervention_id}:{told}"
    read = functools.partial(_read, found, event_id, intervention_id, told)
    tracked = await accept(core, request, [b"{}"], read)
    error = refusal_of(tracked)
    if error is not None:
        raise error
    return OutcomeTaken(event_id, tracked.trace_id)


def _read(
    found: intervention_pb2.GetInterventionResponse,
    event_id: str,
    intervention_id: str,
    told: str,
    _raw: bytes | msgspec.Raw,
    add: Callable[..., object],
    stamp: Stamp,
    _make_id: Callable[[], str],
    _warn: Warn,
) -> str:
    """Gives `add` the outcome of an intervention that was found, as an event of its user; returns the event's id."""
    of = found.intervention
    kept = {"interventionId": intervention_id, "outcome": told, "channel": of.channel, "page": of.payload.page}
    outcome = event_pb2.InterventionOutcome(
        intervention_id=intervention_id, outcome=event_pb2.Outcome.ValueType(OUTCOMES[told]), channel=of.channel
    )
    add(
        event_id=event_id,
        # Help from before a login is the anonymous user's; told as such, ingest knows who that is now.
        user_id=found.user_id,
        event_type=event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME,
        event_time_us=stamp.received_us,
        page=of.payload.page,
        properties=msgspec.json.encode(kept),
        received_time_us=stamp.received_us,
        trace_id=stamp.trace_id,
        span_id=stamp.span_id,
        rare={"anonymous_id": found.user_id, "outcome": outcome, "is_own": True},
    )
    return event_id


async def decision(core: Core, request: Request) -> Answer:
    """One decision."""
    asked = intervention_pb2.GetDecisionRequest(id=request.parameters["decisionId"])
    return json(render((await core.peers.intervention.GetDecision(asked)).decision))


async def decisions(core: Core, request: Request) -> Answer:
    """Decisions of a user or of a trace, newest first."""
    trace_id, user_id = request.query.get("traceId"), request.query.get("userId")
    if bool(trace_id) == bool(user_id):
        raise InvalidArgument("INVALID_PARAMETER", "Give one of `traceId` and `userId`.")
    if trace_id and not _TRACE_ID.fullmatch(trace_id):
        raise InvalidArgument("INVALID_PARAMETER", "`traceId` must be 32 hexadecimal digits.")
    page_size = number(request.query.get("limit"), "limit", 20, 100)
    if trace_id:
        asked = intervention_pb2.ListDecisionsRequest(trace_id=trace_id.lower(), page_size=page_size)
    else:
        asked = intervention_pb2.ListDecisionsRequest(user_id=user_id or "", page_size=page_size)
    return json(render(await core.peers.intervention.ListDecisions(asked)))
