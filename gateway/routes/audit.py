"""The route of the audit log."""

from journeymesh.access.v1 import audit_pb2

from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from gateway.http.parameters import list_cursor, number


async def entries(core: Core, request: Request) -> Answer:
    """Lists what was done by whom, newest first."""
    response = await core.peers.audit.ListEntries(
        audit_pb2.ListEntriesRequest(
            page_size=number(request.query.get("limit"), "limit", 20, 100),
            page_token=list_cursor(request.query.get("cursor", ""), "cursor"),
            actor=request.query.get("actor", ""),
            user_id=request.query.get("userId", ""),
        )
    )
    return json(
        {"entries": [render(entry) for entry in response.entries], "nextCursor": response.next_page_token or None}
    )
