"""An erasure: its steps, what is kept of it, and its receipt. Pure."""

import enum
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from records.tenants import plain

SETTLED_US: Final = 2_000_000
"""How long after a change of the list every process goes by it."""
_HOUR_US: Final = 3600 * 1_000_000
# As long as `accept` remembers ids at most.
_IDS_SEEN_US: Final = 49 * _HOUR_US
_RECEIPT_VERSION: Final = 1


class Step(enum.IntEnum):
    """What comes next. A step that was interrupted is taken again, and leads to the same."""

    SUPPRESS = 1
    """The id that was asked for goes onto the list."""
    IDENTIFY = 2
    """All ids of the person, which nobody adds to any more, go onto the list."""
    DRAIN = 3
    """The dispatcher passes what stands on the stream."""
    COUNT = 4
    """What is kept is counted."""
    ERASE = 5
    """It is erased, until nothing is left."""
    ARCHIVE = 6
    """The archiver rewrites the files of the archive, if there is one."""
    REPORT = 7
    """The receipt's hash goes into the audit log."""
    DONE = 8


class Signature(NamedTuple):
    """Of a receipt's hash, as hexadecimal digits; empty where nobody signs."""

    signature: str
    public_key: str


class Erasure(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of an erasure. Times are Unix microseconds, 0 where that has not happened.

    The person's ids are there until all is erased, and then no more.
    """

    id: str
    pseudonym: str
    """Of the id that was asked for."""
    requested_us: int
    user_ids: tuple[str, ...]
    step: Step = Step.SUPPRESS
    since_us: int = 0
    """When this step began."""
    pseudonyms: tuple[str, ...] = ()
    """Of all ids of the person, while they are suppressed."""
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    erased_us: int = 0
    receipt: str = ""
    trouble: str = ""
    """The reason of the error that keeps the step, empty if none does."""
    signature: Signature = Signature("", "")
    """Of the receipt, once it is done."""

    def __repr__(self) -> str:
        """Names the erasure, and nobody."""
        return f"Erasure({self.id!r}, {self.step.name})"


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(tuple[int, Erasure]).decode
_VERSION: Final = 1


def encode(erasure: Erasure) -> bytes:
    """An erasure as bytes, behind the version of their form."""
    return _ENCODE((_VERSION, erasure))


def decode(stored: bytes) -> Erasure:
    """The erasure from bytes."""
    _, erasure = _DECODE(stored)
    return erasure


class Rewritten(msgspec.Struct, frozen=True, array_like=True):
    """A file of the archive that named the person: its rows, and SHA-256 of its bytes, before and after.

    After is empty, with -1 rows, until it is rewritten, and for good if it was joined with others before that.
    """

    rows_before: int
    hash_before: str
    rows_after: int = -1
    hash_after: str = ""

    @property
    def is_rewritten(self) -> bool:
        """Whether it is known what is in it now."""
        return self.rows_after >= 0


class Archived(msgspec.Struct, frozen=True, array_like=True):
    """What an erasure has changed in the archive, by path of the file. Done once no file names the person."""

    files: dict[str, Rewritten] = {}
    is_done: bool = False


_DECODE_ARCHIVED: Final = msgspec.msgpack.Decoder(tuple[int, Archived]).decode


def encode_archived(archived: Archived) -> bytes:
    """What was changed in the archive as bytes, behind the version of their form."""
    return _ENCODE((_VERSION, archived))


def decode_archived(stored: bytes) -> Archived:
    """What was changed in the archive from bytes."""
    _, archived = _DECODE_ARCHIVED(stored)
    return archived


def receipt(erasure: Erasure, erased_us: int, archived: Archived) -> str:
    """The receipt: JSON with sorted members, so that the same erasure gives the same bytes."""
    said: dict[str, Any] = {
        "version": _RECEIPT_VERSION,
        "erasureId": plain(erasure.id),
        "pseudonym": plain(erasure.pseudonym),
        "idCount": len(erasure.pseudonyms),
        "requestedAt": _moment(erasure.requested_us),
        "erasedAt": _moment(erased_us),
        "stores": [
            {"store": store, "before": count, "after": erasure.after[store]} for store, count in erasure.before.items()
        ],
        "archive": [
            {
                "path": path,
                "rowsBefore": file.rows_before,
                "rowsAfter": file.rows_after,
                "sha256Before": file.hash_before,
                "sha256After": file.hash_after,
            }
            for path, file in sorted(archived.files.items())
        ],
        "notCovered": _not_covered(erased_us),
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def receipt_hash(text: str) -> str:
    """SHA-256 of a receipt, 64 hexadecimal digits; empty for none."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def joined(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The counts of several services as one; each store is one service's."""
    return {store: count for part in parts for store, count in part.items()}


def _not_covered(erased_us: int) -> list[dict[str, str]]:
    return [
        {
            "what": "eventIds",
            "why": "Ids of events pass, without what happened.",
            "until": _moment(erased_us + _IDS_SEEN_US),
        },
        {"what": "archiveVersions", "why": "Older versions of files, where a bucket keeps them, pass by its rules."},
        {"what": "stream", "why": "Records pass when all readers have passed them, on Kinesis with its retention."},
        {"what": "appendOnlyFile", "why": "The store's append-only file passes when the store rewrites it."},
        {"what": "backups", "why": "Copies made elsewhere are not reached; erase again after restoring one."},
        {"what": "unreadableRecords", "why": "Records that no version can read are kept for 7 days as failed events."},
        {"what": "ledger", "why": "Decisions stay under the pseudonym, without events, traces, pages and features."},
    ]


def _moment(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
