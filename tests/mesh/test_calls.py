"""All four kinds of call through a peer: with a renewed certificate, and with errors as they were raised."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import trustme

from mesh.errors import FailedPrecondition, Internal, MeshError
from mesh.observability import telemetry
from mesh.process.server import serving
from mesh.process.site import Site
from mesh.rpc import channel
from mesh.rpc.tls import Tls
from tests import certificates
from tests.mesh.echo import Echo
from tests.serving import serving as served

OFF: Final = telemetry.off()
METHODS: Final = {"unary_unary": "Now", "unary_stream": "Stream", "stream_unary": "Gather", "stream_stream": "Converse"}


class Failing(Echo):
    """Refuses every call, the streaming ones after a first answer."""

    def __init__(self, error: Exception) -> None:
        super().__init__("failing")
        self.error = error

    async def now(self, request: bytes, context: object) -> bytes:
        raise self.error

    async def stream(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        yield self.name
        raise self.error

    async def gather(self, requests: AsyncIterator[bytes], context: object) -> bytes:
        _ = [request async for request in requests]
        raise self.error

    async def converse(self, requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        yield self.name
        raise self.error


async def answer(method: Any, kind: str) -> bytes:
    """The first answer to a call of a kind."""
    requests, answers = kind.split("_")
    call = method(b"" if requests == "unary" else iter([b""]), timeout=5)
    if answers == "unary":
        return bytes(await call)
    first = bytes(await call.read())
    call.cancel()
    return first


async def last(method: Any, kind: str) -> None:
    """Reads all answers to a call of a kind."""
    requests, answers = kind.split("_")
    call = method(b"" if requests == "unary" else iter([b""]), timeout=5)
    _ = await call if answers == "unary" else [each async for each in call]


@pytest.mark.parametrize("kind", METHODS)
async def test_a_method_goes_on_with_a_renewed_certificate(kind: str, tmp_path: Path) -> None:
    authority, fresh = trustme.CA(), trustme.CA()
    server = certificates.issue(tmp_path / "server", authority, believed=(authority, fresh))
    caller = certificates.issue(tmp_path / "caller", authority)
    site = Site(Tls(server), 300)
    async with (
        serving("127.0.0.1:0", [Echo("here").register()], [], {}, OFF, site) as port,
        channel.dial(f"127.0.0.1:{port}", OFF, Tls(caller)) as dialled,
    ):
        method = getattr(dialled, kind)(f"/test.Echo/{METHODS[kind]}")
        assert await answer(method, kind) == b"here"
        certificates.issue(tmp_path / "caller", fresh, believed=(authority, fresh))
        assert await answer(method, kind) == b"here"
        assert len(dialled._ways[0]._retiring) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", METHODS)
async def test_what_a_peer_raises_is_raised(kind: str) -> None:
    failing = Failing(FailedPrecondition("POSITION_STALE", "Lost.", 0.5))
    async with served(failing.register()) as dialled:
        with pytest.raises(MeshError) as caught:
            await last(getattr(dialled, kind)(f"/test.Echo/{METHODS[kind]}"), kind)
    error = caught.value
    assert type(error) is FailedPrecondition
    assert (error.reason, error.detail, error.retry_after_seconds) == ("POSITION_STALE", "Lost.", 0.5)


@pytest.mark.parametrize("kind", METHODS)
async def test_what_is_no_error_of_the_mesh_shows_nothing_of_itself(kind: str) -> None:
    async with served(Failing(LookupError("of the inside")).register()) as dialled:
        with pytest.raises(Internal) as caught:
            await last(getattr(dialled, kind)(f"/test.Echo/{METHODS[kind]}"), kind)
    assert "inside" not in str(caught.value)


@pytest.mark.parametrize("kind", [kind for kind in METHODS if kind.endswith("stream")])
async def test_answers_are_read_one_by_one_to_their_end(kind: str) -> None:
    class Ending(Echo):
        async def stream(self, request: bytes, context: object) -> AsyncIterator[bytes]:
            yield self.name

    async with served(Ending("e").register()) as dialled:
        method: Any = getattr(dialled, kind)(f"/test.Echo/{METHODS[kind]}")
        call = method(b"" if kind == "unary_stream" else iter([b""]))
        assert [await call.read(), await call.read()] == [b"e", grpc.aio.EOF]
        assert await call.code() is grpc.StatusCode.OK
