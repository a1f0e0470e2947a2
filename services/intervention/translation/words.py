"""Ids, numbers and times, between text and values."""

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.errors import InvalidArgument

_TRACE_ID_BYTES: Final = 16
_LONGEST_NUMBER: Final = 64


def trace_id_of(text: str) -> bytes:
    """The trace id of its 32 hexadecimal digits.

    Raises:
        InvalidArgument: the text is no trace id.
    """
    try:
        trace_id = bytes.fromhex(text)
    except ValueError:
        trace_id = b""
    if len(trace_id) != _TRACE_ID_BYTES:
        raise InvalidArgument("INVALID_PARAMETER", "A trace id has 32 hexadecimal digits.")
    return trace_id


def number_of(text: str, name: str) -> int:
    """The number of a decimal integer that is not negative.

    Raises:
        InvalidArgument: the text is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise InvalidArgument("INVALID_PARAMETER", f"The {name} is a decimal integer.")
    return int(text)


def timestamp(at_us: int) -> Timestamp:
    """A time for the wire, of Unix microseconds."""
    return Timestamp(seconds=at_us // 1_000_000, nanos=at_us % 1_000_000 * 1000)
