"""Which policy decides when: a version decides on events received from its start on, until the next one's.

So a batch that comes again, and a replay, are decided by the policy that decided the first time.
"""

import bisect
from collections.abc import Sequence
from typing import Final

import msgspec

from services.intervention.domain.policy import Policy


class Dated(msgspec.Struct, frozen=True, array_like=True):
    """A policy's document, in YAML as it was written, with its version and its start: Unix microseconds."""

    start_us: int
    version: str
    document: str


class Timeline:
    """Policies by their start, oldest first; never empty, and the first one decides on all that came before."""

    def __init__(self, dated: Sequence[tuple[Dated, Policy]]) -> None:
        self.dated: Final = tuple(each for each, _ in dated)
        self._starts = [each.start_us for each in self.dated]
        self.policies: Final = tuple(policy for _, policy in dated)
        # The same document has another name where the rules of the code have changed. Either finds it.
        self._by_version = {each.version: policy for each, policy in dated}
        self._by_version |= {policy.version: policy for policy in self.policies}

    def at(self, received_us: int) -> Policy:
        """The policy that decides on an event received at a time: Unix microseconds."""
        return self.policies[max(0, bisect.bisect_right(self._starts, received_us) - 1)]

    def find(self, version: str) -> Policy | None:
        """The policy of a version; None where there was none."""
        return self._by_version.get(version)

    @property
    def last(self) -> Policy:
        """The policy that decides in the end."""
        return self.policies[-1]


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Dated).decode


def encode(dated: Dated) -> bytes:
    """One entry as bytes."""
    return _ENCODE(dated)


def decode(blob: bytes) -> Dated:
    """One entry from bytes."""
    return _DECODE(blob)
