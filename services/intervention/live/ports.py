"""What telling and watching need from the outside."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Feed(Protocol):
    """Brings messages from all replicas to whoever follows a tenant now.

    It keeps nothing: who comes later has missed them.
    """

    async def publish(self, messages: Mapping[str, bytes]) -> None:
        """Sends each tenant's message to its followers. A message may be lost.

        Raises:
            Unavailable: the store cannot be reached.
        """

    def follow(self, tenant: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The messages of a tenant from now on, those of one publisher in their order. They never end.

        What was published a moment before MAY come too: a cluster passes messages on by itself.

        Raises:
            Unavailable: the store cannot be reached; also while messages are awaited.
        """
