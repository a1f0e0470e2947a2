"""What scoring keeps: a journal per user."""

from typing import Final

import msgspec

from mesh.state.keyed import StateKind
from services.scoring.domain.history import Journal

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Journal).decode


def _decode(stored: bytes) -> Journal:
    return _DECODE(stored) if stored else Journal()


JOURNALS: Final = StateKind[Journal]("", _decode, _ENCODE)
"""By user; without values for a user who was never assessed."""
