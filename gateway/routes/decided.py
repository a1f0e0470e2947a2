"""The rows of the table about decisions: as they were made, and as another policy would have made them."""

from typing import Final

from journeymesh.intervention.v1 import intervention_pb2

from gateway.contract.route import Route, text, up_to
from gateway.routes import interventions
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS

DECIDED_ROUTES: Final = (
    Route(
        "GET",
        "/api/decisions",
        "Decisions of a user or of a trace, newest first; give one of `traceId` and `userId`.",
        interventions.decisions,
        intervention_pb2.ListDecisionsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
        query=(
            text("traceId", "The W3C trace id.", pattern="^[0-9a-fA-F]{32}$"),
            text("userId", "The user.", minLength=1),
            up_to("limit", 20, 100),
        ),
    ),
    # First: as an id, the other would match this path too.
    Route(
        "POST",
        "/api/decisions/{decisionId}:derive",
        "What another policy would have decided on the same event, assessment and past of the user. Changes nothing.",
        interventions.derive,
        intervention_pb2.DeriveDecisionResponse.DESCRIPTOR,
        reasons=("DECISION_NOT_FOUND", "VALUE_OUT_OF_RANGE", *BODY_REASONS, *CALLS_REASONS),
        body=interventions.PolicyTried,
        example=interventions.DERIVE_EXAMPLE,
    ),
    Route(
        "GET",
        "/api/decisions/{decisionId}",
        "One decision: what was known, what was done, and why.",
        interventions.decision,
        intervention_pb2.Decision.DESCRIPTOR,
        reasons=("DECISION_NOT_FOUND", *CALLS_REASONS),
    ),
)
