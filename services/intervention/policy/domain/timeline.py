"""Which policy decides when: a version decides on events received from its start on, until the next one's.

So the policy that decided the first time also decides on a repeated batch and on a replay.
"""

import bisect
from collections.abc import Sequence
from typing import Final

import msgspec

from records.tenants import DEFAULT
from services.intervention.policy.domain.policy import Policy


class DatedPolicy(msgspec.Struct, frozen=True, array_like=True):
    """A policy's document, in YAML as it was written, with its version and its start: Unix microseconds.

    `canonical` is the document as JSON, with all defaults of the build that put it in force; 0.1.0 left it out.
    A tenant's own policy names the tenant; without version and document, that of the mesh decides for it again.
    """

    start_us: int
    version: str
    document: str
    canonical: str = ""
    tenant: str = DEFAULT


class Timeline:
    """Policies by their start, oldest first; never empty. The first one also decides on earlier events.

    A policy that only a newer build can read is None.
    """

    def __init__(self, dated: Sequence[tuple[DatedPolicy, Policy | None]]) -> None:
        self.dated: Final = tuple(each for each, _ in dated)
        self._starts = [each.start_us for each in self.dated]
        self._policies = tuple(policy for _, policy in dated)
        self.policies: Final = tuple(policy for policy in self._policies if policy is not None)
        self._by_version = {each.version: policy for each, policy in dated}

    def at(self, received_us: int) -> Policy | None:
        """The policy that decides on an event received at a time: Unix microseconds."""
        return self._policies[self._index(received_us)]

    def version_at(self, received_us: int) -> str:
        """The version of that policy."""
        return self.dated[self._index(received_us)].version

    def is_in_force(self, received_us: int) -> bool:
        """Whether any of its policies had started by a time and was not taken back: Unix microseconds."""
        return received_us >= self._starts[0] and self.version_at(received_us) != ""

    def find(self, version: str) -> Policy | None:
        """The policy of a version; None where there was none, or it cannot be read."""
        return self._by_version.get(version)

    def _index(self, received_us: int) -> int:
        return max(0, bisect.bisect_right(self._starts, received_us) - 1)


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(DatedPolicy).decode


def encode(dated: DatedPolicy) -> bytes:
    """One entry as bytes."""
    return _ENCODE(dated)


def decode(blob: bytes) -> DatedPolicy:
    """One entry from bytes."""
    return _DECODE(blob)
