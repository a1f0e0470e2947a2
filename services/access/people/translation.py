"""Translates between messages and the domain's values."""

from journeymesh.access.v1 import people_pb2 as wire

from mesh.rpc.timestamps import timestamp
from services.access.people.domain.session import Session
from services.access.people.usecases import NewSession


def new_session_of(message: wire.BeginSessionRequest) -> NewSession:
    """Who is about to be signed in."""
    return NewSession(message.person, message.tenant, tuple(sorted(message.roles)), message.lifetime_seconds)


def session_message(session: Session) -> wire.PersonSession:
    """A session."""
    return wire.PersonSession(
        session_id=session.session_id,
        person=session.person,
        tenant=session.tenant,
        roles=session.roles,
        began_at=timestamp(session.began_us),
        ends_at=timestamp(session.ends_us),
    )
