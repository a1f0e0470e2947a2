"""The routes of help: what waits for a user, what came of it, how it was decided, and what it changed."""

from typing import Final

from journeymesh.intervention.v1 import intervention_pb2

from gateway import insights, interventions, push, socket
from gateway.parameters import CURSOR
from gateway.reasons import BODY, CALLS, USER
from gateway.routing import NOTHING, SWITCHING, Route, text, up_to

_SEEN_LAST: Final = "The last cursor seen, for clients that cannot set `Last-Event-ID`."

ROUTES: Final = (
    Route(
        "GET",
        "/api/interventions/{userId}/pending",
        "What help waits for a user; `cursor` grows with every change, and is that of the stream and the socket.",
        interventions.pending,
        intervention_pb2.GetPendingInterventionResponse.DESCRIPTOR,
        reasons=CALLS,
    ),
    Route(
        "GET",
        "/api/interventions/{userId}/stream",
        "The same pushed as server-sent events; goes on after `Last-Event-ID`.",
        push.stream,
        "text/event-stream",
        reasons=("TOO_MANY_STREAMS", *CALLS),
        query=(text("lastEventId", _SEEN_LAST, pattern=CURSOR),),
    ),
    Route(
        "GET",
        "/api/interventions/{userId}/socket",
        "The same over a WebSocket, which also takes outcomes; `/asyncapi.json` has its frames.",
        socket.connect,
        NOTHING,
        SWITCHING,
        reasons=("TOO_MANY_STREAMS", *CALLS),
        query=(text("cursor", "The last cursor seen; what came after it is told first.", pattern=CURSOR),),
        example=socket.EXAMPLE,
    ),
    Route(
        "GET",
        "/api/interventions/{id}",
        "An intervention, what came of it, and how its messages came.",
        interventions.intervention,
        intervention_pb2.GetInterventionResponse.DESCRIPTOR,
        reasons=("INTERVENTION_NOT_FOUND", *CALLS),
    ),
    Route(
        "POST",
        "/api/interventions/{id}/outcome",
        "Tells what became of an intervention.",
        interventions.outcome,
        interventions.OutcomeTaken,
        202,
        ("INTERVENTION_NOT_FOUND", "INTERVENTION_ENDED", "VALUE_OUT_OF_RANGE", *BODY, "BUFFER_FULL", *CALLS),
        body=interventions.OutcomeReport,
        example='{"outcome":"accepted"}',
        ignores_query=True,
    ),
    Route(
        "GET",
        "/api/decisions",
        "Decisions of a user or of a trace, newest first; give one of `traceId` and `userId`.",
        interventions.decisions,
        intervention_pb2.ListDecisionsResponse.DESCRIPTOR,
        reasons=CALLS,
        query=(
            text("traceId", "The W3C trace id.", pattern="^[0-9a-fA-F]{32}$"),
            text("userId", "The user.", minLength=1),
            up_to("limit", 20, 100),
        ),
    ),
    Route(
        "GET",
        "/api/decisions/{decisionId}",
        "One decision: what was known, what was done, and why.",
        interventions.decision,
        intervention_pb2.Decision.DESCRIPTOR,
        reasons=("DECISION_NOT_FOUND", *CALLS),
    ),
    Route(
        "GET",
        "/api/policies",
        "The policies that decided, decide and will decide, newest first.",
        insights.policies,
        intervention_pb2.ListPoliciesResponse.DESCRIPTOR,
        reasons=CALLS,
    ),
    Route(
        "GET",
        "/api/lift",
        "What help changed: those who were helped against those who were held out.",
        insights.lift,
        intervention_pb2.GetLiftResponse.DESCRIPTOR,
        reasons=CALLS,
        query=(text("experiment", "The salt of a holdout; absent: that of the policy that decides now."),),
    ),
    Route(
        "POST",
        "/api/users/{userId}/analysis",
        "What stands out about a user and what to do, in words of a language model where there is one.",
        insights.analysis,
        intervention_pb2.AnalyzeUserResponse.DESCRIPTOR,
        reasons=("VALUE_OUT_OF_RANGE", *BODY, *USER),
        body=insights.AnalysisOrder,
        example='{"depth":"quick"}',
    ),
    Route(
        "GET",
        "/api/models/usage",
        "What the language models were asked, what it cost, and what is left of the budget.",
        insights.model_usage,
        intervention_pb2.GetModelUsageResponse.DESCRIPTOR,
        reasons=CALLS,
    ),
)
