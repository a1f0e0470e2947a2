"""State by key: the counts of the lift, by shard."""

from typing import Final

import msgspec

from mesh.state.keyed import StateKind
from services.intervention.lift.domain.tally import Tally

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_TALLY: Final = msgspec.msgpack.Decoder(Tally).decode


def _decode_tally(blob: bytes) -> Tally:
    return _DECODE_TALLY(blob) if blob else ()


TALLIES: Final = StateKind[Tally]("tally:", _decode_tally, _ENCODE)
"""By shard."""
