"""What a user did about an intervention, reported as an event like any other."""

import functools
from typing import Final

import msgspec
from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway.accepting.acceptance import accept, refusal_of
from gateway.accepting.coalescer import Coalescer
from gateway.access.tenancy import require_own
from gateway.formats.native import EventSink
from gateway.formats.schema import OUTCOMES, enum_names
from gateway.http.asgi import Request
from gateway.peers import Peers
from mesh.errors import FailedPrecondition, InvalidArgument
from records.tenants import plain

_OUTCOME_WORDS: Final = enum_names(event_pb2.Outcome.DESCRIPTOR)


class OutcomeTaken(msgspec.Struct, rename="camel"):
    """The event that carries an outcome."""

    event_id: str
    trace_id: str


async def report(
    peers: Peers, coalescer: Coalescer, request: Request, intervention_id: str, outcome: str
) -> OutcomeTaken:
    """Accepts the outcome of an intervention as an event like any other; repeating it has no effect.

    Raises:
        MeshError: it is no outcome; the intervention does not exist or has ended; the caller may not act for its user;
            the event was not accepted.
    """
    if outcome not in OUTCOMES:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`outcome` must be one of {', '.join(OUTCOMES)}.")
    found = await peers.intervention.GetIntervention(intervention_pb2.GetInterventionRequest(id=intervention_id))
    require_own(request.caller, found.user_id, "intervention")
    request.caller.require_user(found.user_id)
    known = _OUTCOME_WORDS.get(found.outcome)
    is_answered = found.is_ended or known == "accepted"
    is_conversion = (known, outcome) == ("accepted", "converted")
    if is_answered and outcome != known and not is_conversion:
        raise FailedPrecondition("INTERVENTION_ENDED", "The intervention has already ended.")
    event_id = f"jm:outcome:{intervention_id}:{outcome}"
    read = functools.partial(_read, found, event_id, intervention_id, outcome)
    tracked = await accept(coalescer, request, [b"{}"], read)
    error = refusal_of(tracked)
    if error is not None:
        raise error
    return OutcomeTaken(event_id, tracked.trace_id)


def _read(
    found: intervention_pb2.GetInterventionResponse,
    event_id: str,
    intervention_id: str,
    outcome: str,
    _raw: bytes | msgspec.Raw,
    sink: EventSink,
) -> str:
    """Adds the outcome of an intervention to a sink, as an event of its user; returns the event's id."""
    of, user_id = found.intervention, plain(found.user_id)
    kept = {"interventionId": intervention_id, "outcome": outcome, "channel": of.channel, "page": of.payload.page}
    detail = event_pb2.InterventionOutcome(
        intervention_id=intervention_id, outcome=event_pb2.Outcome.ValueType(OUTCOMES[outcome]), channel=of.channel
    )
    stamp = sink.stamp
    sink.add(
        event_id=event_id,
        # Help from before a login belongs to the anonymous id; ingest knows whose that is now.
        user_id=user_id,
        event_type=event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME,
        event_time_us=stamp.received_us,
        page=of.payload.page,
        properties=msgspec.json.encode(kept),
        received_time_us=stamp.received_us,
        trace_id=stamp.trace_id,
        span_id=stamp.span_id,
        rare={"anonymous_id": user_id, "outcome": detail, "is_own": True},
    )
    return event_id
