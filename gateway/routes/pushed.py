"""The rows of the table that push what happens to whoever looks after users."""

from typing import Final

from gateway.contract.route import Route
from gateway.push import live
from gateway.routes.questions import CALLS_REASONS

PUSHED_ROUTES: Final = (
    Route(
        "GET",
        "/api/happenings/stream",
        "What happens now, as server-sent events: struggle, decisions on users at risk, help and what came of it. "
        "`/asyncapi.json` has its messages.",
        live.happenings,
        "text/event-stream",
        reasons=("TOO_MANY_STREAMS", *CALLS_REASONS),
    ),
)
