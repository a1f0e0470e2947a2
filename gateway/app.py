"""The gateway as an ASGI application: finds the route, opens a span, turns errors into problems, counts."""

import contextlib
import functools
import time
from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.access import audit, tenancy
from gateway.access.credentials import key_text
from gateway.access.permissions import AUDITED, NEEDS
from gateway.contract.route import SWITCHING, Route
from gateway.core import Core
from gateway.http import asgi, cors, parameters, problems
from gateway.http.asgi import Answer, ClientGone, Headers, Receive, Request, Scope, Send, Socket, Stream
from gateway.http.sending import is_large, send_answer, send_socket, send_stream
from gateway.http.slow_clients import ReadTimeout
from gateway.metrics import count_request
from gateway.routes.router import Found, Router, allowed
from gateway.routes.table import ROUTES
from mesh.clock import Clock
from mesh.errors import InvalidArgument, NotFound, ResourceExhausted
from mesh.observability import registry, semconv, telemetry

# Probed every few seconds; their traces would bury the others.
_PROBED: Final = frozenset(("/healthz", "/startupz", "/readyz", "/metrics"))
_PATH_NOT_FOUND: Final = "unknown path"  # the route's name in metrics and spans
_SECURE: Final = frozenset(("https", "wss"))

_traceparent: Final = TraceContextTextMapPropagator()


class Application:
    """Serves the REST surface of one core."""

    def __init__(self, core: Core, clock: Clock) -> None:
        self._core = core
        self._clock = clock
        self._router = Router(ROUTES)
        self._proxies = core.settings.proxies
        self._read_timeout = ReadTimeout(core.settings.body_seconds)
        self._tracer = core.telemetry.tracer
        self._untraced = telemetry.off().tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; a WebSocket handshake is a GET like any other."""
        if scope["type"] == "websocket":
            scope["method"] = "GET"
        if scope["type"] in {"http", "websocket"}:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        with self._span(str(scope["method"]), scope) as span:
            request = self._request(scope, receive, span)
            path, answer = await self._answer(request)
            status = _status(answer)
            if span.is_recording():
                span.update_name(f"{scope['method']} {path}")
                span.set_attributes({"http.route": path, "http.response.status_code": status})
            seconds = time.perf_counter() - began
            headers = (
                (b"x-trace-id", request.trace_id.hex().encode()),
                *self._usual_headers(scope),
                *self._core.rates.headers(request.caller.limits),
                *self._headers(answer),
            )
            try:
                with contextlib.suppress(OSError, TimeoutError, ClientGone):  # the client is gone or does not read
                    await self._send(answer, headers, request, send)
            finally:
                request.release()
        metrics = self._core.telemetry.metrics
        count_request(metrics, scope["method"], path, status)
        if isinstance(answer, Answer):
            metrics.measure(registry.REQUEST_SECONDS, seconds, path)

    async def _send(self, answer: Answer | Stream | Socket, headers: Headers, request: Request, send: Send) -> None:
        if isinstance(answer, Stream):
            await send_stream(answer, headers, request, send)
        elif isinstance(answer, Socket):
            await send_socket(answer, headers, request, send, functools.partial(self._respond, answer, request))
        else:
            await send_answer(answer, headers, request, send)

    def refusal(
        self, method: str, target: bytes, fields: Sequence[tuple[bytes, bytes]], first: Headers
    ) -> bytes | None:
        """The whole answer, with these headers first, to a request that is refused by its head alone; else None."""
        is_last = self._core.closing.is_set()
        return None if is_last else self._core.refusals.answer(method, target, fields, first)

    def _usual_headers(self, scope: Scope) -> Headers:
        """The headers of every answer to this client."""
        return (
            asgi.NOSNIFF,
            asgi.NO_REFERRER,
            *(asgi.HTTPS_ONLY if scope["scheme"] in _SECURE else ()),
            *cors.headers(scope, self._core.door.origins),
        )

    def _headers(self, answer: Answer | Stream | Socket) -> Headers:
        """The headers of an answer; once the process is ending, the answer closes its connection."""
        if isinstance(answer, Socket):
            return ()
        headers = answer.headers
        if not any(name == b"cache-control" for name, _ in headers):
            headers = (*headers, asgi.NO_STORE)
        is_last = self._core.closing.is_set() and problems.CONNECTION_CLOSE not in headers
        return (*headers, problems.CONNECTION_CLOSE) if is_last else headers

    async def _respond(self, socket: Socket, opened: Request, message: str | bytes) -> bytes:
        """The answer to a socket's message, which is a request with a trace of its own."""
        with self._span(semconv.SPAN_HEAR) as span:
            request = self._request(opened.scope, opened.receive, span)
            request.parameters = opened.parameters
            return await socket.respond(request, message)

    async def _answer(self, request: Request) -> tuple[str, Answer | Stream | Socket]:
        """The route's path and its answer; every error becomes an answer."""
        path = _PATH_NOT_FOUND
        try:
            found = self._router.find(request.scope.get("raw_path") or request.scope["path"].encode())
            if found is None:
                raise NotFound("PATH_NOT_FOUND", "There is no such path; `/docs` lists those there are.")  # noqa: TRY301
            path = next(iter(found.routes.values())).path
            return path, await self._routed(found, request)
        except ClientGone:
            return path, Answer(499, b"")
        except Exception as error:  # noqa: BLE001 - it is reported or logged
            known = problems.as_mesh_error(error, f"{request.scope['method']} {path}")
            return path, problems.answer(known, request.trace_id, is_inference=path.startswith(problems.INFERENCE))

    async def _routed(self, found: Found, request: Request) -> Answer | Stream | Socket:
        route = _route(found, request.scope["method"])
        if route is None:
            methods = allowed(found.routes)
            if self._core.door.origins and cors.is_preflight(request.scope):
                return cors.preflight(request.scope, methods)
            error = InvalidArgument("METHOD_NOT_ALLOWED", f"The path takes {', '.join(methods)}.")
            return problems.answer(error, request.trace_id, headers=((b"allow", ", ".join(methods).encode()),))
        if (route.status == SWITCHING) != (request.scope["type"] == "websocket"):
            only = "Only a WebSocket" if route.status == SWITCHING else "No WebSocket"
            raise InvalidArgument("INVALID_PARAMETER", f"{only} is served here; `/docs` tells which paths are one.")
        request.parameters = found.parameters
        if request.scope["query_string"] and not route.ignores_query:
            request.query = parameters.query(request.scope, [parameter.name for parameter in route.query])
        if not (route.may_have_key_in_body and self._core.door.is_key_required and not key_text(request.scope)):
            request.caller = self._core.door.admit(request, NEEDS[route.method, route.path])
        tenancy.require_route(request.caller, route.method, route.path)
        if NEEDS[route.method, route.path] is not None:
            self._admit(request, route)
        request.parameters = tenancy.owned(request.caller, request.parameters)
        request.query = tenancy.owned(request.caller, request.query)
        if self._core.door.is_key_required and (route.method, route.path) in AUDITED:
            await audit.record(self._core.peers.audit, request, f"{route.method} {route.path}")
        if route.is_always_served:
            return await route.serve(self._core, request)
        request.tenant = request.caller.tenant
        self._core.admission.enter(request.address, request.tenant)
        try:
            answer = await route.serve(self._core, request)
        finally:
            self._core.admission.leave(request.address, request.tenant)
        # The result of a change is answered even beyond the limit.
        if request.scope["method"] == "GET" and isinstance(answer, Answer) and is_large(answer):
            request.hold(len(answer.body))
        return answer

    def _admit(self, request: Request, route: Route) -> None:
        """Admits a request by the caller's limits; a refusal is remembered for those that follow."""
        try:
            request.admit()
        except ResourceExhausted as error:
            scope, method = request.scope, request.scope["method"]
            if scope["type"] == "http" and method != "HEAD":
                query = scope["query_string"]
                target = scope["raw_path"] + (b"?" + query if query else b"")
                headers = (*self._usual_headers(scope), asgi.NO_STORE)
                count = functools.partial(
                    count_request, self._core.telemetry.metrics, method, route.path, problems.status(error)
                )
                self._core.refusals.note(method, target, scope["headers"], request.caller.limits, headers, count)
            raise

    def _request(self, scope: Scope, receive: Receive, span: trace.Span) -> Request:
        ids = span.get_span_context()
        span_id = ids.span_id.to_bytes(8, "big") if ids.trace_flags.sampled else b""
        return Request(
            scope,
            receive,
            {},
            {},
            self._clock(),
            ids.trace_id.to_bytes(16, "big"),
            span_id,
            self._proxies.address(scope),
            self._core.admission,
            self._core.rates,
            self._read_timeout,
            has_more=scope["type"] == "http",
        )

    def _span(self, name: str, scope: Scope | None = None) -> contextlib.AbstractContextManager[trace.Span]:
        """A span in the client's trace if the scope names one, else in a new trace."""
        parent = Context()
        traceparent = asgi.header(scope, b"traceparent") if scope else ""
        if scope and traceparent:
            parent = _traceparent.extract({"traceparent": traceparent, "tracestate": asgi.header(scope, b"tracestate")})
        tracer = self._untraced if scope and scope["path"] in _PROBED else self._tracer
        span = tracer.start_span(name, context=parent, kind=trace.SpanKind.SERVER)
        return trace.use_span(span, end_on_exit=True)


def _route(found: Found, method: str) -> Route | None:
    return found.routes.get("GET" if method == "HEAD" else method)


def _status(answer: Answer | Stream | Socket) -> int:
    if isinstance(answer, Answer):
        return answer.status
    return 200 if isinstance(answer, Stream) else SWITCHING
