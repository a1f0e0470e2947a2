"""Chance that comes out the same again: who is held out, and which of several actions is drawn.

Both are hashes of what they are about, in domains of their own: one tells nothing of the other, whatever the salts.
"""

import hashlib
from typing import Final

# Names what is drawn and the version of how; another way of hashing gets another number.
_HOLDOUT: Final = b"jm.holdout.1"
_DRAW: Final = b"jm.draw.1"

_BITS: Final = 53
"""As many as a float holds exactly."""


def held_out(salt: str, user_id: str, share: float) -> bool:
    """Whether a user is among those who are not helped. The same user always is, and stays so when the share grows.

    Args:
        salt: names the experiment; with another salt others are held out.
        user_id: the user.
        share: the share of all users, 0 to 1.
    """
    return _unit(_HOLDOUT, salt, user_id) < share


def draw(salt: str, shard: str, sequence: int, event_index: int) -> float:
    """The number drawn for the event at a position, 0 to below 1, in steps of 2 to the power of -53."""
    return _unit(_DRAW, salt, shard, str(sequence), str(event_index))


def _unit(domain: bytes, *parts: str) -> float:
    hashed = hashlib.blake2b(digest_size=8, person=domain)
    for part in parts:
        blob = part.encode()
        # The length before each part keeps ("ab", "c") apart from ("a", "bc").
        hashed.update(len(blob).to_bytes(8, "big") + blob)
    return float((int.from_bytes(hashed.digest(), "big") >> (64 - _BITS)) * 2.0**-_BITS)
