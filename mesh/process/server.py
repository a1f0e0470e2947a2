"""Serves gRPC with health, reflection, interceptors and drain; a service supplies only its servicers."""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, cast

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mesh.errors import Unavailable
from mesh.observability.telemetry import Telemetry
from mesh.process.certificate import report_expiry
from mesh.process.draining import own_door, refusing_queued
from mesh.process.health import Check
from mesh.process.lifecycle import in_background, spare_collections, stop_signal
from mesh.process.site import Site
from mesh.retry import ExitForNow
from mesh.rpc.callers import ANYBODY
from mesh.rpc.channel import KEEPALIVE_SECONDS, MAX_MESSAGE_BYTES
from mesh.rpc.context import ServerContext
from mesh.rpc.interceptors import HandlerCallDetails, server_interceptors

Register = Callable[[grpc.aio.Server], None]
"""Adds a servicer to a server."""


_DRAIN_SECONDS: Final = 20.0
# How long calls may go on when their connection is too old: longer than any of them takes.
_AGE_GRACE_SECONDS: Final = 30
# Further calls are refused at once as RESOURCE_EXHAUSTED; open streams of interventions count too.
_CONCURRENT_CALLS: Final = 4096

_METADATA_BYTES: Final = 16 * 1024

_log = logging.getLogger(__name__)


async def serve(
    listen: str,
    registers: Sequence[Register],
    names: Sequence[str],
    checks: Mapping[str, Check],
    telemetry: Telemetry,
    site: Site,
) -> None:
    """Serves until the process gets a signal to end; then reports it not ready at once and lets running calls finish.

    Args:
        listen: host and port.
        registers: what to serve.
        names: full names of the services, for health and reflection.
        checks: the dependencies that must answer for the process to be ready.
        telemetry: the process's telemetry.
        site: TLS, health and the like.
    """
    stop = stop_signal()
    spare_collections()
    expiry = in_background(report_expiry(site.tls, telemetry.metrics))
    async with expiry, serving(listen, registers, names, checks, telemetry, site) as port:
        _log.info("listening on port %d", port)
        await stop.wait()
        _log.info("draining")


@contextlib.asynccontextmanager
async def serving(
    listen: str,
    registers: Sequence[Register],
    names: Sequence[str],
    checks: Mapping[str, Check],
    telemetry: Telemetry,
    site: Site | None = None,
) -> AsyncIterator[int]:
    """Runs a server within the block and yields its port; 0 takes a free one. Ends the process if the port is taken."""
    site = site or Site()
    await site.health.begin()
    streams = EndingStreams()
    server = grpc.aio.server(
        interceptors=[*server_interceptors(telemetry, site.tls.callers if site.tls else ANYBODY), streams],
        maximum_concurrent_rpcs=_CONCURRENT_CALLS,
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_metadata_size", _METADATA_BYTES),
            ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
            ("grpc.so_reuseport", 0),
            ("grpc.max_connection_age_ms", round(site.connection_age_seconds * 1000)),
            ("grpc.max_connection_age_grace_ms", _AGE_GRACE_SECONDS * 1000),
            # Callers ping every `KEEPALIVE_SECONDS`; twice that is tolerated.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", KEEPALIVE_SECONDS * 500),
        ],
    )
    for register in registers:
        register(server)
    health_pb2_grpc.add_HealthServicer_to_server(site.health.servicer, server)
    if site.is_reflecting:
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    try:
        if site.tls is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, site.tls.server_credentials())
    except RuntimeError:
        sentence = f"journeymesh: {listen} is taken by another process; end it or choose another address."
        raise ExitForNow(sentence) from None
    with own_door(server) as door:
        await server.start()
        try:
            async with site.health.watched(names, checks, telemetry.metrics):
                yield port
        finally:
            async with refusing_queued(door):
                stopping = asyncio.create_task(server.stop(_DRAIN_SECONDS))  # from here on callers use other replicas
                streams.end()
            await stopping


class EndingStreams(grpc.aio.ServerInterceptor):
    """Ends streams of answers when the server drains; their clients continue with another replica.

    They are endless, so the drain would wait for them in vain.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._is_over = False

    def end(self) -> None:
        """Ends all open streams, and any later one at once."""
        self._is_over = True
        for task in self._running:
            task.cancel()

    async def intercept_service(
        self,
        continuation: Callable[[HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]],
        handler_call_details: HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """Wraps a method that answers with a stream."""
        handler = await continuation(handler_call_details)
        if handler is None or not inspect.isasyncgenfunction(handler.unary_stream):
            return cast("grpc.RpcMethodHandler[Any, Any]", handler)
        return grpc.unary_stream_rpc_method_handler(
            self._ending(cast("Any", handler.unary_stream)), handler.request_deserializer, handler.response_serializer
        )

    def _ending(self, serve: Callable[[Any, ServerContext], AsyncIterator[Any]]) -> Any:  # noqa: ANN401 - grpc's own type
        async def ending(request: object, context: ServerContext) -> AsyncIterator[Any]:
            if self._is_over:
                raise _ended()
            running = cast("asyncio.Task[Any]", asyncio.current_task())
            self._running.add(running)
            try:
                async for response in serve(request, context):
                    yield response
            except asyncio.CancelledError:
                if self._is_over:
                    raise _ended() from None
                raise
            finally:
                self._running.discard(running)

        return ending


def _ended() -> Unavailable:
    return Unavailable("DEPENDENCY_UNAVAILABLE", "The service is shutting down; ask again.")
