"""What a user did about an intervention, reported as an event like any other."""

import functools
from collections.abc import Callable
from typing import Final

import msgspec
from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway.accepting.acceptance import accept, refusal_of
from gateway.accepting.coalescer import Coalescer
from gateway.formats.json.lenient import Warn
from gateway.formats.native import Stamp
from gateway.formats.schema import OUTCOMES, words
from gateway.http.asgi import Request
from gateway.peers import Peers
from mesh.errors import FailedPrecondition, InvalidArgument

_OUTCOME_WORDS: Final = words(event_pb2.Outcome.DESCRIPTOR)


class OutcomeTaken(msgspec.Struct, rename="camel"):
    """The event that carries an outcome."""

    event_id: str
    trace_id: str


async def report(peers: Peers, coalescer: Coalescer, request: Request, intervention_id: str, told: str) -> OutcomeTaken:
    """Takes what became of an intervention, as an event like any other; taking it twice counts once.

    Raises:
        MeshError: it is no outcome; there is no such intervention, or it has ended; the event was not taken.
    """
    if told not in OUTCOMES:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`outcome` must be one of {', '.join(OUTCOMES)}.")
    found = await peers.intervention.GetIntervention(intervention_pb2.GetInterventionRequest(id=intervention_id))
    known = _OUTCOME_WORDS.get(found.outcome)
    is_answered = found.is_ended or known == "accepted"
    is_conversion = (known, told) == ("accepted", "converted")
    if is_answered and told != known and not is_conversion:
        raise FailedPrecondition("INTERVENTION_ENDED", "The intervention has already ended.")
    event_id = f"jm:outcome:{intervention_id}:{told}"
    read = functools.partial(_read, found, event_id, intervention_id, told)
    tracked = await accept(coalescer, request, [b"{}"], read)
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
