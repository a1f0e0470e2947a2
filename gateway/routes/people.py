"""The routes of the people who have signed in."""

from journeymesh.access.v1 import people_pb2

from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from records.tenants import qualified


async def sessions(core: Core, request: Request) -> Answer:
    """Lists the sessions of people in the caller's tenant, newest first."""
    response = await core.peers.people.ListSessions(people_pb2.ListSessionsRequest())
    return json({"sessions": [render(each) for each in response.sessions if each.tenant == request.caller.tenant]})


async def end_sessions(core: Core, request: Request) -> Answer:
    """Ends all sessions of a person in the caller's tenant."""
    caller = request.caller
    await core.peers.people.EndSessions(
        people_pb2.EndSessionsRequest(
            person=request.parameters["person"],
            tenant=caller.tenant,
            actor=qualified(caller.tenant, caller.key_id or "nobody"),
        )
    )
    return Answer(204, b"", "")
