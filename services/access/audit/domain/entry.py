"""An entry of the audit log: an act with its place in the chain, the bytes it is stored as, and its hash."""

import dataclasses
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec

HASH_BYTES: Final = 32
NO_HASH: Final = bytes(HASH_BYTES)
"""Stands before entry 1."""
SECRET_BYTES: Final = 32
"""The length of the secret behind pseudonyms."""
USER_PREFIX: Final = "user:"
"""Begins every pseudonym."""
_PSEUDONYM_DIGITS: Final = 32
_VERSION: Final = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Act:
    """Something that is about to be done, as it is kept."""

    act_id: bytes
    """Distinguishes it from all others; 16 bytes."""
    time_us: int
    """When, in Unix microseconds."""
    actor: str
    """The id of a key, or `command`."""
    action: str
    subject: str
    """About what; a user as a pseudonym; empty if about nothing."""
    trace_id: bytes
    """16 bytes, or none."""


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: its newest number and hash."""

    sequence: int
    hash: bytes


EMPTY: Final = Head(0, NO_HASH)
"""The head of a chain without entries."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is stored."""

    sequence: int
    act_id: bytes
    stored: bytes
    hash: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """An act with its number."""

    sequence: int
    act: Act


class _Packed(msgspec.Struct, array_like=True):
    """The stored bytes; they grow at their end."""

    version: int
    sequence: int
    act_id: bytes
    time_us: int
    actor: str
    action: str
    subject: str
    trace_id: bytes


class _Version(msgspec.Struct, array_like=True):
    version: int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode
_DECODE_VERSION: Final = msgspec.msgpack.Decoder(_Version).decode


class Newer(Exception):
    """Only a newer version can read the entry."""


def chained(head: Head, acts: Sequence[Act]) -> list[Row]:
    """The rows that acts become behind a head, in their order."""
    rows: list[Row] = []
    for sequence, act in enumerate(acts, head.sequence + 1):
        stored = _ENCODE(
            _Packed(_VERSION, sequence, act.act_id, act.time_us, act.actor, act.action, act.subject, act.trace_id)
        )
        rows.append(Row(sequence, act.act_id, stored, hash_of(rows[-1].hash if rows else head.hash, stored)))
    return rows


def hash_of(before: bytes, stored: bytes) -> bytes:
    """The hash of an entry: SHA-256 over the hash before it and its stored bytes."""
    return hashlib.sha256(before + stored).digest()


def decoded(stored: bytes) -> Entry:
    """The entry that was stored as these bytes.

    Raises:
        Newer: only a newer version can read it.
        ValueError: nobody can.
    """
    if _DECODE_VERSION(stored).version > _VERSION:
        raise Newer
    packed = _DECODE(stored)
    act = Act(packed.act_id, packed.time_us, packed.actor, packed.action, packed.subject, packed.trace_id)
    return Entry(packed.sequence, act)


def pseudonym(user_id: str, secret: bytes) -> str:
    """What stands for a user in the log: the same for the same secret, and without it nobody finds the user."""
    digest = hmac.new(secret, user_id.encode(), hashlib.sha256).hexdigest()
    return f"{USER_PREFIX}{digest[:_PSEUDONYM_DIGITS]}"
