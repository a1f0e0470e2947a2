"""The gateway as an ASGI application: finds the route, gives it a span, turns its errors into problems, counts."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Final

import grpc
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import cors, problems, web
from gateway.core import Core
from gateway.routes import ROUTES
from gateway.routing import Found, Route, Router, allowed
from gateway.web import Answer, ClientGone, Headers, Receive, Request, Scope, Send, Stream
from mesh.clock import Clock
from mesh.errors import InvalidArgument, MeshError, NotFound, from_rpc_error

_PATH_NOT_FOUND: Final = "unknown path"  # the route's name in metrics and spans
_CLIENT_SECONDS: Final = 30.0
_DISCARDED_BYTES: Final = 16 * 1024 * 1024
_DISCARDING_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)
_traceparent: Final = TraceContextTextMapPropagator()


class Application:
    """Serves the REST surface of one core."""

    def __init__(self, core: Core, clock: Clock) -> None:
        self._core = core
        self._clock = clock
        self._router = Router(ROUTES)
        self._origins = cors.origins(core.settings.cors_origins)
        self._tracer = core.telemetry.tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        with self._span(scope) as span:
            ids = span.get_span_context()
            request = Request(
                scope,
                receive,
                {},
                {},
                self._clock(),
                ids.trace_id.to_bytes(16, "big"),
                ids.span_id.to_bytes(8, "big"),
                self._core.intake,
                self._core.settings.body_seconds,
            )
            path, answer = await self._answer(request)
            status = answer.status if isinstance(answer, Answer) else 200
            if span.is_recording():
                span.update_name(f"{scope['method']} {path}")
                span.set_attributes({"http.route": path, "http.response.status_code": status})
            headers = (
                (b"x-trace-id", request.trace_id.hex().encode()),
                *cors.headers(scope, self._origins),
                *answer.headers,
            )
            with contextlib.suppress(OSError, TimeoutError, ClientGone):  # the client is gone or reads no more
                if isinstance(answer, Stream):
                    await _send_stream(answer, headers, request, send)
                else:
                    await _send(answer, headers, request, send)
        self._core.metrics.count_request(scope["method"], path, status, time.perf_counter() - began)

    async def _answer(self, request: Request) -> tuple[str, Answer | Stream]:
        """The path of the table and what it answers; every error is an answer."""
        path = _PATH_NOT_FOUND
        try:
            found = self._router.find(request.scope.get("raw_path") or request.scope["path"].encode())
            if found is None:
                raise NotFound("PATH_NOT_FOUND", "There is no such path; `/docs` lists those there are.")  # noqa: TRY301
            path = next(iter(found.routes.values())).path
            return path, await self._routed(found, request)
        except MeshError as error:
            return path, problems.answer(error, request.trace_id)
        except grpc.aio.AioRpcError as error:
            return path, problems.answer(from_rpc_error(error), request.trace_id)
        except ClientGone:
            return path, Answer(499, b"")
        except Exception:  # noqa: BLE001 - logged, and told without its words
            _log.exception("%s %s failed", request.scope["method"], path)
            return path, problems.internal(request.trace_id)

    async def _routed(self, found: Found, request: Request) -> Answer | Stream:
        route = _route(found, request.scope["method"])
        if route is None:
            methods = allowed(found.routes)
            if self._origins and cors.is_preflight(request.scope):
                return cors.preflight(methods)
            error = InvalidArgument("METHOD_NOT_ALLOWED", f"The path takes {', '.join(methods)}.")
            return problems.answer(error, request.trace_id, headers=((b"allow", ", ".join(methods).encode()),))
        request.parameters = found.parameters
        if request.scope["query_string"]:
            request.query = web.query(request.scope, [parameter.name for parameter in route.query])
        if route.is_always_served:
            return await route.serve(self._core, request)
        self._core.intake.enter()
        try:
            return await route.serve(self._core, request)
        finally:
            self._core.intake.leave(request.held_bytes)

    @contextlib.contextmanager
    def _span(self, scope: Scope) -> Iterator[trace.Span]:
        parent = None
        told = web.header(scope, b"traceparent")
        if told:
            parent = _traceparent.extract({"traceparent": told, "tracestate": web.header(scope, b"tracestate")})
        span = self._tracer.start_span(str(scope["method"]), context=parent, kind=trace.SpanKind.SERVER)
        with trace.use_span(span, end_on_exit=True) if self._core.telemetry.is_on else contextlib.nullcontext():
            yield span


def _route(found: Found, method: str) -> Route | None:
    return found.routes.get("GET" if method == "HEAD" else method)


async def _send(answer: Answer, headers: Headers, request: Request, send: Send) -> None:
    if answer.content_type:  # without a type there is no body, as with 204
        length = b"%d" % len(answer.body)
        headers = ((b"content-type", answer.content_type.encode()), (b"content-length", length), *headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if request.has_more and problems.CLOSING in answer.headers:
        # A client that is still sending hears nothing if the connection breaks under it.
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        with contextlib.suppress(ClientGone, TimeoutError):
            await asyncio.wait_for(request.discard(_DISCARDED_BYTES), _DISCARDING_SECONDS)
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": answer.body})


async def _send_stream(answer: Stream, headers: Headers, request: Request, send: Send) -> None:
    """Sends until the stream ends or the client leaves; a client that takes nothing for too long is left."""
    leaving = asyncio.ensure_future(_left(request.receive))
    sending = asyncio.ensure_future(_send_pieces(answer, headers, request.scope["method"], send))
    try:
        await asyncio.wait((leaving, sending), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        leaving.cancel()
        sending.cancel()
        await asyncio.gather(leaving, sending, return_exceptions=True)


async def _send_pieces(answer: Stream, headers: Headers, method: str, send: Send) -> None:
    async with contextlib.aclosing(answer.pieces) as pieces:
        head = ((b"content-type", answer.content_type.encode()), *headers)
        await send({"type": "http.response.start", "status": 200, "headers": head})
        async for piece in pieces:
            if method == "HEAD":
                break
            message = {"type": "http.response.body", "body": piece, "more_body": True}
            await asyncio.wait_for(send(message), _CLIENT_SECONDS)
    await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
