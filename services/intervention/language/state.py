"""State by key: generated copy, by intervention."""

from typing import Final

import msgspec

from mesh.keyed import Kind
from services.intervention.language.domain.generated_copy import Worded

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_WORDED: Final = msgspec.msgpack.Decoder(Worded).decode


def _decode_worded(blob: bytes) -> Worded | None:
    return _DECODE_WORDED(blob) if blob else None


WORDINGS: Final = Kind[Worded | None]("wording:", _decode_worded, _ENCODE, is_sealed=False)
"""By the id of an intervention."""
