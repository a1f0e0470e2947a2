"""State by key: the counts of the lift, by tenant and shard."""

from typing import Final

import msgspec

from mesh.state.keyed import StateKind
from records.tenants import beside
from services.intervention.lift.domain.tally import Tally

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_TALLY: Final = msgspec.msgpack.Decoder(Tally).decode


def _decode_tally(blob: bytes) -> Tally:
    return _DECODE_TALLY(blob) if blob else ()


TALLIES: Final = StateKind[Tally]("tally:", _decode_tally, _ENCODE)
"""By `tally_name`."""


def tally_name(shard: str, user_id: str) -> str:
    """The tally that a user counts in: that of the shard, for each tenant one."""
    return beside(user_id, shard)
