"""What the face of a service answers to what is no call of the mesh: `mesh.rpc.interceptors`, `mesh.process.server`."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mesh import errors
from mesh.observability import telemetry
from mesh.process.server import Register, serving
from mesh.process.site import ServerSettings, Site, open_site
from mesh.rpc.tls import TlsSettings
from tests.conftest import free_port

OFF = telemetry.off()
WORDS = "of the inside"


def service() -> Register:
    """A service `test.Echo` whose methods take and give structs."""

    async def unary(request: struct_pb2.Struct, context: object) -> struct_pb2.Struct:
        return request

    async def stream(request: struct_pb2.Struct, context: object) -> AsyncIterator[struct_pb2.Struct]:
        yield request

    async def writes(request: struct_pb2.Struct, context: Any) -> None:
        await context.write(request)
        raise ValueError(WORDS)

    async def nothing(request: struct_pb2.Struct, context: object) -> Any:
        return WORDS

    read, write = struct_pb2.Struct.FromString, struct_pb2.Struct.SerializeToString

    def broken(message: bytes) -> struct_pb2.Struct:
        raise LookupError(WORDS)

    def register(to: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {
            "Unary": grpc.unary_unary_rpc_method_handler(unary, read, write),
            "Stream": grpc.unary_stream_rpc_method_handler(stream, read, write),
            "Writes": grpc.unary_stream_rpc_method_handler(writes, read, write),
            "Unreadable": grpc.unary_unary_rpc_method_handler(unary, broken, write),
            "Unwritable": grpc.unary_unary_rpc_method_handler(nothing, read, write),
        }
        to.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))

    return register


@contextlib.asynccontextmanager
async def face(site: Site | None = None) -> AsyncIterator[grpc.aio.Channel]:
    """Calls in plain gRPC, as anybody makes them."""
    async with (
        serving("127.0.0.1:0", [service()], ["test.Echo"], {}, OFF, site) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


async def refusal(call: Any) -> errors.MeshError:
    """The error of a refused call; nothing in it reveals how the service is made."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        if isinstance(call, grpc.aio.UnaryStreamCall):
            _ = [answer async for answer in call]
        else:
            await call
    shown = f"{caught.value.details()} {caught.value.trailing_metadata()}"
    assert WORDS not in shown
    assert "Error" not in str(caught.value.details())
    return errors.from_rpc_error(caught.value)


def deep(levels: int) -> bytes:
    """A struct in a struct in a struct."""
    message = b""
    for _ in range(levels):
        for number in (5, 2, 1):
            message = bytes([number << 3 | 2]) + _varint(len(message)) + message
    return message


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


MALFORMED = {
    "a field that ends too early": b"\x0a\xff",
    "a tag of no field": b"\x00",
    "text that is no UTF-8": b"\x0a\x05\x0a\x01\xff\x12\x00",
    "a varint without end": b"\xff" * 20,
    "nested too deep": deep(200),
}


@pytest.mark.parametrize("method", ["Unary", "Stream", "Writes"])
@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_message_is_the_callers_fault(method: str, message: bytes) -> None:
    async with face() as channel:
        kind = channel.unary_unary if method == "Unary" else channel.unary_stream
        call: Any = kind(f"/test.Echo/{method}")
        error = await refusal(call(message))
    assert (type(error), error.reason) == (errors.InvalidArgument, "MALFORMED_MESSAGE")


async def test_a_malformed_question_after_health_is_too() -> None:
    async with face() as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        error = await refusal(check(b"\x0a\xff"))
        assert (type(error), error.reason) == (errors.InvalidArgument, "MALFORMED_MESSAGE")
        answer = health_pb2.HealthCheckResponse.FromString(await check(b""))
        assert answer.status in {health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING}


@pytest.mark.parametrize("method", ["Unreadable", "Unwritable", "Writes"])
async def test_a_fault_outside_the_handler_shows_neither_its_name_nor_its_words(method: str) -> None:
    async with face() as channel:
        kind = channel.unary_stream if method == "Writes" else channel.unary_unary
        call: Any = kind(f"/test.Echo/{method}")
        error = await refusal(call(b""))
    assert (type(error), error.reason, error.detail) == (errors.Internal, "INTERNAL", errors.INTERNAL_TEXT)


async def test_where_probes_are_answered_the_same_holds() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with open_site(ServerSettings(address), TlsSettings()), grpc.aio.insecure_channel(address) as channel:
        for name, kind in (("Check", channel.unary_unary), ("Watch", channel.unary_stream)):
            method: Any = kind(f"/grpc.health.v1.Health/{name}")
            error = await refusal(method(b"\x0a\xff"))
            assert (type(error), error.reason) == (errors.InvalidArgument, "MALFORMED_MESSAGE")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                _ = [one async for one in method(bytes(100_000))] if name == "Watch" else await method(bytes(100_000))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_beyond_the_bound_is_refused() -> None:
    async with face() as channel:
        call: Any = channel.unary_unary("/test.Echo/Unary")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(bytes(33 * 1024 * 1024))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_metadata_beyond_the_bound_are_refused() -> None:
    async with face() as channel:
        call: Any = channel.unary_unary("/test.Echo/Unary")
        assert await call(b"", metadata=(("note", "x" * 4_000),)) == b""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=(("note", "x" * 20_000),))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def listed(channel: grpc.aio.Channel) -> list[str]:
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    call: Any = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked)
    (answer,) = [one async for one in call]
    return [one.name for one in answer.list_services_response.service]


async def test_methods_are_described_only_if_reflection_is_set() -> None:
    async with face() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await listed(channel)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    async with open_site(ServerSettings(reflection=True), TlsSettings()) as site, face(site) as channel:
        assert "test.Echo" in await listed(channel)
        malformed: Any = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [one async for one in malformed(iter([b"\x0a\xff"]))]
        assert errors.from_rpc_error(caught.value).reason == "MALFORMED_MESSAGE"
