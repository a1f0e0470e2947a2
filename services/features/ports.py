"""What the use cases need from outside."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from mesh.applied import Fence


class UserStore(Protocol):
    """Keeps what is known of users, as bytes by key. `mesh.states` has the adapters and their conformance suite.

    A user has one key for the state and five for older events; which ones is the use cases' business.
    """

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values in the order of the keys, as of one moment; None where nothing is known.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def save(self, items: Mapping[str, bytes], fence: Fence) -> None:
        """Writes all items or none.

        Raises:
            Unavailable: the items may or may not be written. Repeating the batch is safe: it writes the same bytes.
        """
