"""The use cases of people: begin sessions, list and end them, and sign in whoever operates this machine."""

import dataclasses
import hashlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from mesh import keys as texts
from mesh.clock import SECOND_US, Clock
from mesh.errors import InvalidArgument, Unauthenticated
from records import tenants
from services.access.audit.domain.entry import Act
from services.access.audit.usecases import COMMAND, Audit, NewAct
from services.access.people.domain import session
from services.access.people.domain.session import Session
from services.access.people.ports import SessionStore

_ID_BYTES: Final = 16

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class NewSession:
    """Somebody is about to be signed in."""

    person: str
    tenant: str
    roles: tuple[str, ...]
    lifetime_seconds: int

    def require_valid(self) -> None:
        """Returns if a session may be so.

        Raises:
            InvalidArgument: `MISSING_FIELD`, `VALUE_OUT_OF_RANGE`.
        """
        if not self.person or not self.roles:
            raise InvalidArgument("MISSING_FIELD", "A session is of a person, with roles.")
        if len(self.person) > session.LONGEST_PERSON or len(self.roles) > session.MOST_ROLES:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", "A person has at most 64 characters and 20 roles.")
        if not 1 <= self.lifetime_seconds <= session.LONGEST_SECONDS:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", "A session lasts a second to a day.")


@dataclasses.dataclass(frozen=True, slots=True)
class People:
    """Knows who has signed in."""

    store: SessionStore
    audit: Audit
    clock: Clock
    random_bytes: texts.RandomBytes
    require_tenant: Callable[[str], Awaitable[None]]
    """Returns if there is a tenant of this name; raises `NotFound` otherwise."""

    async def begin(self, new: NewSession) -> str:
        """Keeps a new session; returns its id.

        Raises:
            InvalidArgument: it cannot be one.
            NotFound: there is no such tenant.
            Unavailable: the store cannot be reached; the session may or may not be kept.
        """
        new.require_valid()
        await self.require_tenant(new.tenant)
        session_id, now_us = self.random_bytes(_ID_BYTES).hex(), self.clock()
        ends_us = now_us + new.lifetime_seconds * SECOND_US
        await self._record(tenants.qualified(new.tenant, new.person), "people.sign-in", ",".join(new.roles))
        await self.store.begin(Session(session_id, new.person, new.tenant, new.roles, now_us, ends_us), now_us)
        return session_id

    async def live(self) -> Sequence[Session]:
        """The sessions that have not ended, the newest first.

        Raises:
            Unavailable: the store cannot be reached.
        """
        return sorted(await self.store.live(self.clock()), key=lambda each: (-each.began_us, each.session_id))

    async def end(self, person: str, tenant: str, actor: str) -> int:
        """Ends all sessions that a person of a tenant has now; returns how many. Without an actor it is a command.

        Raises:
            InvalidArgument: `MISSING_FIELD`, no person is named.
            Unavailable: the store cannot be reached; the sessions may or may not have ended.
        """
        if not person:
            raise InvalidArgument("MISSING_FIELD", "Whose sessions?")
        await self._record(actor or COMMAND, "people.end", person)
        sessions = session.of_person(await self.store.live(self.clock()), person, tenant)
        await self.store.end(sessions, self.clock())
        _log.info("%d sessions of a person were ended", len(sessions))
        return len(sessions)

    async def end_of_tenant(self, tenant: str) -> None:
        """Ends all sessions in a tenant; for whoever deletes it, which is recorded as that.

        Raises:
            Unavailable: the store cannot be reached; the sessions may or may not have ended.
        """
        now_us = self.clock()
        await self.store.end([each for each in await self.store.live(now_us) if each.tenant == tenant], now_us)

    async def ended(self) -> Collection[str]:
        """The ids of the sessions that were ended before their time.

        Raises:
            Unavailable: the store cannot be reached.
        """
        return await self.store.ended(self.clock())

    async def new_token(self) -> str:
        """A token that signs in whoever brings it first, within five minutes.

        Raises:
            Unavailable: the store cannot be reached.
        """
        token = texts.new_secret(self.random_bytes)
        await self._record(COMMAND, "people.create-token", "")
        await self.store.keep_token(_hash(token), session.TOKEN_SECONDS)
        return token

    async def redeem(self, token: str) -> None:
        """Uses a token up.

        Raises:
            Unauthenticated: `SIGN_IN_FAILED`, it is none, was used, or is too old.
            Unavailable: the store cannot be reached; the token may or may not be used up.
        """
        if not await self.store.take_token(_hash(token)):
            detail = "The link was used or is older than five minutes. Make a new one: journeymesh sign-in."
            raise Unauthenticated("SIGN_IN_FAILED", detail)

    async def _record(self, actor: str, action: str, subject: str) -> None:
        act = Act(self.random_bytes(_ID_BYTES), self.clock(), actor, action, subject, b"")
        await self.audit.record([NewAct(act, is_user=False)])


def _hash(token: str) -> bytes:
    """What is kept of a token. Its text has 256 random bits, so nobody can guess it from this."""
    return hashlib.sha256(token.encode()).digest()
