"""JSON objects that get members more without being read and written again."""

from collections.abc import Mapping

import msgspec

_encode = msgspec.json.Encoder().encode


def with_members(written: bytes, members: Mapping[str, object]) -> bytes:
    """An object as it is written, with members at its end; anything but an object stays as it is.

    The names must not be in it already.
    """
    inside = written.strip()
    if not members or not inside.startswith(b"{") or not inside.endswith(b"}"):
        return written
    begun = inside[:-1].rstrip()
    return begun + (b"" if begun == b"{" else b",") + _encode(members)[1:]
