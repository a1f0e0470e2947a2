"""The use cases of keys: read them, change them in the domain, record the change, write them if nobody else did."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, cast

from mesh import keys as texts
from mesh.clock import Clock
from mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, MeshError, NotFound, Unavailable
from services.access.audit.usecases import Audit, NewAct
from services.access.keys.domain import lifecycle, tenant
from services.access.keys.domain.key import Credentials, Key, Made
from services.access.keys.domain.lifecycle import Request
from services.access.keys.domain.rate import Rate
from services.access.keys.domain.refusal import Cause, Refusal
from services.access.keys.domain.tenant import Masking, Tenant
from services.access.keys.domain.validation import Vocabulary
from services.access.keys.ports import KeyStore, Snapshot

MOST_USES: Final = 10_000
"""In one report."""
_MINUTE_US: Final = 60_000_000
_ATTEMPTS: Final = 20
_REVISION_BYTES: Final = 16
_ERRORS: Final[Mapping[Cause, type[MeshError]]] = {
    Cause.MISSING: InvalidArgument,
    Cause.OUT_OF_RANGE: InvalidArgument,
    Cause.UNKNOWN_KEY: NotFound,
    Cause.KEY_EXISTS: AlreadyExists,
    Cause.ENDED: FailedPrecondition,
    Cause.TOO_MANY: FailedPrecondition,
    Cause.UNKNOWN_TENANT: NotFound,
    Cause.TENANT_EXISTS: AlreadyExists,
    Cause.TOO_MANY_TENANTS: FailedPrecondition,
}

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class UsedKey:
    """A key as it is now."""

    key: Key
    has_ended: bool
    last_used_us: int
    """Unix microseconds; 0: never."""


@dataclasses.dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its text, which is kept nowhere; empty if its holder made it."""

    key: Key
    text: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """Creates, lists, rotates and revokes keys, and tenants, and gives gateways what they check keys with."""

    store: KeyStore
    audit: Audit
    vocabulary: Vocabulary
    clock: Clock
    random_bytes: texts.RandomBytes

    async def create(self, request: Request) -> IssuedKey:
        """Creates a key; one that its holder made is created once, however often it is asked for.

        Raises:
            InvalidArgument: the request is invalid.
            NotFound: there is no such tenant.
            AlreadyExists: there is another key with the id of the one that its holder made.
            FailedPrecondition: there are too many keys.
            Unavailable: the store cannot be reached; the key may or may not be created.
        """
        text, credentials = self._credentials(texts.Kind(request.kind), request.made)
        return IssuedKey(await self.keep(request, credentials, "keys.create"), text)

    async def keep(self, request: Request, credentials: Credentials, action: str) -> Key:
        """Keeps a key with these credentials unless it is there; raises as `create`. The audit log gets the action."""

        def added(kept: Snapshot, now_us: int) -> Snapshot:
            tenant.require(kept.tenants, request.tenant)
            keys = lifecycle.create(kept.keys, request, credentials, self.vocabulary, now_us)
            return dataclasses.replace(kept, keys=keys)

        kept = await self._change(added, self.audit.of_command(action, credentials.key_id), credentials.key_id)
        key = kept.keys[credentials.key_id]
        with _translating():
            lifecycle.require_made(key, request.kind, request.tenant, credentials.text_hash)
        _log.info("key %s was created", key.key_id)
        return key

    async def rotate(self, key_id: str, grace_seconds: int, made: Made | None = None) -> tuple[IssuedKey, UsedKey]:
        """Creates a key's successor; returns it, and the old key with its end.

        One that its holder made is created once, however often it is asked for.

        Raises:
            InvalidArgument: the grace period is out of range.
            NotFound: there is no such key.
            AlreadyExists: there is another key with the id of the one that its holder made.
            FailedPrecondition: it has ended or was rotated, or there are too many keys.
            Unavailable: the store cannot be reached; the successor may or may not be created.
        """
        # Before the change: nothing that may fail stands between a new key and the answer with its text.
        snapshot, used = await self.store.read(), await self.store.last_used()
        with _translating():
            old = lifecycle.find(snapshot.keys, key_id, self.clock())
        text, credentials = self._credentials(texts.Kind(old.kind), made)

        def rotated(kept: Snapshot, now_us: int) -> Snapshot:
            keys = lifecycle.rotate(kept.keys, key_id, grace_seconds, credentials, now_us)
            return dataclasses.replace(kept, keys=keys)

        kept = await self._change(rotated, self.audit.of_command("keys.rotate", key_id), credentials.key_id)
        successor = kept.keys[credentials.key_id]
        with _translating():
            lifecycle.require_made(successor, old.kind, old.tenant, credentials.text_hash)
            lifecycle.require_successor(kept.keys[key_id], successor)
        _log.info("key %s was rotated; its successor is %s", key_id, successor.key_id)
        return IssuedKey(successor, text), self._as_used(kept.keys[key_id], used)

    async def revoke(self, key_id: str) -> UsedKey:
        """Ends a key at once; one that has ended stays as it is.

        Raises:
            NotFound: there is no such key.
            Unavailable: the store cannot be reached; the key may or may not be revoked.
        """
        used = await self.store.last_used()

        def revoked(kept: Snapshot, now_us: int) -> Snapshot:
            return dataclasses.replace(kept, keys=lifecycle.revoke(kept.keys, key_id, now_us))

        kept = await self._change(revoked, self.audit.of_command("keys.revoke", key_id))
        _log.info("key %s is revoked", key_id)
        return self._as_used(kept.keys[key_id], used)

    async def create_tenant(self, name: str, rate: Rate | None = None, request_id: str = "") -> Tenant:
        """Creates a tenant; without a rate it has the one that gateways are set to.

        A request with an id creates it once, however often it is made.

        Raises:
            InvalidArgument: it cannot have this name or this rate.
            AlreadyExists: there is or was one of this name.
            FailedPrecondition: there are too many.
            Unavailable: the store cannot be reached; the tenant may or may not be created.
        """

        def added(kept: Snapshot, now_us: int) -> Snapshot:
            return dataclasses.replace(kept, tenants=tenant.create(kept.tenants, name, rate, request_id, now_us))

        kept = await self._change(added, self.audit.of_command("tenants.create", name))
        _log.info("tenant %s was created", name)
        return kept.tenants[name]

    async def limit_tenant(self, name: str, rate: Rate | None) -> Tenant:
        """Sets a tenant's rate; None: the one that gateways are set to.

        Raises:
            InvalidArgument: it cannot have this rate.
            NotFound: there is no tenant of this name.
            Unavailable: the store cannot be reached; the rate may or may not be set.
        """

        def limited(kept: Snapshot, _now_us: int) -> Snapshot:
            return dataclasses.replace(kept, tenants=tenant.limit(kept.tenants, name, rate))

        kept = await self._change(limited, self.audit.of_command("tenants.limit", name))
        _log.info("tenant %s is limited", name)
        return kept.tenants[name]

    async def retain(self, name: str, days: int, actor: str = "") -> Tenant:
        """Sets for how many days the archive keeps what a tenant sent; without an actor it is a command.

        Raises:
            InvalidArgument: the days are out of range.
            NotFound: there never was a tenant of this name.
            Unavailable: the store cannot be reached; they may or may not be set.
        """

        def retained(kept: Snapshot, _now_us: int) -> Snapshot:
            return dataclasses.replace(kept, tenants=tenant.retain(kept.tenants, name, days))

        return (await self._change(retained, self.audit.of("tenants.retention", f"{name} {days}", actor))).tenants[name]

    async def mask(self, name: str, masking: Masking, actor: str = "") -> Tenant:
        """Sets what is masked in a tenant's events beside what the mesh masks; without an actor it is a command.

        Raises:
            InvalidArgument: the names are out of range.
            NotFound: there never was a tenant of this name.
            Unavailable: the store cannot be reached; it may or may not be set.
        """

        def masked(kept: Snapshot, _now_us: int) -> Snapshot:
            return dataclasses.replace(kept, tenants=tenant.mask(kept.tenants, name, masking))

        return (await self._change(masked, self.audit.of("tenants.masking", name, actor))).tenants[name]

    async def tenant_settings(self, known_revision: str) -> Snapshot | None:
        """The tenants for which something was set, with the revision; None if it is the known one.

        Raises:
            Unavailable: the store cannot be reached.
        """
        if known_revision and await self.store.revision() == known_revision:
            return None
        kept = await self.store.read()
        its = {name: each for name, each in kept.tenants.items() if each.has_settings}
        return Snapshot(kept.revision, {}, its)

    async def delete_tenant(self, name: str) -> tuple[Tenant, int]:
        """Ends a tenant's keys, for good; returns it, and how many keys ended now. Its data is not erased by this.

        Raises:
            NotFound: there never was one of this name.
            Unavailable: the store cannot be reached; the tenant may or may not be deleted.
        """
        ended = 0

        def removed(kept: Snapshot, now_us: int) -> Snapshot:
            nonlocal ended
            tenants = tenant.delete(kept.tenants, name, now_us)
            keys = tenant.without_its_keys(kept.keys, name, now_us)
            ended = sum(keys[key_id] != kept.keys[key_id] for key_id in keys)
            return dataclasses.replace(kept, keys=keys, tenants=tenants)

        kept = await self._change(removed, self.audit.of_command("tenants.delete", name))
        _log.info("tenant %s is deleted", name)
        return kept.tenants[name], ended

    async def require_tenant(self, name: str) -> None:
        """Returns if there is a tenant of this name, or if it is the default one.

        Raises:
            NotFound: there is none, or it was deleted.
            Unavailable: the store cannot be reached.
        """
        kept = await self.store.read()
        with _translating():
            tenant.require(kept.tenants, name)

    async def tenants(self) -> Sequence[Tenant]:
        """All tenants by name, those that were deleted too; without the default one.

        Raises:
            Unavailable: the store cannot be reached.
        """
        return [each for _, each in sorted((await self.store.read()).tenants.items())]

    async def listed(self) -> Sequence[UsedKey]:
        """All keys, the newest first; those that ended more than 30 days ago are left out.

        Raises:
            Unavailable: the store cannot be reached.
        """
        snapshot, used = await self.store.read(), await self.store.last_used()
        keys = lifecycle.remembered(snapshot.keys, self.clock()).values()
        return [self._as_used(key, used) for key in sorted(keys, key=lambda key: (-key.created_us, key.key_id))]

    async def keyring(self, known_revision: str) -> Snapshot | None:
        """All keys that are listed, with their revision; None if it is the known one.

        Raises:
            Unavailable: the store cannot be reached.
        """
        if known_revision and await self.store.revision() == known_revision:
            return None
        snapshot = await self.store.read()
        return dataclasses.replace(snapshot, keys=lifecycle.remembered(snapshot.keys, self.clock()))

    async def record_uses(self, uses: Mapping[str, int]) -> None:
        """Records when keys were used, by key id in Unix microseconds, to the minute.

        Times that this clock has not reached count as now, so that a gateway's wrong clock does not hide later uses.

        Raises:
            Unavailable: the store cannot be reached.
        """
        now_us = self.clock()
        minutes = {key_id: min(used_us, now_us) // _MINUTE_US * _MINUTE_US for key_id, used_us in uses.items()}
        if minutes:
            await self.store.record_uses(minutes)

    def _as_used(self, key: Key, used: Mapping[str, int]) -> UsedKey:
        return UsedKey(key, key.has_ended(self.clock()), used.get(key.key_id, 0))

    def _credentials(self, kind: texts.Kind, made: Made | None) -> tuple[str, Credentials]:
        """The text of a new key, empty if its holder made it, and its credentials."""
        secret = texts.new_secret(self.random_bytes) if kind is texts.Kind.PUBLIC else ""
        if made is not None:
            return "", Credentials(made.key_id, made.text_hash, secret)
        text = texts.new_text(kind, self.random_bytes)
        presented = cast("texts.PresentedKey", texts.presented(text))
        return text, Credentials(presented.key_id, presented.text_hash, secret)

    async def _change(self, change: Callable[[Snapshot, int], Snapshot], act: NewAct, new_id: str = "") -> Snapshot:
        """Makes a change of keys and tenants as they are; again where another change came first. Returns them after it.

        Args:
            change: of keys and tenants, at a time.
            act: what the audit log says of it, before it is made.
            new_id: the key that the change creates: where it exists, an earlier attempt was successful.
        """
        for _ in range(_ATTEMPTS):
            before = await self.store.read()
            if new_id in before.keys:
                return before
            with _translating():
                after = change(before, self.clock())
            put = [key for key_id, key in after.keys.items() if before.keys.get(key_id) != key]
            tenants = [each for name, each in after.tenants.items() if before.tenants.get(name) != each]
            dropped = before.keys.keys() - after.keys.keys()
            if not (put or dropped or tenants):
                return after
            await self.audit.record([act])
            revision = self.random_bytes(_REVISION_BYTES).hex()
            if await self.store.change(put, dropped, before.revision, revision, tenants):
                return after
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "Others change keys at the same time; try again.")


@contextlib.contextmanager
def _translating() -> Iterator[None]:
    """Turns the domain's refusals into errors."""
    try:
        yield
    except Refusal as refusal:
        raise _ERRORS[refusal.cause](refusal.cause, str(refusal)) from None
