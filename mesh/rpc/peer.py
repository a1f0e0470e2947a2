"""A channel to a peer for the life of the process, by one target or several.

gRPC's own channel never renews its certificate, and it resolves a failing name at intervals of up to two minutes. So a
way, which is a target and its channel, replaces the channel when the certificate was renewed, and while it reaches
nobody. A second way helps while a name server still lists replicas that are gone.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from typing import Any, Final, Self, cast

import grpc

from mesh.errors import Unreachable, from_rpc_error
from mesh.rpc.tls import Identity, Tls

# How often a new channel resolves the name; it has twice as long to connect.
_ASK_SECONDS: Final = 1.5
_TRIED_AT_ONCE: Final = 2
_LOOK_SECONDS: Final = 0.05
# Longer than any call takes; streams are begun again.
_LONGEST_CALL_SECONDS: Final = 30.0

Make = Callable[[Identity | None], grpc.aio.Channel]
"""Makes a channel to one target, with an identity if calls are encrypted."""
Method = Callable[..., Any]


class Way:
    """One target of a peer and its channel, which is replaced as needed. Running calls finish on the old channel."""

    def __init__(self, make: Make, tls: Tls | None) -> None:
        self._make = make
        self._tls = tls
        self._identity = self._newest_identity()
        self._channel = make(self._identity)
        self._mending: asyncio.Task[None] | None = None
        self._retiring: dict[grpc.aio.Channel, asyncio.Task[None]] = {}

    def is_failing(self) -> bool:
        """Whether it reaches nobody now; if so, new channels are tried in the background."""
        if self._channel.get_state() is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return False
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(self._mend())
        return True

    def method(self, kind: str, arguments: Any, options: Any) -> Callable[[], Method]:  # noqa: ANN401 - as in the library
        """Returns a function that gives a method of the peer on the current channel."""
        made_on, method = self._channel, getattr(self._channel, kind)(*arguments, **options)

        def current() -> Method:
            nonlocal made_on, method
            if (now := self._current()) is not made_on:
                made_on, method = now, getattr(now, kind)(*arguments, **options)
            return cast("Method", method)

        return current

    async def close(self) -> None:
        """Ends all calls."""
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait([self._mending])
        for channel, retiring in [*self._retiring.items()]:
            retiring.cancel()
            await channel.close()
        await self._channel.close()

    def _current(self) -> grpc.aio.Channel:
        identity = self._newest_identity()
        if identity is not self._identity:
            self._identity = identity
            self._replace(self._make(identity))
        return self._channel

    def _newest_identity(self) -> Identity | None:
        return None if self._tls is None else self._tls.identity()

    async def _mend(self) -> None:
        """Returns once the channel connects again, or a new one that did has replaced it."""
        tried: list[grpc.aio.Channel] = []
        try:
            while self._channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                tried.append(self._make(self._identity))
                connected = await _connected(tried)
                if connected is not None:
                    tried.remove(connected)
                    self._replace(connected)
                elif len(tried) == _TRIED_AT_ONCE:
                    await tried.pop(0).close()
        finally:
            for channel in tried:
                await channel.close()

    def _replace(self, fresh: grpc.aio.Channel) -> None:
        old, self._channel = self._channel, fresh
        self._retiring[old] = asyncio.create_task(self._retire(old))

    async def _retire(self, channel: grpc.aio.Channel) -> None:
        await asyncio.sleep(_LONGEST_CALL_SECONDS)
        await channel.close()
        del self._retiring[channel]


class Streaming:
    """A streaming call of the library that raises the peer's errors."""

    def __init__(self, call: Any) -> None:  # noqa: ANN401 - as in the library
        self._call = call

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as in the library
        return getattr(self._call, name)

    async def read(self) -> Any:  # noqa: ANN401 - as in the library
        """The next answer; `grpc.aio.EOF` after the last."""
        with _as_raised():
            return await self._call.read()

    async def __aiter__(self) -> AsyncIterator[Any]:
        with _as_raised():
            async for answer in self._call:
                yield answer

    def __await__(self) -> Generator[Any, None, Any]:
        with _as_raised():
            return (yield from self._call.__await__())


@contextlib.contextmanager
def _as_raised() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


class Peer:
    """What stubs need of a channel. If nobody answers by one way, the next is used."""

    def __init__(self, ways: Sequence[Way], timeout_seconds: float) -> None:
        self._ways = ways
        self._timeout_seconds = timeout_seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all calls."""
        for way in self._ways:
            await way.close()

    def unary_unary(self, *arguments: Any, **options: Any) -> Method:  # noqa: ANN401 - as in the library
        """A unary method; all ways together share the call's deadline."""
        methods = {way: way.method("unary_unary", arguments, options) for way in self._ways}

        async def call(request: Any, *, timeout: float | None = None, **details: Any) -> Any:  # noqa: ANN401, ASYNC109 - as in the library
            now = asyncio.get_running_loop().time
            ends = now() + (self._timeout_seconds if timeout is None else timeout)
            *others, last = self._in_order()
            for way in others:
                with contextlib.suppress(Unreachable):
                    return await methods[way]()(request, timeout=ends - now(), **details)
            return await methods[last]()(request, timeout=max(0.0, ends - now()), **details)

        return call

    def unary_stream(self, *arguments: Any, **options: Any) -> Method:  # noqa: ANN401 - as in the library
        """A method with a stream of answers; a call stays on the way it began with, and has no default deadline."""
        return self._streaming("unary_stream", arguments, options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Method:  # noqa: ANN401 - as in the library
        """The same with a stream of requests and one answer."""
        return self._streaming("stream_unary", arguments, options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Method:  # noqa: ANN401 - as in the library
        """The same with streams both ways."""
        return self._streaming("stream_stream", arguments, options)

    def _streaming(self, kind: str, arguments: Any, options: Any) -> Method:  # noqa: ANN401 - as in the library
        methods = {way: way.method(kind, arguments, options) for way in self._ways}

        def call(*request: Any, **details: Any) -> Streaming:  # noqa: ANN401 - as in the library
            return Streaming(methods[self._in_order()[0]]()(*request, **details))

        return call

    def _in_order(self) -> Sequence[Way]:
        """The ways, failing ones last."""
        return sorted(self._ways, key=Way.is_failing)


async def _connected(channels: Sequence[grpc.aio.Channel]) -> grpc.aio.Channel | None:
    """The first channel that is connected; None if none is in time."""
    for _ in range(round(_ASK_SECONDS / _LOOK_SECONDS)):
        for channel in channels:
            if channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
                return channel
        await asyncio.sleep(_LOOK_SECONDS)
    return None
