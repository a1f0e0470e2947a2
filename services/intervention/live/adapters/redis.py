"""A feed over Redis: published messages, of which nothing is stored."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from mesh.store import redis

_VERSION: Final = 1
"""Versions that could not read each other's messages do not hear each other."""
_WAIT_SECONDS: Final = 1.0


class RedisFeed:
    """See `services.intervention.live.ports.Feed`."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def publish(self, messages: Mapping[str, bytes]) -> None:
        """See `services.intervention.live.ports.Feed`."""
        with redis.translating_errors():
            pipeline = self._client.pipeline(transaction=False)
            for tenant, message in messages.items():
                pipeline.publish(_channel(tenant), message)
            await pipeline.execute()

    @contextlib.asynccontextmanager
    async def follow(self, tenant: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `services.intervention.live.ports.Feed`."""
        async with self._client.pubsub() as heard:
            with redis.translating_errors():
                await heard.subscribe(_channel(tenant))
                while await heard.get_message(timeout=_WAIT_SECONDS) is None:
                    pass
            yield _messages(heard)


async def _messages(heard: Any) -> AsyncIterator[bytes]:  # noqa: ANN401 - the library has no type for it
    with redis.translating_errors():
        while True:
            found = await heard.get_message(ignore_subscribe_messages=True, timeout=_WAIT_SECONDS)
            if found is not None:
                yield found["data"]


def _channel(tenant: str) -> str:
    return f"jm:intervention:live-{_VERSION}:{tenant}"
