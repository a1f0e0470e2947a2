"""The route of the audit log."""

from collections.abc import Sequence
from typing import Any

from journeymesh.access.v1 import audit_pb2

from gateway.access.tenancy import own_page
from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from gateway.http.parameters import list_cursor, number
from records.tenants import qualified


async def entries(core: Core, request: Request) -> Answer:
    """Lists what was done by whom with keys of the caller's tenant, newest first; commands are the default one's."""
    caller, actor = request.caller, request.query.get("actor", "")
    limit = number(request.query.get("limit"), "limit", 20, 100)

    async def read(count: int, cursor: str) -> tuple[Sequence[Any], str]:
        asked = audit_pb2.ListEntriesRequest(
            page_size=count,
            page_token=cursor,
            actor=actor and qualified(caller.tenant, actor),
            user_id=request.query.get("userId", ""),
        )
        response = await core.peers.audit.ListEntries(asked)
        return response.entries, response.next_page_token

    cursor = list_cursor(request.query.get("cursor", ""), "cursor")
    entries, following = await own_page(read, lambda entry: caller.owns(entry.actor), limit, cursor)
    return json({"entries": list(map(render, entries)), "nextCursor": following or None})
