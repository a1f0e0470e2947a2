"""What the features service keeps: each user, and in five segments that take turns the user's older events."""

import contextlib
from typing import Final

import msgspec

from mesh.state.keyed import StateKind
from services.features.domain.recents import Kept, Segment
from services.features.domain.state import State


class User(msgspec.Struct, array_like=True):
    """A user, and the last events that fill no segment yet."""

    state: State
    tail: list[Kept]


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_USER: Final = msgspec.msgpack.Decoder(User).decode
_DECODE_SEGMENT: Final = msgspec.msgpack.Decoder(Segment).decode


def segment_name(user_id: str, slot: int) -> str:
    """What a user's segment in a slot is called."""
    return f"{slot}:{user_id}"


def _decode_user(stored: bytes) -> User:
    return _DECODE_USER(stored) if stored else User(State(), [])


def _decode_segment(stored: bytes) -> Segment | None:
    """None for bytes that are no segment, so that the others are still reported."""
    with contextlib.suppress(msgspec.DecodeError):
        return _DECODE_SEGMENT(stored)
    return None


USERS: Final = StateKind[User]("s:", _decode_user, _ENCODE)
"""By user."""
SEGMENTS: Final = StateKind[Segment | None]("", _decode_segment, _ENCODE, is_sealed=False)
"""By `segment_name`. Which events stand in one follows from their numbers."""
