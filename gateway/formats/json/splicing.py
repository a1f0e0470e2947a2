"""Adds members to JSON objects without parsing them."""

from collections.abc import Mapping

import msgspec

_encode = msgspec.json.Encoder().encode


def with_members(written: bytes, members: Mapping[str, object]) -> bytes:
    """The object with members appended; anything but an object is returned as it is.

    The object must not have members of these names yet.
    """
    inside = written.strip()
    if not members or not inside.startswith(b"{") or not inside.endswith(b"}"):
        return written
    begun = inside[:-1].rstrip()
    return begun + (b"" if begun == b"{" else b",") + _encode(members)[1:]
