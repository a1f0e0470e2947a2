"""State by key: generated copy, by intervention."""

from typing import Final

import msgspec

from mesh.state.keyed import StateKind
from services.intervention.language.domain.generated_copy import GeneratedCopy

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_COPY: Final = msgspec.msgpack.Decoder(GeneratedCopy).decode


def _decode_copy(blob: bytes) -> GeneratedCopy | None:
    return _DECODE_COPY(blob) if blob else None


GENERATED_COPY: Final = StateKind[GeneratedCopy | None]("wording:", _decode_copy, _ENCODE, is_sealed=False)
"""By the id of an intervention."""
