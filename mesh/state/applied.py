"""Effects once, answers the same: how the state of a key remembers what was applied to it.

Batches are delivered at least once, and a second delivery may be cut differently. So every key holds an envelope: the
state before the last batch, the state after it, and the position of that batch. A batch that was seen is applied again
to the state before it: same bits in the state, same answer to the caller. An earlier batch is refused: its sender has
lost the shard to another without knowing it.

A key moves to another shard when its shard is split or merged, and only forward: a child's name ends with a larger
number than its parents'. So a batch of a shard that the key has left is refused as well.

Between reading the state and writing it, another sender may have taken over. Therefore a batch carries the epoch of its
sender's lease, and the store refuses, within the atomic write, any epoch but the current one (`Fence`). What the older
sender wrote before is overwritten: the newer one begins at the checkpoint, which the older one can no longer move.

A value that cannot be read affects its own key alone: it is kept under another key, and its key starts afresh. A value
that a newer version wrote is not damaged: its batch waits for that version.

No I/O but the log.
"""

import itertools
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from mesh.errors import AlreadyApplied, FailedPrecondition, InvalidArgument, VersionMismatch
from mesh.stored import UNREADABLE

_State = TypeVar("_State")
ASIDE: Final = "\0damaged:"
"""The prefix of keys that hold damaged values; no id contains such a character."""
STATE_VERSION: Final = 1
"""The version of the states of all services. It rises with a change that the version before would misread or refuse, so
that that version waits and does not take the state for damaged. New members at the end, with defaults, need no rise."""
_NEVER: Final = "-1"
_log = logging.getLogger(__name__)
# As Kinesis names them; a key contains nothing else beside a shard's name.
_SHARD: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class Fence(NamedTuple):
    """What a write shows: the shard on whose behalf it is made, and the epoch of the lease; 0 without a lease."""

    shard: str
    epoch: int


class Batch(NamedTuple):
    """The position of a batch of records: `sequences` ascend within the shard and are never empty."""

    stream: str
    shard: str
    sequences: tuple[int, ...]
    lease_epoch: int = 0
    is_retraction: bool = False
    """The batch is retracted: its keys return to the state before it."""

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


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Envelope).decode


def batch(message: BatchMessage) -> Batch:
    """Reads the position of a batch.

    Raises:
        InvalidArgument: there is no record, the numbers are not ascending integers, or the shard's name is invalid.
    """
    sequences = tuple(map(int, message.sequences)) if all(map(_is_number, message.sequences)) else ()
    ascends = all(a < b for a, b in itertools.pairwise(sequences))
    if not sequences or not ascends or not is_shard(message.shard):
        raise InvalidArgument("INVALID_TYPE", "A batch needs a shard and ascending sequence numbers.")
    return Batch(message.stream, message.shard, sequences, message.lease_epoch, message.is_retraction)


class Resumed(NamedTuple):
    """Where to resume: the state to apply the batch to (empty if nothing is known of the key), and its position."""

    state: bytes
    base_sequence: str
    damaged: bytes = b""
    """The stored bytes if they cannot be read: the key starts afresh, and they are kept aside."""


def opened(blob: bytes | None, at: Batch, decode: Callable[[bytes], _State]) -> tuple[Resumed, _State]:
    """Opens the stored envelope for a batch and decodes its state; unreadable bytes count as none.

    Raises:
        FailedPrecondition: as `resume`.
        VersionMismatch: as `resume`.
    """
    try:
        resumed = resume(blob, at)
        return resumed, decode(resumed.state)
    except UNREADABLE:
        return Resumed(b"", _NEVER, blob or b""), decode(b"")


def kept_aside(resumed: Mapping[str, Resumed]) -> dict[str, bytes]:
    """The values that could not be read, by keys of their own, to be written together with the batch."""
    damaged = {f"{ASIDE}{key}": each.damaged for key, each in resumed.items() if each.damaged}
    if damaged:
        # Without the keys: they hold users' ids.
        _log.error("%d stored values cannot be read: they are kept aside, and their keys start afresh", len(damaged))
    return damaged


def readable(blob: bytes | None, decode: Callable[[bytes], _State], *, is_sealed: bool = True) -> _State:
    """The state after the last batch, decoded, or one without an envelope; unreadable bytes count as none.

    Raises:
        VersionMismatch: a newer version wrote it.
    """
    try:
        return decode(current(blob) if is_sealed else blob or b"")
    except UNREADABLE:
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
    if at.is_retraction:  # as if it had never come: it must not count as applied
        sequence, after = resumed.base_sequence, resumed.state
    else:
        sequence = str(at.sequences[-1])
    return _ENCODE(_Envelope(at.place, resumed.base_sequence, sequence, resumed.state, after, STATE_VERSION))


def current(blob: bytes | None) -> bytes:
    """The state after the last batch; empty if nothing is known of the key."""
    return b"" if blob is None else _envelope(blob).state


def _envelope(blob: bytes) -> _Envelope:
    envelope = _DECODE(blob)
    if envelope.version > STATE_VERSION:
        raise VersionMismatch("What is stored was written by a newer version.")
    return envelope


def is_shard(text: str) -> bool:
    """Whether a text is a valid name of a shard."""
    return _SHARD.fullmatch(text) is not None


def shard_number(shard: str) -> int:
    """The number at the end of a shard's name, larger for children than for their parents; 0 without one."""
    digits = shard[len(shard.rstrip("0123456789")) :]
    return int(digits) if digits else 0


def _has_left(current: str, asked: str) -> bool:
    """Whether a key of the current shard has left the other; a change of stream moves all keys."""
    stream, _, shard = current.rpartition("/")
    asked_stream, _, asked_shard = asked.rpartition("/")
    return stream == asked_stream and shard_number(asked_shard) < shard_number(shard)


def derived_id(prefix: str, shard: str, sequence: int, event_index: int) -> str:
    """The id of what is derived from an event, computed from the event's position: a replay yields the same."""
    return f"{prefix}-{shard}-{sequence}-{event_index}"


def parse_derived_id(text: str) -> tuple[str, str, int, int] | None:
    """Prefix, shard, sequence and event index of a derived id; None if the text is not one."""
    prefix, _, rest = text.partition("-")
    parts = rest.rsplit("-", 2)
    if not prefix or len(parts) != 3 or not is_shard(parts[0]) or not all(map(_is_number, parts[1:])):
        return None
    parsed = prefix, parts[0], int(parts[1]), int(parts[2])
    return parsed if derived_id(*parsed) == text else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 64
