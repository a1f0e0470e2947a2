"""Routes of what a tenant's day may cost, and their rows of the table."""

from typing import Annotated, Final

import msgspec
from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.analytics.v1 import analytics_pb2 as wire

from gateway.contract.route import Route
from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS

_PATH: Final = "/api/analytics/budget"
_EXAMPLE: Final = '{"dailyUsd":5}'


class BudgetToSet(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What a day may cost, in US dollars; null: the tenant sets none."""

    daily_usd: Annotated[float, msgspec.Meta(ge=1e-6, le=1e9)] | None


async def budget(core: Core, request: Request) -> Answer:
    """Tells the budget of the caller's tenant."""
    asked = wire.GetBudgetRequest(tenant=request.caller.tenant)
    return json(render((await core.peers.analytics.GetBudget(asked)).budget))


async def set_budget(core: Core, request: Request) -> Answer:
    """Sets the budget of the caller's tenant."""
    usd = decoded(await request.json_body(), BudgetToSet, _EXAMPLE).daily_usd
    asked = wire.SetBudgetRequest(
        tenant=request.caller.tenant,
        daily_usd=None if usd is None else DoubleValue(value=usd),
        by=request.caller.key_id,
    )
    return json(render((await core.peers.analytics.SetBudget(asked)).budget))


BUDGET_ROUTES: Final = (
    Route(
        "GET",
        _PATH,
        "What a day may cost, as you and the operator set it, and what today has cost so far. Days are those of UTC.",
        budget,
        wire.Budget.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "POST",
        _PATH,
        "Sets what a day may cost, or with null removes that. The lower of yours and the operator's counts.",
        set_budget,
        wire.Budget.DESCRIPTOR,
        reasons=(*BODY_REASONS, *CALLS_REASONS),
        body=BudgetToSet,
        example=_EXAMPLE,
    ),
)
