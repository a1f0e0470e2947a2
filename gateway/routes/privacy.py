"""Routes of privacy: erasing and exporting a person, and letting an erased one come back."""

from typing import Final

import msgspec
from journeymesh.ingest.v1 import erasure_pb2, export_pb2

from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.http.asgi import JSON, Answer, Request, json
from mesh.errors import InvalidArgument
from records.tenants import qualified

# The audit log is written first, then the list of suppressed people.
_BEGIN_SECONDS: Final = 10.0
# The data is read from the store and put into its form first.
_READ_SECONDS: Final = 60.0
FORMATS: Final = {
    "json": (export_pb2.EXPORT_FORMAT_JSON, JSON),
    "csv": (export_pb2.EXPORT_FORMAT_CSV, "application/zip"),
}
"""The forms of an export's data, with their content types."""
EXAMPLE: Final = '{"userId":"demo-user"}'


class ErasureOrder(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Whom to erase: a user, or an anonymous id that was never linked to one."""

    user_id: str


class ExportOrder(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Whom to export: a user, or an anonymous id that was never linked to one."""

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


async def export(core: Core, request: Request) -> Answer:
    """Begins an export."""
    order = decoded(await request.json_body(), ExportOrder, EXAMPLE)
    asked = export_pb2.CreateExportRequest(user_id=qualified(request.caller.tenant, order.user_id))
    begun = await core.peers.export.CreateExport(asked, timeout=_BEGIN_SECONDS)
    return json(render(begun.export), 202)


async def read_export(core: Core, request: Request) -> Answer:
    """How far an export is."""
    asked = export_pb2.GetExportRequest(id=_own_id(request))
    return json(render((await core.peers.export.GetExport(asked)).export))


async def export_data(core: Core, request: Request) -> Answer:
    """The data of an export, as a file to save."""
    name = request.query.get("format", "json")
    if name not in FORMATS:
        raise InvalidArgument("INVALID_PARAMETER", f"`format` is one of {', '.join(FORMATS)}.")
    form, content_type = FORMATS[name]
    asked = export_pb2.ReadExportRequest(id=_own_id(request), format=form)
    pieces = [each.piece async for each in core.peers.export.ReadExport(asked, timeout=_READ_SECONDS)]
    ending = "zip" if name == "csv" else name
    saved = (b"content-disposition", f'attachment; filename="export.{ending}"'.encode())
    return Answer(200, b"".join(pieces), content_type, (saved,))


def _own_id(request: Request) -> str:
    """The id of an erasure or export, which carries the tenant that asked for it."""
    return qualified(request.caller.tenant, request.parameters["id"])
