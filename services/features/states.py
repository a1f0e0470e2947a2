"""What the features service keeps: each user's state, and the user's older events in five segments used in turn."""

import contextlib
from typing import Final

import msgspec

from mesh.state.keyed import StateKind
from services.features.domain.recents import Kept, Segment
from services.features.domain.state import State


class User(msgspec.Struct, array_like=True):
    """A user, and the latest events that do not fill a segment yet."""

    state: State
    tail: list[Kept]


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_USER: Final = msgspec.msgpack.Decoder(User).decode
_DECODE_SEGMENT: Final = msgspec.msgpack.Decoder(Segment).decode


def segment_name(user_id: str, slot: int) -> str:
    """The name of a user's segment in a slot."""
    return f"{slot}:{user_id}"


def _decode_user(stored: bytes) -> User:
    return _DECODE_USER(stored) if stored else User(State(), [])


def _decode_segment(stored: bytes) -> Segment | None:
    """None for bytes that are not a segment, so that the others can still be read."""
    with contextlib.suppress(msgspec.DecodeError):
        return _DECODE_SEGMENT(stored)
    return None


USERS: Final = StateKind[User]("s:", _decode_user, _ENCODE)
"""By user."""
SEGMENTS: Final = StateKind[Segment | None]("", _decode_segment, _ENCODE, is_sealed=False)
"""By `segment_name`. An event's number determines its segment."""
