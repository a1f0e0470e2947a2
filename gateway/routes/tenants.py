"""What is set for tenants, what retention deletes of theirs, and the rows of the table for both."""

from typing import Annotated, Final, Literal

import msgspec
from journeymesh.access.v1 import access_pb2
from journeymesh.ingest.v1 import retention_pb2

from gateway.contract.route import Route, text
from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.http import parameters
from gateway.http.asgi import Answer, Request, json
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS
from records.tenants import DEFAULT, qualified

# The user ids of old files are read first.
_FORECAST_SECONDS: Final = 60.0
_RETENTION: Final = '{"days":30}'
_MASKING: Final = '{"kinds":["email"],"names":["order_note","birthday"]}'

_Kind = Literal["email", "phone", "card", "iban", "ssn", "token", "secret"]
# Names of properties: words, with a letter or digit in each.
_Name = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[\w .:/$@+-]*[^\W_][\w .:/$@+-]*$(?!\n)")]


class RetentionOrder(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """For how many days the archive keeps what the tenant sent; 0: as long as the mesh keeps it."""

    # JSON does not tell 30.0 from 30.
    days: Annotated[float, msgspec.Meta(ge=0, le=36_500, multiple_of=1)]


class MaskingOrder(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What is masked in the tenant's events beside what the mesh masks; takes the place of what was set before."""

    kinds: list[_Kind] = []
    names: Annotated[list[_Name], msgspec.Meta(max_length=100)] = []


async def forecast(core: Core, request: Request) -> Answer:
    """What retention would delete on a day; of a tenant's callers, what is their own."""
    asked = retention_pb2.ForecastRetentionRequest(on=parameters.date(request.query.get("on"), "on"))
    said = await core.peers.retention.ForecastRetention(asked, timeout=_FORECAST_SECONDS)
    if request.caller.tenant != DEFAULT:
        own = [each for each in said.expiries if each.tenant == request.caller.tenant]
        said = retention_pb2.ForecastRetentionResponse(on=said.on, expiries=own)
    return json(render(said))


async def listed(core: Core, request: Request) -> Answer:  # noqa: ARG001 - as every route
    """Lists all tenants but the default one."""
    return json(render(await core.peers.access.ListTenants(access_pb2.ListTenantsRequest())))


async def retain(core: Core, request: Request) -> Answer:
    """Sets a tenant's retention."""
    order = decoded(await request.json_body(), RetentionOrder, _RETENTION)
    asked = access_pb2.SetTenantRetentionRequest(
        name=request.parameters["tenant"], days=int(order.days), actor=_actor(request)
    )
    return json(render((await core.peers.access.SetTenantRetention(asked)).tenant))


async def mask(core: Core, request: Request) -> Answer:
    """Sets what is masked in a tenant's events."""
    order = decoded(await request.json_body(), MaskingOrder, _MASKING)
    kinds = [access_pb2.MaskedKind.Value(f"MASKED_KIND_{each.upper()}") for each in order.kinds]
    asked = access_pb2.SetTenantMaskingRequest(
        name=request.parameters["tenant"],
        masking=access_pb2.TenantMasking(kinds=kinds, names=[name.strip() for name in order.names]),
        actor=_actor(request),
    )
    return json(render((await core.peers.access.SetTenantMasking(asked)).tenant))


def _actor(request: Request) -> str:
    return qualified(request.caller.tenant, request.caller.key_id or "nobody")


_CHANGE_REASONS: Final = (*BODY_REASONS, "MISSING_FIELD", "VALUE_OUT_OF_RANGE", "TENANT_NOT_FOUND", *CALLS_REASONS)
TENANT_ROUTES: Final = (
    Route(
        "GET",
        "/api/privacy/retention",
        "What retention would delete from the archive on a day, by tenant and kind. It deletes nothing.",
        forecast,
        retention_pb2.ForecastRetentionResponse.DESCRIPTOR,
        reasons=("INVALID_PARAMETER", *CALLS_REASONS),
        query=(text("on", "The day (UTC), as 2026-01-02; without it, tomorrow.", format="date"),),
    ),
    Route(
        "GET",
        "/api/tenants",
        "All tenants but the default one, and what is set for each.",
        listed,
        access_pb2.ListTenantsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "POST",
        "/api/tenants/{tenant}/retention",
        "Sets for how many days the archive keeps what a tenant sent.",
        retain,
        access_pb2.Tenant.DESCRIPTOR,
        reasons=_CHANGE_REASONS,
        body=RetentionOrder,
        example=_RETENTION,
    ),
    Route(
        "POST",
        "/api/tenants/{tenant}/masking",
        "Sets what is masked in a tenant's events beside what the mesh masks.",
        mask,
        access_pb2.Tenant.DESCRIPTOR,
        reasons=_CHANGE_REASONS,
        body=MaskingOrder,
        example=_MASKING,
    ),
)
