"""Errors, deadlines and traces over a real server and a real channel."""

from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh import errors
from mesh.observability import telemetry
from mesh.process import server
from mesh.process.server import Register
from mesh.rpc import channel as channels
from tests.serving import serving


def answering(error: BaseException) -> Register:
    """A service `test.Echo` with one unary and one streaming method that raise."""

    async def unary(request: bytes, context: object) -> bytes:
        raise error

    async def stream(request: bytes, context: object) -> AsyncIterator[bytes]:
        yield b"first"
        raise error

    def register(to: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Stream": grpc.unary_stream_rpc_method_handler(stream),
        }
        to.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))

    return register


def unary(channel: grpc.aio.Channel) -> Any:
    return channel.unary_unary("/test.Echo/Unary")


KINDS = [
    errors.InvalidArgument,
    errors.NotFound,
    errors.AlreadyExists,
    errors.FailedPrecondition,
    errors.ResourceExhausted,
    errors.DeadlineExceeded,
]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_mesh_error_comes_back_as_the_same_type(kind: type[errors.MeshError]) -> None:
    async with serving(answering(kind("SOME_REASON", "In a sentence.", 1.5))) as channel:
        with pytest.raises(kind) as caught:
            await unary(channel)(b"")
    assert (caught.value.reason, caught.value.detail) == ("SOME_REASON", "In a sentence.")
    assert caught.value.retry_after_seconds == 1.5


async def test_any_other_exception_never_shows_its_words() -> None:
    async with serving(answering(ValueError("password=hunter2"))) as channel:
        with pytest.raises(errors.Internal) as caught:
            await unary(channel)(b"")
    assert "hunter2" not in str(caught.value)
    assert caught.value.reason == "INTERNAL"


@pytest.mark.parametrize("path", ["/test.Echo/New", "/test.New/Unary"])
async def test_what_a_peer_of_an_older_version_does_not_have_is_unavailable(path: str) -> None:
    async with serving(answering(AssertionError("was called"))) as channel:
        call: Any = channel.unary_unary(path)
        with pytest.raises(errors.Unavailable, match="another version") as caught:
            await call(b"")
    assert caught.value.reason == "VERSION_MISMATCH"


async def test_a_stream_ends_with_the_error_too() -> None:
    async with serving(answering(errors.NotFound("USER_NOT_FOUND", "Nobody."))) as channel:
        received = []
        with pytest.raises(errors.NotFound) as caught:
            async for piece in cast("Any", channel.unary_stream("/test.Echo/Stream"))(b""):
                received.append(piece)  # noqa: PERF401 - the loop must be left by its error
    assert received == [b"first"]
    assert caught.value.reason == "USER_NOT_FOUND"


async def test_a_call_with_no_time_left_is_refused_before_it_begins() -> None:
    async with serving(answering(AssertionError("was begun"))) as channel:
        with pytest.raises(errors.DeadlineExceeded):
            await unary(channel)(b"", timeout=0.001)


async def test_an_unreachable_peer_is_unavailable() -> None:
    async with channels.dial("127.0.0.1:1", telemetry.off(), timeout_seconds=0.5) as dialled:
        with pytest.raises((errors.Unavailable, errors.DeadlineExceeded)):
            await unary(dialled)(b"")


async def test_health_follows_the_dependency() -> None:
    async def lost() -> None:
        raise errors.Unavailable("DEPENDENCY_UNAVAILABLE", "Gone.")

    off = telemetry.off()
    for checks, expected in (({}, "SERVING"), ({"state": lost}, "NOT_SERVING")):
        async with (
            server.serving("127.0.0.1:0", [], ["test.Echo"], checks, off) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            stub = health_pb2_grpc.HealthStub(channel)
            async for answer in stub.Watch(health_pb2.HealthCheckRequest(service="test.Echo")):
                status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
                if status != "SERVICE_UNKNOWN":
                    break
            assert status == expected


async def test_client_and_server_spans_are_of_one_trace() -> None:
    exporter = InMemorySpanExporter()
    observed = telemetry.exporting("test", exporter)
    async with serving(answering(errors.NotFound("X", "x")), observed_by=observed) as channel:
        with pytest.raises(errors.NotFound):
            await unary(channel)(b"")
    observed.provider.force_flush()
    client, served = sorted(exporter.get_finished_spans(), key=lambda span: span.kind.name)
    assert (client.kind.name, served.kind.name) == ("CLIENT", "SERVER")
    assert served.parent is not None
    assert client.context is not None
    assert served.parent.span_id == client.context.span_id
