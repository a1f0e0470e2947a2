"""What happened to a user, and how much of it is kept for somebody who is slower than the mesh."""

import enum
from collections.abc import Iterable
from typing import Final

import msgspec

MOST: Final = 200
"""How much is kept for one reader. What exceeds it is counted and left out."""


class Kind(enum.IntEnum):
    """What a happening is about. The numbers are those of the wire contract."""

    STRUGGLE = 1
    DECISION = 2
    OUTCOME = 3


class Happening(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that happened to a user, as of the received time of its event: Unix microseconds.

    Every kind has the user, the decision, the page and the risk: score 0 to 100, and its level. A struggle has a
    signal, its strength (0 to 100) and its target; a decision its reason and, if it is for help, the intervention with
    action and channel; an outcome the intervention and the outcome. `why` is a sentence. What a kind does not have is
    empty or 0.
    """

    kind: int
    at_us: int
    user_id: str
    decision_id: str
    page: str
    score: float
    level: int
    why: str = ""
    signal: int = 0
    strength: float = 0.0
    target: str = ""
    reason: int = 0
    intervention_id: str = ""
    action: str = ""
    channel: str = ""
    outcome: int = 0


class Happenings(msgspec.Struct, frozen=True, array_like=True):
    """What happened since the last ones, in the order it was told, and how much of it was left out."""

    happenings: tuple[Happening, ...] = ()
    left_out: int = 0


class Pending:
    """What one reader has not taken yet: `MOST` happenings at most."""

    def __init__(self) -> None:
        self._kept: list[Happening] = []
        self._left_out = 0

    def add(self, happenings: Iterable[Happening], left_out: int = 0) -> None:
        """Keeps what there is room for."""
        self._left_out += left_out
        for each in happenings:
            if len(self._kept) < MOST:
                self._kept.append(each)
            else:
                self._left_out += 1

    def take(self) -> Happenings:
        """All that is kept, which is then taken."""
        taken = Happenings(tuple(self._kept), self._left_out)
        self._kept, self._left_out = [], 0
        return taken


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Happenings).decode


def encode(happenings: Happenings) -> bytes:
    """Happenings as bytes."""
    return _ENCODE(happenings)


def decode(blob: bytes) -> Happenings:
    """The happenings from bytes; only that some were left out if they are of a version that this one cannot read."""
    try:
        return _DECODE(blob)
    except msgspec.DecodeError:
        return Happenings(left_out=1)
