"""A service that answers with its own name, for tests of what stands beneath all services."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from mesh.process.server import Register


class Echo:
    """Answers with its name: at once, once it is let go on, or as a stream without end."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def now(self, request: bytes, context: object) -> bytes:
        return self.name

    async def later(self, request: bytes, context: object) -> bytes:
        self.begun.set()
        await self.may_end.wait()
        return self.name

    async def stream(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        yield self.name
        await asyncio.Event().wait()

    async def gather(self, requests: AsyncIterator[bytes], context: object) -> bytes:
        return self.name + b"".join([request async for request in requests])

    async def converse(self, requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        async for request in requests:
            yield self.name + request

    def register(self) -> Register:
        handlers: dict[str, Any] = {
            "Now": grpc.unary_unary_rpc_method_handler(self.now),
            "Later": grpc.unary_unary_rpc_method_handler(self.later),
            "Stream": grpc.unary_stream_rpc_method_handler(self.stream),
            "Gather": grpc.stream_unary_rpc_method_handler(self.gather),
            "Converse": grpc.stream_stream_rpc_method_handler(self.converse),
        }
        return lambda to: to.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))


def now(channel: grpc.aio.Channel) -> Callable[..., Any]:
    """Asks at once."""
    method: Any = channel.unary_unary("/test.Echo/Now")
    return method  # type: ignore[no-any-return]


def later(channel: grpc.aio.Channel) -> Callable[..., Any]:
    """Asks for what takes its time."""
    method: Any = channel.unary_unary("/test.Echo/Later")
    return method  # type: ignore[no-any-return]


def stream(channel: grpc.aio.Channel) -> Callable[..., Any]:
    """Asks for the stream."""
    method: Any = channel.unary_stream("/test.Echo/Stream")
    return method  # type: ignore[no-any-return]
