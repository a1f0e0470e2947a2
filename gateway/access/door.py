"""The door: decides for each request whether it may go on to its route.

Keys are checked against a keyring held in memory, so that no request waits for the access service. It is asked for a
newer keyring every second; while it is away, the last one counts.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from journeymesh.access.v1 import access_pb2, people_pb2

from gateway.access import credentials, proof
from gateway.access.keyring import Keyring, KnownKey, keyring_of
from gateway.access.people.sessions import Cookies, Session, caller_of
from gateway.access.proof import Proven
from gateway.http import cors
from gateway.http.asgi import Request, header
from gateway.http.caller import ANYBODY, NOBODY, Caller
from gateway.transport.heads import is_local_host
from mesh.clock import Clock
from mesh.errors import MeshError, PermissionDenied, Unauthenticated, Unavailable
from mesh.keys import Kind, Scope
from mesh.observability import telemetry
from records.tenants import plain

if TYPE_CHECKING:
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub
    from journeymesh.access.v1.people_pb2_grpc import PeopleServiceAsyncStub

_INTERVAL_SECONDS: Final = 1.0
_MINUTE_US: Final = 60_000_000
# How many checked keys are remembered by a hash of their text, so that checking one again is a look-up.
_MAX_CHECKED: Final = 4096

_OTHER_HOST: Final = (
    "Without keys this gateway serves its own machine only, by a name such as `localhost`. Behind a proxy, set "
    "JOURNEYMESH_TRUSTED_PROXIES."
)

_log = logging.getLogger(__name__)


class Door:
    """Who may call: everybody, or whoever has a key.

    Args:
        is_key_required: whether requests need a key.
        is_host_checked: whether requests without keys must name this machine as their host. A page whose name was
            pointed here (DNS rebinding) names another one.
        cors_origins: the setting of the origins whose pages may call; those of keys are added.
        cookies: reads the sessions of people who have signed in; None if nobody does.
        tenant_rate: units per second of tenants that have no rate of their own; 0: no limit.
    """

    def __init__(
        self,
        *,
        is_key_required: bool,
        is_host_checked: bool,
        cors_origins: str,
        cookies: Cookies | None = None,
        tenant_rate: int = 0,
    ) -> None:
        self.is_key_required = is_key_required
        self._cookies = cookies
        self.tenant_rate = tenant_rate
        self._is_host_checked = is_host_checked
        self.origins = cors.origins(cors_origins)
        self._cors_origins = cors_origins
        self._keyring: Keyring | None = None
        self._ended_sessions: frozenset[str] | None = None
        self._checked: dict[bytes, KnownKey] = {}
        self._now_us = 0
        self._used_us: dict[str, int] = {}
        self._reported_us: dict[str, int] = {}

    def admit(self, request: Request, needs: Scope | None) -> Caller:
        """The caller of a request to a route with this need.

        A route without a need is open to requests without a key; a key that is sent must be valid all the same.

        Raises:
            Unauthenticated: the request has no valid key; reasons as `Keyring.find`, and `KEY_REQUIRED`. Or its user's
                token proves nothing: `USER_PROOF_INVALID`.
            PermissionDenied: the key does not allow this: `NOT_PERMITTED`, `ORIGIN_NOT_ALLOWED`. Or a
                person's change lacks the session's token: `CSRF_TOKEN_INVALID`. Or no key is required, and the request
                names another machine: `HOST_NOT_ALLOWED`.
            Unavailable: no keyring is known yet.
        """
        if not self.is_key_required:
            if needs is not None and self._is_host_checked and not is_local_host(header(request.scope, b"host")):
                raise PermissionDenied("HOST_NOT_ALLOWED", _OTHER_HOST)
            return ANYBODY
        text = credentials.key_text(request.scope)
        ticket = request.query.get("ticket")
        if ticket and not text and needs is Scope.HELP:
            user, key = proof.user_of_ticket(ticket, self._known(), request.received_us)
            return _allowed(request, key, user, needs)
        session = self.session(request) if needs is not None and not text else None
        if session is not None and needs is not None:
            person = caller_of(session, request)
            person.require(needs)
            return person
        return self.admit_with(request, text, needs)

    def admit_with(self, request: Request, text: str, needs: Scope | None) -> Caller:
        """The caller with the key of this text (empty: no key); raises as `admit`."""
        if not text:
            if needs is None:
                return NOBODY
            raise Unauthenticated("KEY_REQUIRED", "Send a key as `Authorization: Bearer jm_…`.")
        key = self._key(text, request.received_us)
        token = credentials.user_token(request.scope) if key.identity_secret else ""
        user = proof.user_of_token(token, key, request.received_us) if token else proof.NOBODY
        return _allowed(request, key, user, needs)

    def session(self, request: Request) -> Session | None:
        """The session that a request brings; None if it brings none, or one that has ended.

        Raises:
            Unavailable: it is not known yet which sessions were ended.
        """
        session = self._cookies.session(request) if self._cookies else None
        if session is None:
            return None
        if self._ended_sessions is None:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "It is not known yet which sessions were ended.")
        return None if session.sid in self._ended_sessions else session

    @property
    def takes_sessions(self) -> bool:
        """Whether people sign in here."""
        return self._cookies is not None

    def note_ended(self, session_ids: Iterable[str]) -> None:
        """Records which sessions were ended before their time, instead of those recorded before."""
        self._ended_sessions = frozenset(session_ids)

    def new_ticket(self, request: Request, user_id: str) -> str:
        """A ticket with which the caller, who is proven to be this user, may open a stream without headers.

        Raises:
            PermissionDenied: `NOT_PERMITTED`, the caller has no public key, and so needs no ticket.
        """
        key = self._keyring.known.get(request.caller.key_id) if self._keyring else None
        if key is None or not key.identity_secret:
            raise PermissionDenied("NOT_PERMITTED", "Only a page with a public key needs a ticket.")
        user = Proven(plain(user_id), request.caller.ends_us)
        return proof.new_ticket(user, key, request.received_us)

    def replace(self, keyring: Keyring, now_us: int) -> None:
        """Checks keys against this keyring from now on."""
        self._keyring, self._now_us = keyring, now_us
        self._checked.clear()
        self.origins = cors.known_origins([*self._cors_origins.split(","), *keyring.origins(now_us)])

    @property
    def revision(self) -> str:
        """The revision of the keyring; empty: none is known yet."""
        return self._keyring.revision if self._keyring else ""

    def note_time(self, now_us: int) -> None:
        """Records the time by which `still_admits` judges whether a key has ended."""
        self._now_us = now_us

    def still_admits(self, caller: Caller) -> bool:
        """Whether that by which a caller was admitted is still valid: the key and the user's token, or the session."""
        if not self.is_key_required:
            return True
        if 0 < caller.ends_us <= self._now_us:
            return False
        if caller.is_person:
            return self._ended_sessions is not None and caller.session_id not in self._ended_sessions
        key = self._known().known.get(caller.key_id)
        return key is not None and not key.has_ended(self._now_us)

    def unreported_uses(self) -> dict[str, int]:
        """When keys were last used, if not reported yet: by key id, in Unix microseconds rounded down to the minute."""
        return {key_id: us for key_id, us in self._used_us.items() if self._reported_us.get(key_id) != us}

    def note_reported(self, uses: Mapping[str, int]) -> None:
        """Records that these uses are reported."""
        self._reported_us.update(uses)

    def _known(self) -> Keyring:
        if self._keyring is None:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The keys are not known yet.")
        return self._keyring

    def _key(self, text: str, now_us: int) -> KnownKey:
        digest = hashlib.sha256(text.encode()).digest()
        key = self._checked.get(digest)
        if key is None or key.has_ended(now_us):
            key = self._known().find(text, now_us)
            if len(self._checked) >= _MAX_CHECKED:
                self._checked.clear()
            self._checked[digest] = key
        self._used_us[key.key_id] = now_us - now_us % _MINUTE_US
        return key


async def follow_keys(
    door: Door, access: "AccessServiceAsyncStub", people: "PeopleServiceAsyncStub", clock: Clock
) -> None:
    """Keeps current which keys and sessions are valid, and reports which keys were used, until cancelled."""
    is_away = False
    while door.is_key_required:
        try:
            with telemetry.unrecorded():
                await _follow_once(door, access, clock)
                if door.takes_sessions:
                    ended = await people.GetEndedSessions(people_pb2.GetEndedSessionsRequest())
                    door.note_ended(ended.session_ids)
            is_away = False
        except MeshError as error:
            if not is_away:
                _log.warning("the keys may be out of date: %s", error.detail)
            is_away = True
        await asyncio.sleep(_INTERVAL_SECONDS)


async def _follow_once(door: Door, access: "AccessServiceAsyncStub", clock: Clock) -> None:
    door.note_time(clock())
    response = await access.GetKeyring(access_pb2.GetKeyringRequest(known_revision=door.revision))
    if not response.is_unchanged:
        door.replace(keyring_of(response, door.tenant_rate), clock())
    uses = door.unreported_uses()
    if uses:
        reported = [access_pb2.KeyUse(key_id=key_id, used_us=us) for key_id, us in uses.items()]
        await access.RecordKeyUses(access_pb2.RecordKeyUsesRequest(uses=reported))
        door.note_reported(uses)


def _allowed(request: Request, key: KnownKey, user: Proven, needs: Scope | None) -> Caller:
    """The caller with this key, acting for the proven user; the user id is empty if nobody is proven."""
    origin = header(request.scope, b"origin")
    if origin and key.origins and not cors.known_origins(key.origins).allows(origin):
        raise PermissionDenied("ORIGIN_NOT_ALLOWED", "Pages of this origin may not use the key.")
    caller = Caller(
        key.scopes,
        key.event_types,
        key.kind is Kind.PUBLIC,
        user.user_id,
        key.key_id,
        key.tenant,
        user.ends_us,
        limits=key.limits,
    )
    if needs is not None:
        caller.require(needs)
    return caller
