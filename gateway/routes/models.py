"""Routes about the exit-risk model."""

from typing import Final

from journeymesh.scoring.v1 import scoring_pb2

from gateway.contract.route import Route
from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from gateway.routes.questions import CALLS_REASONS


async def model_card(core: Core, _: Request) -> Answer:
    """The live model and its card."""
    return json(render(await core.peers.scoring.GetModel(scoring_pb2.GetModelRequest())))


MODEL_ROUTES: Final = (
    Route(
        "GET",
        "/api/models/live/card",
        "The live exit-risk model and its card: its training, how good it is, its shape functions and limits.",
        model_card,
        scoring_pb2.GetModelResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
)
