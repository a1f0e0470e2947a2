"""Effects once, answers the same: how state kept per key remembers what was applied to it.

A batch is delivered at least once, and a second delivery may be cut differently. So every key holds an envelope: the
state before the last batch, the state after it, and where that batch stood. A batch that was seen is derived again
from the state before it: the same bits in the state, the same answer to the caller. A batch that lies before that is
refused: its sender has lost the shard to another and does not know it yet.

A key moves to another shard when its shard is split or merged, and only forward: a child's name ends with a larger
number than its parents'. So a batch of a shard that the key has left is refused as well.

Between reading the state and writing it, another sender may have come. Therefore a batch carries the epoch of its
sender's lease, and the store refuses, in the same atomic write, an epoch that is not the lease's of now (`Fence`). What
the older sender wrote before that is overwritten: the newer one begins at the checkpoint, which the older one can no
longer move.

A value that cannot be read is the loss of its key alone: it is kept aside, and the key begins anew. One that a newer
version wrote is none of these: it waits for that version.

No I/O but the log.
"""

import itertools
import logging
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from mesh.errors import AlreadyApplied, FailedPrecondition, InvalidArgument, VersionMismatch


class Fence(NamedTuple):
    """What a write shows: on whose behalf it comes, and the epoch of the lease; 0 where nothing is leased."""

    shard: str
    epoch: int


class Batch(NamedTuple):
    """Where a batch of records stands: `sequences` ascend within the shard and are never empty."""

    stream: str
    shard: str
    sequences: tuple[int, ...]
    lease_epoch: int = 0
    is_retraction: bool = False
    """The batch is set aside: its keys go back to the state before it."""

    @property
    def place(self) -> str:
        """Stream and shard, as in a fence."""
        return f"{self.stream}/{self.shard}"

    @property
    def fence(self) -> Fence:
        """What a write of this batch shows to the store."""
        return Fence(self.place, self.lease_epoch)


class BatchMessage(Protocol):
    """The shape of `journeymesh.common.v1.BatchPosition`, which this package may not import."""

    stream: str
    shard: str
    lease_epoch: int
    is_retraction: bool

    @property
    def sequences(self) -> Sequence[str]:
        """Decimal integers, ascending."""


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    # Stream and shard, as in a fence.
    shard: str
    # Decimal text: a Kinesis sequence number has up to 56 digits, msgpack integers end at 64 bits.
    base_sequence: str
    sequence: str
    base: bytes
    state: bytes
    version: int = 1


_State = TypeVar("_State")

ASIDE: Final = "\0damaged:"
"""How the keys begin under which values are kept that cannot be read; no id has such a letter."""

STATE_VERSION: Final = 1
"""Of the states of all services. It rises where a state changes so that the version before would misread or refuse it,
which growth at the end with defaults does not. That version then waits, and keeps nothing aside as damaged."""

_NEVER: Final = "-1"
# What decoders raise on bytes that are none of theirs.
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, LookupError, ArithmeticError, struct.error)
_log = logging.getLogger(__name__)
# As Kinesis names them; nothing else may stand in a key beside a shard's name.
_SHARD: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Envelope).decode


def batch(message: BatchMessage) -> Batch:
    """Reads the position of a batch.

    Raises:
        InvalidArgument: there is no record, its numbers are no ascending integers, or the shard's name is none.
    """
    sequences = tuple(map(int, message.sequences)) if all(map(_is_number, message.sequences)) else ()
    ascends = all(a < b for a, b in itertools.pairwise(sequences))
    if not sequences or not ascends or not is_shard(message.shard):
        raise InvalidArgument("INVALID_TYPE", "A batch needs a shard and ascending sequence numbers.")
    return Batch(message.stream, message.shard, sequences, message.lease_epoch, message.is_retraction)


class Resumed(NamedTuple):
    """Where to go on: the state to apply the batch to (empty where nothing is known of the key), and since when."""

    state: bytes
    base_sequence: str
    damaged: bytes = b""
    """What was stored and cannot be read: the key begins anew, and this is kept beside it."""


def opened(blob: bytes | None, at: Batch, decode: Callable[[bytes], _State]) -> tuple[Resumed, _State]:
    """Opens the stored envelope for a batch, and the state in it; one that cannot be read is as none.

    Raises:
        FailedPrecondition: as `resume`.
        VersionMismatch: as `resume`.
    """
    try:
        resumed = resume(blob, at)
        return resumed, decode(resumed.state)
    except _UNREADABLE:
        return Resumed(b"", _NEVER, blob or b""), decode(b"")


def kept_aside(resumed: Mapping[str, Resumed]) -> dict[str, bytes]:
    """By keys of their own, the values that could not be read: to be written with the batch that begins anew."""
    damaged = {f"{ASIDE}{key}": each.damaged for key, each in resumed.items() if each.damaged}
    if damaged:
        # Without the keys: they hold users' ids.
        _log.error("%d stored values cannot be read: they are kept aside, and their keys begin anew", len(damaged))
    return damaged


def readable(blob: bytes | None, decode: Callable[[bytes], _State]) -> _State:
    """The state after the last batch, decoded; one that cannot be read is as none.

    Raises:
        VersionMismatch: a newer version wrote it.
    """
    try:
        return decode(current(blob))
    except _UNREADABLE:
        return decode(b"")


def resume(blob: bytes | None, at: Batch) -> Resumed:
    """Opens the stored envelope for a batch.

    Raises:
        AlreadyApplied: `POSITION_STALE`, the batch begins before what was applied and checkpointed.
        FailedPrecondition: `POSITION_STALE`, the key has left the shard.
        VersionMismatch: a newer version wrote it.
    """
    if blob is None:
        return Resumed(b"", _NEVER)
    envelope = _envelope(blob)
    shard = at.place
    if envelope.shard != shard:
        if _has_left(envelope.shard, shard):
            raise FailedPrecondition("POSITION_STALE", "The batch is of a shard that the key has left.")
        return Resumed(envelope.state, _NEVER)
    if at.sequences[0] > int(envelope.sequence):
        return Resumed(envelope.state, envelope.sequence)
    if at.sequences[0] > int(envelope.base_sequence):
        return Resumed(envelope.base, envelope.base_sequence)
    raise AlreadyApplied("The batch lies before what was already applied.", int(envelope.base_sequence))


def seal(resumed: Resumed, after: bytes, at: Batch) -> bytes:
    """The envelope to store, where `after` is what the batch made of the resumed state."""
    if at.is_retraction:  # as if it had never come: what is applied next must not count it as passed
        sequence, after = resumed.base_sequence, resumed.state
    else:
        sequence = str(at.sequences[-1])
    return _ENCODE(_Envelope(at.place, resumed.base_sequence, sequence, resumed.state, after, STATE_VERSION))


def current(blob: bytes | None) -> bytes:
    """The state after the last batch; empty where nothing is known of the key."""
    return b"" if blob is None else _envelope(blob).state


def _envelope(blob: bytes) -> _Envelope:
    envelope = _DECODE(blob)
    if envelope.version > STATE_VERSION:
        raise VersionMismatch("What is stored was written by a newer version.")
    return envelope


def is_shard(text: str) -> bool:
    """Whether a text can be the name of a shard."""
    return _SHARD.fullmatch(text) is not None


def shard_number(shard: str) -> int:
    """The number at the end of a shard's name; larger for children than for their parents. 0 where there is none."""
    digits = shard[len(shard.rstrip("0123456789")) :]
    return int(digits) if digits else 0


def _has_left(current: str, asked: str) -> bool:
    """Whether a key that stands in one shard has left the other; another stream is a move of all keys."""
    stream, _, shard = current.rpartition("/")
    asked_stream, _, asked_shard = asked.rpartition("/")
    return stream == asked_stream and shard_number(asked_shard) < shard_number(shard)


def derived_id(prefix: str, shard: str, sequence: int, event_index: int) -> str:
    """The id of what is derived from one event, computed from the event's position: a replay makes the same."""
    return f"{prefix}-{shard}-{sequence}-{event_index}"


def parse_derived_id(text: str) -> tuple[str, str, int, int] | None:
    """Prefix, shard, sequence and event index of a derived id; None where the text is none that was ever given."""
    prefix, _, rest = text.partition("-")
    parts = rest.rsplit("-", 2)
    if not prefix or len(parts) != 3 or not is_shard(parts[0]) or not all(map(_is_number, parts[1:])):
        return None
    parsed = prefix, parts[0], int(parts[1]), int(parts[2])
    return parsed if derived_id(*parsed) == text else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 64
