"""Routes of privacy: erasing a person, and letting one come back."""

from typing import Final

import msgspec
from journeymesh.ingest.v1 import erasure_pb2

from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from records.tenants import qualified

# The audit log is written first, then the list of suppressed people.
_BEGIN_SECONDS: Final = 10.0
EXAMPLE: Final = '{"userId":"demo-user"}'


class ErasureOrder(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Whom to erase: a user, or an anonymous id that was never linked to one."""

    user_id: str


async def erase(core: Core, request: Request) -> Answer:
    """Begins an erasure."""
    order = decoded(await request.json_body(), ErasureOrder, EXAMPLE)
    asked = erasure_pb2.CreateErasureRequest(user_id=qualified(request.caller.tenant, order.user_id))
    begun = await core.peers.erasure.CreateErasure(asked, timeout=_BEGIN_SECONDS)
    return json(render(begun.erasure), 202)


async def erasure(core: Core, request: Request) -> Answer:
    """How far an erasure is, and its receipt."""
    asked = erasure_pb2.GetErasureRequest(id=_own_id(request))
    return json(render((await core.peers.erasure.GetErasure(asked)).erasure))


async def end_suppression(core: Core, request: Request) -> Answer:
    """Lets an erased person come back."""
    await core.peers.erasure.EndSuppression(erasure_pb2.EndSuppressionRequest(id=_own_id(request)))
    return Answer(204, b"", "")


def _own_id(request: Request) -> str:
    """The id of an erasure, which carries the tenant that asked for it."""
    return qualified(request.caller.tenant, request.parameters["id"])
