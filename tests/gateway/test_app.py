"""What holds for every route: problems, methods, traces, counts, other origins, health."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from grpc_health.v1 import health_pb2
from journeymesh.common.v1 import error_reason_pb2
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from gateway.contract.route import SWITCHING, Route
from gateway.http import problems
from gateway.routes.table import ROUTES
from gateway.settings import Settings
from mesh import errors
from mesh.observability import registry, telemetry
from tests.gateway.running import Gateway, listening, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
EVENT = {"eventId": "e", "userId": "ada", "eventType": "page_view", "properties": {"page": "/"}}


def filled(route: Route) -> str:
    """A path of the route."""
    return route.path.replace("{", "").replace("}", "")


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The problem in an answer, checked for the members every problem has."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"/docs#{problem['reason']}"
    assert problem["title"]
    assert problem["detail"].endswith(".")
    assert problem["traceId"] == answer.headers["x-trace-id"]
    assert len(bytes.fromhex(problem["traceId"])) == 16
    assert int(problem["traceId"], 16) != 0
    return problem


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/event/1", "/api/users//risk", "/api/users/a/b/risk", "/DOCS", "/docs//", "/api/lift/"]
)
async def test_an_unknown_path_is_a_problem(gateway: Gateway, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        assert problem(await gateway.client.request(method, path))["reason"] == "PATH_NOT_FOUND"
    assert (await gateway.client.head(path)).status_code == 404


@pytest.mark.parametrize("path", sorted({filled(route) for route in ROUTES}))
async def test_another_method_is_a_problem_that_names_the_right_ones(gateway: Gateway, path: str) -> None:
    methods = {route.method for route in ROUTES if filled(route) == path}
    expected = sorted(methods | {"HEAD"}) if "GET" in methods else sorted(methods)
    for method in {"DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "BREW"} - methods:
        answer = await gateway.client.request(method, path)
        assert answer.status_code == 405
        assert problem(answer)["reason"] == "METHOD_NOT_ALLOWED"
        assert answer.headers["allow"] == ", ".join(expected)


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json", "/metrics", "/api/users/ada/risk"])
async def test_head_is_get_without_the_body(path: str) -> None:
    async with listening() as (_, url), httpx.AsyncClient() as client:
        head, get = await client.head(url + path), await client.get(url + path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


async def test_an_internal_error_never_shows_its_text(gateway: Gateway) -> None:
    behind = await gateway.client.get("/api/users/broken/risk")
    assert problem(behind)["reason"] == "INTERNAL"
    assert behind.status_code == 500
    assert "hunter2" not in behind.text
    object.__setattr__(gateway.core.peers, "scoring", None)
    here = await gateway.client.get("/api/users/ada/risk")
    assert problem(here) | {"traceId": ""} == problem(behind) | {"traceId": ""}


KINDS = [
    (errors.InvalidArgument, 400),
    (errors.NotFound, 404),
    (errors.AlreadyExists, 409),
    (errors.FailedPrecondition, 409),
    (errors.ResourceExhausted, 429),
    (errors.Unavailable, 503),
    (errors.DeadlineExceeded, 504),
    (errors.Internal, 500),
]


@pytest.mark.parametrize(("kind", "status"), KINDS)
def test_each_kind_of_error_has_its_status(kind: type[errors.MeshError], status: int) -> None:
    answer = problems.answer(kind("SOME_REASON", "Said."), bytes(16))
    assert answer.status == status
    assert (b"retry-after" in dict(answer.headers)) == (status in {429, 503})


def test_every_reason_a_client_can_see_is_explained() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118 - a wrapper
    assert set(problems.REASONS) == names - {
        "UNSPECIFIED",
        "POSITION_STALE",
        "LEASE_LOST",
        "MALFORMED_MESSAGE",
        "KEY_NOT_FOUND",
        "CALLER_NOT_PERMITTED",
        "KEY_ENDED",
        "KEY_EXISTS",
        "EXPORT_TOO_LARGE",
        "TOO_MANY_KEYS",
        "TENANT_EXISTS",
        "TOO_MANY_TENANTS",
    }


async def test_a_request_without_a_trace_gets_one(gateway: Gateway) -> None:
    first, second = await gateway.track(EVENT), await gateway.track(EVENT)
    assert first.json()["traceId"] != second.json()["traceId"]
    (one, two) = gateway.services.ingest.events
    assert [one.trace_id.hex(), two.trace_id.hex()] == [first.json()["traceId"], second.json()["traceId"]]
    assert one.span_id == b""  # nothing is recorded


@pytest.mark.parametrize("is_on", [False, True])
async def test_a_trace_goes_on(is_on: bool) -> None:  # noqa: FBT001 - a parameter of the test
    exporter = InMemorySpanExporter()
    traced = telemetry.exporting("gateway", exporter) if is_on else telemetry.off()
    async with running(traced) as gateway:
        given = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        answer = await gateway.client.post("/api/events/track", json=EVENT, headers=given)
        assert answer.json()["traceId"] == TRACE
        (event,) = gateway.services.ingest.events
        assert event.trace_id.hex() == TRACE
        await gateway.client.get("/api/users/ada/risk", headers=given)
    traced.provider.force_flush()
    spans = exporter.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == ({TRACE} if is_on else set())
    if is_on:
        names = {span.name for span in spans}
        assert {"POST /api/events/track", "coalesce events", "GET /api/users/{userId}/risk"} <= names
        served = next(span for span in spans if span.name == "POST /api/events/track")
        assert served.context is not None
        assert served.context.span_id.to_bytes(8, "big") == event.span_id
        assert served.attributes is not None
        assert served.attributes["http.response.status_code"] == 202
    traced.close()


@pytest.mark.parametrize("traceparent", ["", "garbage", f"00-{'0' * 32}-b7ad6b7169203331-01", "00-é-1-01"])
async def test_an_invalid_trace_is_replaced(gateway: Gateway, traceparent: str) -> None:
    headers = [(b"traceparent", traceparent.encode()), (b"content-type", b"application/json")]
    answer = await gateway.client.post("/api/events/track", content=json.dumps(EVENT), headers=headers)
    assert answer.status_code == 202
    assert int(answer.json()["traceId"], 16) != 0


async def test_counts_are_reported_by_route_status_and_verdict(gateway: Gateway) -> None:
    await gateway.track(EVENT, EVENT | {"eventId": "f"}, EVENT | {"eventId": "g", "usrId": 1})
    await gateway.track(EVENT)
    await gateway.client.get("/api/users/nobody/risk")
    await gateway.client.get("/no/such/path")
    counts = await counted(gateway)
    for verdict, count in (("accepted", 2), ("duplicate", 1), ("rejected", 1)):
        assert counts["journeymesh_events_total", verdict] == count
    assert counts["journeymesh_http_requests_total", "POST", "/api/events/track", "202"] == 2
    assert counts["journeymesh_http_requests_total", "GET", "/api/users/{userId}/risk", "404"] == 1
    assert counts["journeymesh_http_requests_total", "GET", "unknown path", "404"] == 1
    assert counts["journeymesh_http_request_duration_seconds_bucket", "/api/events/track", "+Inf"] == 2
    assert counts["journeymesh_http_request_duration_seconds_count", "/api/events/track"] == 2
    assert not [labels for labels in counts if "nobody" in "".join(labels)]


async def test_methods_nobody_knows_are_counted_as_one(gateway: Gateway) -> None:
    for number in range(3):
        await gateway.client.request(f"M{number}", "/healthz")
    counts = await counted(gateway)
    assert counts["journeymesh_http_requests_total", "_OTHER", "/healthz", "405"] == 3


async def counted(gateway: Gateway) -> dict[tuple[str, ...], float]:
    """The counts of `/metrics` by name and labels (method, route, status or verdict)."""
    text = (await gateway.client.get("/metrics")).text
    order = (*registry.REQUESTS.labels, *registry.EVENTS.labels, "le")
    return {
        (sample.name, *(sample.labels[label] for label in order if label in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("setting", ["https://shop.example, https://b.example/", "*"])
async def test_pages_of_allowed_origins_may_call(setting: str) -> None:
    async with running(cors_origins=setting) as gateway:
        origin = {"origin": "https://shop.example"}
        asked = origin | {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        before = await gateway.client.options("/api/events/track", headers=asked)
        assert (before.status_code, before.content) == (204, b"")
        assert before.headers["access-control-allow-origin"] == "https://shop.example"
        assert "POST" in before.headers["access-control-allow-methods"]
        assert "content-type" in before.headers["access-control-allow-headers"]
        answer = await gateway.client.post("/api/events/track", json=EVENT, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert answer.headers["vary"] == "origin"
        missing = await gateway.client.get("/api/videos/none", headers=origin)
        assert missing.headers["access-control-allow-origin"] == "https://shop.example"


@pytest.mark.parametrize(("setting", "origin"), [("https://shop.example", "https://evil.example"), ("", "https://a.b")])
async def test_pages_of_other_origins_get_no_cors_headers(setting: str, origin: str) -> None:
    async with running(cors_origins=setting) as gateway:
        asked = {"origin": origin, "access-control-request-method": "POST"}
        for answer in (
            await gateway.client.options("/api/events/track", headers=asked),
            await gateway.client.post("/api/events/track", json=EVENT, headers={"origin": origin}),
        ):
            assert "access-control-allow-origin" not in answer.headers


async def test_readiness_names_the_services_that_do_not_serve() -> None:
    async with running() as gateway:
        assert (await gateway.client.get("/healthz")).json() == {"status": "alive"}
        ready = await gateway.client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        stubs: Any = gateway.core.peers.health
        stubs["scoring"] = Silent()
        lost = await gateway.client.get("/readyz")
        assert problem(lost)["services"] == ["scoring"]
        assert lost.status_code == 503
        assert "scoring" in lost.json()["detail"]
        assert (await gateway.client.get("/healthz")).status_code == 200


class Silent:
    """A service that says it does not serve."""

    async def Check(self, request: object, timeout: float) -> Any:  # noqa: ASYNC109 - the stub's
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)


BEHIND = ("access", "audit", "people", "ingest", "features", "scoring", "video", "intervention")


async def test_services_that_cannot_be_reached_are_a_problem() -> None:
    async with running() as gateway:
        answers: list[httpx.Response] = []
        closed = Closed()
        for name in (
            *BEHIND,
            "erasure",
            "export",
            "retention",
            "models",
            "analytics",
            "segments",
            "customers",
            "predictions",
            "customer_segments",
            "experiments",
            "insights",
            "jobs",
        ):
            object.__setattr__(gateway.core.peers, name, closed)
        for route in ROUTES:
            if "DEPENDENCY_UNAVAILABLE" in route.reasons and route.path.startswith("/api") and route.method == "GET":
                query = "?userId=a" if route.path == "/api/decisions" else ""
                if route.status != SWITCHING:
                    answers.append(await gateway.client.get(filled(route) + query))
        assert len(answers) == 56
        assert {problem(answer)["reason"] for answer in answers} == {"DEPENDENCY_UNAVAILABLE"}


class Closed:
    """A service whose every call fails."""

    def __getattr__(self, name: str) -> Any:
        async def fail(_request: object, **_options: object) -> None:
            raise errors.Unavailable("DEPENDENCY_UNAVAILABLE", "A service cannot be reached.")

        def watch(_request: object, **_options: object) -> Any:
            return self

        return watch if name.startswith(("Watch", "Read")) else fail

    async def __aiter__(self) -> AsyncIterator[Any]:
        """All messages of a stream."""
        await self.read()
        yield

    def cancel(self) -> None:
        """Leaves a stream."""

    async def read(self) -> None:
        """The first message of a stream."""
        raise errors.Unavailable("DEPENDENCY_UNAVAILABLE", "A service cannot be reached.")


async def test_the_page_lists_every_route_and_needs_nothing_from_outside(gateway: Gateway) -> None:
    answer = await gateway.client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for route in ROUTES:
        assert f"</b> {route.path}</h3>" in answer.text
    for reason in problems.REASONS:
        assert f"id='{reason}'" in answer.text
    assert "<script" not in answer.text
    assert "src=" not in answer.text


def test_defaults_are_those_of_the_product() -> None:
    settings = Settings()
    assert settings.address == "127.0.0.1:8080"
    targets = (settings.ingest, settings.features, settings.scoring, settings.video, settings.intervention)
    assert targets == tuple(f"127.0.0.1:{port}" for port in range(7101, 7106))


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as (gateway, url):
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = b"POST /api/events/track HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        writer.write(head + b"content-length: 99\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with httpx.AsyncClient() as client:
            assert (await client.post(url + "/api/events/track", json=EVENT)).status_code == 202
        assert len(gateway.services.ingest.events) == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
