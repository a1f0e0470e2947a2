"""The gRPC face of people: translate, call, translate."""

from journeymesh.access.v1 import people_pb2 as wire
from journeymesh.access.v1.people_pb2_grpc import PeopleServiceServicer

from mesh.rpc.context import ServerContext
from services.access.people import translation
from services.access.people.usecases import People


class PeopleServicer(PeopleServiceServicer):
    """Serves `PeopleService`."""

    def __init__(self, people: People) -> None:
        self._people = people

    async def BeginSession(
        self, request: wire.BeginSessionRequest, _context: ServerContext
    ) -> wire.BeginSessionResponse:
        """Records that somebody has signed in."""
        return wire.BeginSessionResponse(session_id=await self._people.begin(translation.new_session_of(request)))

    async def ListSessions(
        self, _request: wire.ListSessionsRequest, _context: ServerContext
    ) -> wire.ListSessionsResponse:
        """Lists the sessions that have not ended, the newest first."""
        return wire.ListSessionsResponse(sessions=map(translation.session_message, await self._people.live()))

    async def EndSessions(self, request: wire.EndSessionsRequest, _context: ServerContext) -> wire.EndSessionsResponse:
        """Ends all sessions that a person has now."""
        ended = await self._people.end(request.person, request.tenant, request.actor)
        return wire.EndSessionsResponse(ended_count=ended)

    async def GetEndedSessions(
        self, _request: wire.GetEndedSessionsRequest, _context: ServerContext
    ) -> wire.GetEndedSessionsResponse:
        """Returns which sessions were ended before their time."""
        return wire.GetEndedSessionsResponse(session_ids=await self._people.ended())

    async def CreateSignInToken(
        self, _request: wire.CreateSignInTokenRequest, _context: ServerContext
    ) -> wire.CreateSignInTokenResponse:
        """Makes a token that signs in whoever brings it first."""
        return wire.CreateSignInTokenResponse(token=await self._people.new_token())

    async def RedeemSignInToken(
        self, request: wire.RedeemSignInTokenRequest, _context: ServerContext
    ) -> wire.RedeemSignInTokenResponse:
        """Uses such a token up."""
        await self._people.redeem(request.token)
        return wire.RedeemSignInTokenResponse()
