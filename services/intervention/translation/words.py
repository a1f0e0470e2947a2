"""Ids, numbers and enumerations of requests, as values."""

import re
from typing import Final

from google.protobuf.unknown_fields import UnknownFieldSet
from journeymesh.common.v1 import position_pb2
from journeymesh.intervention.v1 import intervention_pb2 as wire

from mesh.errors import InvalidArgument, MeshError, VersionMismatch
from mesh.state import applied
from services.intervention.decision.domain.facts import EventPosition
from services.intervention.decision.ports import Reference
from services.intervention.language.domain.budget import MOST_DAYS
from services.intervention.language.domain.conversation import Complexity

_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_LONGEST_NUMBER: Final = 60
"""A sequence number of Kinesis has up to 56 digits."""
_LONGEST_CURSOR: Final = 18
_MOST_RECORDS: Final = 200


def trace_id_of(text: str) -> bytes:
    """The trace id of its 32 hexadecimal digits.

    Raises:
        InvalidArgument: the text is no trace id.
    """
    if not _TRACE_ID.fullmatch(text):
        raise InvalidArgument("INVALID_PARAMETER", "A trace id has 32 hexadecimal digits.")
    return bytes.fromhex(text)


def shard_of(text: str) -> str:
    """The name of a shard.

    Raises:
        InvalidArgument: the text is none.
    """
    if not applied.is_shard(text):
        raise InvalidArgument("INVALID_PARAMETER", "The shard has letters, digits, and `_`, `.` and `-` in its name.")
    return text


def position_of(message: position_pb2.EventPosition) -> EventPosition:
    """Where an event stands.

    Raises:
        InvalidArgument: the shard or the sequence number is none.
    """
    sequence = number_of(message.sequence, "sequence")
    return EventPosition(shard_of(message.shard), sequence, message.event_index)


def cursor_of(text: str) -> int:
    """The number of a cursor.

    Raises:
        InvalidArgument: the text is none.
    """
    return number_of(text, "cursor", _LONGEST_CURSOR)


def number_of(text: str, name: str, most_digits: int = _LONGEST_NUMBER) -> int:
    """The number of a decimal integer that is not negative.

    Raises:
        InvalidArgument: the text is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= most_digits):
        raise InvalidArgument("INVALID_PARAMETER", f"The {name} is a decimal integer.")
    return int(text)


def day_count_of(request: wire.GetModelUsageRequest) -> int:
    """Of how many days usage is asked about.

    Raises:
        InvalidArgument: of less than none, or of more than can be.
    """
    if not 0 <= request.day_count <= MOST_DAYS:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`dayCount` must be 0 to {MOST_DAYS}.")
    return request.day_count


def depth_of(number: int) -> Complexity:
    """How deep an analysis goes; quick where it is not said.

    Raises:
        InvalidArgument: the number is of no depth.
        VersionMismatch: it is a newer version's.
    """
    if number > max(Complexity):
        raise VersionMismatch("An analysis is wanted that only a newer version makes.")
    try:
        return Complexity(number or Complexity.QUICK)
    except ValueError:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "The depth is none of those there are.") from None


def references_of(request: wire.ReadLedgerRequest) -> list[Reference]:
    """The records whose decisions are asked for.

    Raises:
        InvalidArgument: there are more than 200, or one cannot be read.
    """
    if len(request.sequences) > _MOST_RECORDS:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"At most {_MOST_RECORDS} records are read at once.")
    sequences = [number_of(each, "sequence number") for each in request.sequences]
    shard = shard_of(request.shard) if sequences else ""
    return [Reference(shard, each) for each in sequences]


def unlisted(request: wire.ListDecisionsRequest) -> MeshError:
    """Why decisions cannot be listed: it is not said by what, or by what only a newer version knows."""
    if len(UnknownFieldSet(request)):
        return VersionMismatch("Decisions are listed by what only a newer version knows.")
    return InvalidArgument("MISSING_FIELD", "Decisions are listed by user, trace or position.")
