"""What the customers service keeps by user: purchases and declared traits."""

from typing import Final

import msgspec

from mesh.errors import VersionMismatch
from mesh.state.keyed import StateKind
from services.customers.domain.history import Entry, Purchased, Sums
from services.customers.domain.traits import Trait


class _Packed(msgspec.Struct, array_like=True):
    version: int
    entries: dict[str, Entry]
    older: dict[str, Sums]
    first: int
    traits: dict[str, Trait] = {}


_VERSION: Final = 1
_ENCODE: Final = msgspec.msgpack.Encoder(order="sorted").encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode


def _encode(of: Purchased) -> bytes:
    return _ENCODE(_Packed(_VERSION, of.entries, of.older, of.first, of.traits))


def _decode(blob: bytes) -> Purchased:
    if not blob:
        return Purchased()
    packed = _DECODE(blob)
    if packed.version > _VERSION:
        raise VersionMismatch("What is stored was written by a newer version.")
    return Purchased(packed.entries, packed.older, packed.first, packed.traits)


PURCHASED: Final = StateKind[Purchased]("user:", _decode, _encode)
"""By user."""
