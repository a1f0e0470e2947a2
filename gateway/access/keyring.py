"""The keyring: every key that a gateway has to know, as the access service reported it."""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from journeymesh.access.v1 import access_pb2

from gateway.formats.schema import EVENT_TYPES
from gateway.http.rates import Limit
from mesh import keys
from mesh.errors import Unauthenticated
from mesh.keys import Kind, Scope

_KINDS: Final = {
    access_pb2.KEY_KIND_PUBLIC: Kind.PUBLIC,
    access_pb2.KEY_KIND_SECRET: Kind.SECRET,
    access_pb2.KEY_KIND_ADMIN: Kind.ADMIN,
}
_ENDED: Final[dict[int, tuple[str, str]]] = {
    access_pb2.KEY_STATE_ROTATED: ("KEY_ROTATED", "The key was replaced. Use its successor."),
    access_pb2.KEY_STATE_REVOKED: ("KEY_REVOKED", "The key was revoked."),
    access_pb2.KEY_STATE_TENANT_DELETED: ("TENANT_DELETED", "The tenant of the key was deleted."),
}
_AT_ONCE: Final = frozenset({access_pb2.KEY_STATE_REVOKED, access_pb2.KEY_STATE_TENANT_DELETED})
_EXPIRED: Final = ("KEY_EXPIRED", "The key was valid until a time that has passed.")
_USUAL_BURST_SECONDS: Final = 2
_SCOPES: Final = {str(scope): scope for scope in Scope}


class KnownKey(NamedTuple):
    """A key as it is checked. `ends_us` is 0 if it never ends; no origins or event types means any."""

    key_id: str
    kind: Kind
    text_hash: bytes
    scopes: frozenset[Scope]
    origins: tuple[str, ...]
    event_types: frozenset[int]
    ends_us: int
    ended_as: int
    identity_secret: str
    tenant: str
    limits: tuple[Limit, ...] = ()

    def has_ended(self, now_us: int) -> bool:
        """Whether the key is no longer valid. What was ended by hand never is, whatever this machine's clock says."""
        return self.ended_as in _AT_ONCE or 0 < self.ends_us <= now_us

    def __repr__(self) -> str:
        """Names the key, and nothing that is secret."""
        return f"KnownKey({self.key_id!r})"


class Keyring(NamedTuple):
    """The keys by their ids, and the revision by which the access service knows them."""

    revision: str
    known: Mapping[str, KnownKey]

    def find(self, text: str, now_us: int) -> KnownKey:
        """The valid key with this text.

        Raises:
            Unauthenticated: `KEY_UNKNOWN`, the text is none or no known one; `KEY_EXPIRED`, `KEY_ROTATED`,
                `KEY_REVOKED`, `TENANT_DELETED`, the key has ended.
        """
        presented = keys.presented(text)
        if presented is None:
            raise Unauthenticated("KEY_UNKNOWN", "What was sent as a key is none; a letter may be missing.")
        found = self.known.get(presented.key_id)
        if found is None or not hmac.compare_digest(found.text_hash, presented.text_hash):
            raise Unauthenticated("KEY_UNKNOWN", "The key is not known.")
        if found.has_ended(now_us):
            raise Unauthenticated(*_ENDED.get(found.ended_as, _EXPIRED))
        return found

    def origins(self, now_us: int) -> Sequence[str]:
        """The origins of all valid keys."""
        return sorted({origin for key in self.known.values() if not key.has_ended(now_us) for origin in key.origins})


def keyring_of(response: access_pb2.GetKeyringResponse, tenant_rate: int = 0) -> Keyring:
    """The keyring that the access service reported.

    Kinds, scopes and event types that only a newer service knows allow nothing here. `tenant_rate` is for tenants that
    have no rate of their own, in units per second; 0: no limit.
    """
    entries = [entry for entry in response.entries if entry.kind in _KINDS]
    return Keyring(response.revision, {entry.key_id: _known_key(entry, tenant_rate) for entry in entries})


def _known_key(entry: access_pb2.KeyringEntry, tenant_rate: int) -> KnownKey:
    rights = entry.rights
    return KnownKey(
        entry.key_id,
        _KINDS[entry.kind],
        entry.text_hash,
        keys.with_implied(_SCOPES[scope] for scope in rights.scopes if scope in _SCOPES),
        tuple(rights.origins),
        # A type that is not known here becomes 0, which no event has.
        frozenset(EVENT_TYPES.get(word, 0) for word in rights.event_types),
        entry.ends_us,
        entry.ended_as,
        entry.identity_secret,
        entry.tenant,
        tuple(_limits(entry, tenant_rate)),
    )


def _limits(entry: access_pb2.KeyringEntry, tenant_rate: int) -> Iterator[Limit]:
    if entry.rights.HasField("rate"):
        rate = entry.rights.rate
        yield Limit("key", f"key:{entry.key_id}", rate.per_second, rate.burst)
    if entry.HasField("tenant_rate"):
        yield Limit("tenant", f"tenant:{entry.tenant}", entry.tenant_rate.per_second, entry.tenant_rate.burst)
    elif entry.tenant and tenant_rate:
        yield Limit("tenant", f"tenant:{entry.tenant}", tenant_rate, _USUAL_BURST_SECONDS * tenant_rate)
