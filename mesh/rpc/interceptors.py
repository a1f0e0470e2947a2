"""The interceptors around every RPC, outermost first.

Server
1. telemetry: its span also covers the other interceptors (only if spans are recorded).
2. durations: measures what the caller waits for, whatever the status.
3. errors: turns everything raised inside into a status; nothing outside it raises.
4. callers: refuses those whose certificate has no name that may call this RPC.
5. deadline: refuses before work begins. Both refusals are errors like any other.

Client
1. errors: outermost, because the others expect gRPC's own errors. Deadlines are set, and errors of streams decoded,
   before it (`mesh.rpc.peer`).
2. telemetry: its span covers the call including its retries.
"""

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, cast

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from mesh.errors import Damaged, InvalidArgument, MeshError, from_rpc_error, internal_status, to_status
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.observability.telemetry import Telemetry
from mesh.rpc import deadline
from mesh.rpc.callers import Callers, Permit
from mesh.rpc.context import ServerContext

_OWN_METHODS: Final = "/journeymesh."

_log = logging.getLogger(__name__)

HandlerCallDetails = grpc.HandlerCallDetails


def server_interceptors(telemetry: Telemetry, callers: Callers) -> list[grpc.aio.ServerInterceptor]:
    """The chain of a server, outermost first."""
    own: list[grpc.aio.ServerInterceptor] = [Durations(telemetry.metrics), Guard(callers)]
    if not telemetry.is_on:
        return own
    from mesh.observability import recording  # loaded already: it made this telemetry

    return [recording.server_interceptor(telemetry.provider), *own]


def client_interceptors(telemetry: Telemetry) -> list[grpc.aio.ClientInterceptor]:
    """The chain of a channel, outermost first."""
    if not telemetry.is_on:
        return [DecodedUnary()]
    from mesh.observability import recording  # as above

    return [DecodedUnary(), *recording.client_interceptors(telemetry.provider)]


class Durations(grpc.aio.ServerInterceptor):
    """Measures the RPCs of our own services, except for streams, which last as long as their caller wants."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]],
        handler_call_details: HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """Wraps the handler of the method; an unknown method has none."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        is_measured = handler is not None and handler.unary_unary and method.startswith(_OWN_METHODS)
        if handler is None or not is_measured:
            return cast("grpc.RpcMethodHandler[Any, Any]", handler)
        return grpc.unary_unary_rpc_method_handler(
            _measured(method.rpartition("/")[2], cast("Any", handler.unary_unary), self._metrics),
            handler.request_deserializer,
            handler.response_serializer,
        )


class Guard(grpc.aio.ServerInterceptor):
    """Turns errors into a status, and refuses calls of strangers and those without time left.

    It also decodes requests and encodes responses, so that a malformed request is refused like any other invalid one.
    """

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def intercept_service(
        self,
        continuation: Callable[[HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]],
        handler_call_details: HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """Wraps the handler of the method; an unknown method has none."""
        handler = cast("Any", await continuation(handler_call_details))
        if handler is None:
            return cast("grpc.RpcMethodHandler[Any, Any]", handler)
        method = str(handler_call_details.method)
        permit = self._callers.permit(method)
        read, write = _reader(handler.request_deserializer), handler.response_serializer
        if handler.request_streaming and handler.response_streaming:
            guarded = _guarded_stream(method, handler.stream_stream, _same, permit)
            return grpc.stream_stream_rpc_method_handler(guarded, read, write)
        if handler.request_streaming:
            guarded = _guarded(method, handler.stream_unary, _same, write or _same, permit)
            return grpc.stream_unary_rpc_method_handler(guarded, read)
        if not handler.response_streaming:
            guarded = _guarded(method, handler.unary_unary, read, write or _same, permit)
            return grpc.unary_unary_rpc_method_handler(guarded)
        if inspect.isasyncgenfunction(handler.unary_stream):
            guarded = _guarded_stream(method, handler.unary_stream, read, permit)
        else:  # a coroutine that writes to its context, as gRPC's own services do
            guarded = _guarded(method, handler.unary_stream, read, _same, permit)
        return grpc.unary_stream_rpc_method_handler(guarded, None, write)


def _reader(read: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """Decodes as `read` does, but raises `InvalidArgument` for a malformed message."""
    if read is None:
        return _same

    def reading(message: bytes) -> object:
        try:
            return read(message)
        except DecodeError:
            raise InvalidArgument("MALFORMED_MESSAGE", "The request is malformed.") from None

    return reading


def _same(value: Any) -> Any:  # noqa: ANN401 - whatever it is
    return value


def _measured(method: str, serve: Callable[[Any, ServerContext], Awaitable[Any]], metrics: Metrics) -> Any:  # noqa: ANN401 - grpc's own type
    async def measured(request: object, context: ServerContext) -> object:
        began = time.perf_counter()
        status = grpc.StatusCode.CANCELLED
        try:
            response = await serve(request, context)
            status = grpc.StatusCode.OK
        except grpc.aio.AbortError:
            status = context.code()
            raise
        else:
            return response
        finally:
            metrics.measure(registry.RPC_SECONDS, time.perf_counter() - began, method, status.name)

    return measured


def _guarded(
    method: str,
    serve: Callable[[Any, ServerContext], Awaitable[Any]],
    read: Callable[[bytes], Any],
    write: Callable[[Any], Any],
    permit: Permit,
) -> Any:  # noqa: ANN401 - grpc's own type
    async def guarded(request: bytes, context: ServerContext) -> object:
        try:
            permit(context)
            deadline.require(context.time_remaining())
            return write(await serve(read(request), context))
        except (Exception, asyncio.CancelledError) as error:
            await _report(method, error, context)
            raise

    return guarded


def _guarded_stream(
    method: str,
    serve: Callable[[Any, ServerContext], AsyncIterator[Any]],
    read: Callable[[Any], Any],
    permit: Permit,
) -> Any:  # noqa: ANN401 - grpc's own type
    async def guarded(request: object, context: ServerContext) -> AsyncIterator[Any]:
        try:
            permit(context)
            async for response in serve(read(request), context):
                yield response
        except (Exception, asyncio.CancelledError) as error:
            await _report(method, error, context)
            raise

    return guarded


async def _report(method: str, error: BaseException, context: ServerContext) -> None:
    if isinstance(error, (grpc.aio.AbortError, asyncio.CancelledError)):
        return
    if not isinstance(error, MeshError) or isinstance(error, Damaged):
        _log.error("%s failed", method, exc_info=error)
    status = rpc_status.to_status(to_status(error) if isinstance(error, MeshError) else internal_status())
    # Not `abort_with_status`: only `abort` is seen by the span.
    await context.abort(status.code, status.details, status.trailing_metadata)


class DecodedUnary(grpc.aio.UnaryUnaryClientInterceptor):
    """Raises the peer's errors."""

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,  # noqa: ANN401 - grpc's own type
    ) -> Any:  # noqa: ANN401 - grpc's own type
        """Makes the call."""
        try:
            call = await continuation(client_call_details, request)
            return await call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
