"""The route of the audit log."""

from journeymesh.access.v1 import audit_pb2

from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from gateway.http.parameters import list_cursor, number
from records.tenants import qualified


async def entries(core: Core, request: Request) -> Answer:
    """Lists what was done by whom with keys of the caller's tenant, newest first; commands are the default one's."""
    caller, actor = request.caller, request.query.get("actor", "")
    response = await core.peers.audit.ListEntries(
        audit_pb2.ListEntriesRequest(
            page_size=number(request.query.get("limit"), "limit", 20, 100),
            page_token=list_cursor(request.query.get("cursor", ""), "cursor"),
            actor=actor and qualified(caller.tenant, actor),
            user_id=request.query.get("userId", ""),
        )
    )
    entries = [render(entry) for entry in response.entries if caller.owns(entry.actor)]
    return json({"entries": entries, "nextCursor": response.next_page_token or None})
