"""How keys are created, rotated, revoked and forgotten: keys by id in, keys by id out. Times are Unix microseconds."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from services.access.keys.domain import validation
from services.access.keys.domain.key import NEVER, SECOND_US, Credentials, Ending, Key, Made, Rights
from services.access.keys.domain.refusal import Cause, Refusal

MOST_ACTIVE: Final = 1_000
"""Keys that have not ended."""
_REMEMBERED_US: Final = 30 * 86_400 * SECOND_US

Keys = Mapping[str, Key]
"""By key id."""


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks a new key to be."""

    kind: str
    name: str
    rights: Rights
    lifetime_seconds: int = 0
    """0: without end."""
    tenant: str = ""
    """The tenant whose data the key opens; empty: the default one."""
    made: Made | None = None
    """The key, if its holder made it."""


def require_made(key: Key, kind: str, tenant: str, text_hash: bytes) -> None:
    """Returns if a key that exists is the one that somebody made and asks for again.

    Raises:
        Refusal: it is another one.
    """
    if (key.kind, key.tenant, key.credentials.text_hash) != (kind, tenant, text_hash):
        raise Refusal(Cause.KEY_EXISTS, "There is another key with this id.")


def require_successor(key: Key, successor: Key) -> None:
    """Returns if one key replaces the other.

    Raises:
        Refusal: it was not made for that.
    """
    if key.successor_id != successor.key_id:
        raise Refusal(Cause.KEY_EXISTS, "There is another key with this id.")


def remembered(keys: Keys, now_us: int) -> dict[str, Key]:
    """The keys without those that ended more than 30 days ago."""
    return {
        key_id: key for key_id, key in keys.items() if key.ends_us == NEVER or now_us - key.ends_us <= _REMEMBERED_US
    }


def create(
    keys: Keys, request: Request, credentials: Credentials, vocabulary: validation.Vocabulary, now_us: int
) -> dict[str, Key]:
    """The keys with a new one.

    Raises:
        Refusal: the request is invalid, or there are too many keys.
    """
    name = validation.name(request.name)
    rights = validation.rights(request.kind, request.rights, vocabulary)
    validation.check_lifetime(request.lifetime_seconds)
    ends_us = now_us + request.lifetime_seconds * SECOND_US if request.lifetime_seconds else NEVER
    made = Key(credentials, request.kind, name, rights, now_us, ends_us, tenant=request.tenant)
    return _bounded({**remembered(keys, now_us), made.key_id: made}, now_us)


def rotate(keys: Keys, key_id: str, grace_seconds: int, credentials: Credentials, now_us: int) -> dict[str, Key]:
    """The keys with a successor of an active one, which ends after the grace period unless it ends before.

    The successor has its tenant, its rights, its name, its kind, and the end it had until now.

    Raises:
        Refusal: there is no such key, it has ended or has a successor, the grace period is out of range, or there are
            too many keys.
    """
    validation.check_grace(grace_seconds)
    old = find(keys, key_id, now_us)
    if old.has_ended(now_us):
        raise Refusal(Cause.ENDED, "The key has ended; create a new one.")
    if old.successor_id:
        raise Refusal(Cause.ENDED, f"The key was rotated; its successor is {old.successor_id}.")
    successor = dataclasses.replace(old, credentials=credentials, created_us=now_us)
    ends_us = now_us + grace_seconds * SECOND_US
    if old.ends_us != NEVER and old.ends_us <= ends_us:
        replaced = dataclasses.replace(old, successor_id=successor.key_id)
    else:
        replaced = dataclasses.replace(old, successor_id=successor.key_id, ends_us=ends_us, ended_as=Ending.ROTATED)
    return _bounded({**remembered(keys, now_us), old.key_id: replaced, successor.key_id: successor}, now_us)


def revoke(keys: Keys, key_id: str, now_us: int) -> dict[str, Key]:
    """The keys with one ended now; the same ones if it has ended already.

    Raises:
        Refusal: there is no such key.
    """
    key = find(keys, key_id, now_us)
    if key.has_ended(now_us):
        return dict(keys)
    ended = dataclasses.replace(key, ends_us=now_us, ended_as=Ending.REVOKED)
    return {**remembered(keys, now_us), key_id: ended}


def find(keys: Keys, key_id: str, now_us: int) -> Key:
    """A key that is listed.

    Raises:
        Refusal: there is none.
    """
    key = remembered(keys, now_us).get(key_id)
    if key is None:
        raise Refusal(Cause.UNKNOWN_KEY, "No key has this id, or it ended more than 30 days ago.")
    return key


def _bounded(keys: dict[str, Key], now_us: int) -> dict[str, Key]:
    """The keys.

    Raises:
        Refusal: too many of them are active.
    """
    if sum(not key.has_ended(now_us) for key in keys.values()) > MOST_ACTIVE:
        raise Refusal(Cause.TOO_MANY, f"There are {MOST_ACTIVE:,} keys that have not ended: revoke those not needed.")
    return keys
