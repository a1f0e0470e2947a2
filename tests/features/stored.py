"""A state as bytes and back."""

from typing import Final

import msgspec

from services.features.domain.state import State

encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(State).decode


def decode(stored: bytes) -> State:
    """A state from bytes; a new one from none."""
    return _decode(stored) if stored else State()
