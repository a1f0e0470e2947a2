"""Mutual TLS over real connections: `mesh.rpc.tls`."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import trustme
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.intervention.v1.intervention_pb2_grpc import (
    InterventionServiceServicer,
    InterventionServiceStub,
    add_InterventionServiceServicer_to_server,
)

from mesh.errors import MeshError, PermissionDenied, Unavailable
from mesh.observability import telemetry
from mesh.process.server import serving
from mesh.process.site import Site
from mesh.rpc import channel
from mesh.rpc.callers import Callers
from mesh.rpc.tls import Files, Tls, TlsSettings
from mesh.settings import SettingError
from tests import certificates
from tests.mesh.echo import Echo, later, now, stream
from tests.processes import running_mesh

OFF = telemetry.off()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Files:
    return certificates.issue(tmp_path / "server", authority)


@contextlib.asynccontextmanager
async def served(files: Files, echo: Echo | None = None, age_seconds: float = 300) -> AsyncIterator[int]:
    site = Site(Tls(files), age_seconds)
    async with serving("127.0.0.1:0", [(echo or Echo("here")).register()], [], {}, OFF, site) as port:
        yield port


async def ask(port: int, files: Files | None, host: str = "127.0.0.1") -> bytes:
    tls = files and Tls(files)
    async with channel.dial(f"{host}:{port}", OFF, tls, timeout_seconds=5) as dialled:
        answer: bytes = await now(dialled)(b"")
        return answer


async def test_processes_with_certificates_of_one_authority_talk(
    authority: trustme.CA, files: Files, tmp_path: Path
) -> None:
    async with served(files) as port:
        assert await ask(port, certificates.issue(tmp_path / "caller", authority)) == b"here"


async def test_plain_text_is_refused(files: Files) -> None:
    async with served(files) as port:
        with pytest.raises(Unavailable):
            await ask(port, None)


async def test_a_caller_without_a_certificate_is_refused(files: Files) -> None:
    async with served(files) as port:
        trusting = grpc.ssl_channel_credentials(Tls(files).identity().ca)
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", trusting) as dialled:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await now(dialled)(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_caller_with_another_authoritys_certificate_is_refused(files: Files, tmp_path: Path) -> None:
    foreign = certificates.issue(tmp_path / "foreign", trustme.CA())
    async with served(files) as port:
        with pytest.raises(Unavailable):
            await ask(port, foreign._replace(ca=files.ca))


async def test_a_caller_with_an_expired_certificate_is_refused(
    authority: trustme.CA, files: Files, tmp_path: Path
) -> None:
    async with served(files) as port:
        with pytest.raises(Unavailable):
            await ask(port, certificates.issue(tmp_path / "old", authority, is_expired=True))


async def test_a_server_of_another_name_or_authority_is_not_believed(
    authority: trustme.CA, files: Files, tmp_path: Path
) -> None:
    other = certificates.issue(tmp_path / "other", authority, names=("other.test",))
    async with served(other) as port:
        with pytest.raises(Unavailable):
            await ask(port, files)
    async with served(certificates.issue(tmp_path / "foreign", trustme.CA())) as port:
        with pytest.raises(Unavailable):
            await ask(port, files)


async def test_the_authority_is_changed_under_calls_and_no_call_fails(
    authority: trustme.CA, files: Files, tmp_path: Path
) -> None:
    """First both are believed, then the new one issues, then the old one is believed no more."""
    echo, fresh = Echo("here"), trustme.CA()
    caller = certificates.issue(tmp_path / "caller", authority)
    async with (
        served(files, echo, age_seconds=1) as port,
        channel.dial(f"127.0.0.1:{port}", OFF, Tls(caller), timeout_seconds=5) as dialled,
    ):
        ask_now, counted = now(dialled), 0
        running = asyncio.ensure_future(later(dialled)(b"", timeout=30))
        await echo.begun.wait()
        for issuer, believed in ((authority, (authority, fresh)), (fresh, (authority, fresh)), (fresh, (fresh,))):
            for folder in ("server", "caller"):
                certificates.issue(tmp_path / folder, issuer, believed=believed)
            ends = time.monotonic() + 1.5  # longer than a connection lives
            while time.monotonic() < ends:
                assert await ask_now(b"") == b"here"
                counted += 1
        assert counted > 100
        with pytest.raises(Unavailable):
            await ask(port, certificates.issue(tmp_path / "late", authority))
        echo.may_end.set()
        assert await running == b"here"


async def test_a_stream_outlives_the_renewal(authority: trustme.CA, files: Files, tmp_path: Path) -> None:
    caller = certificates.issue(tmp_path / "caller", authority)
    async with served(files) as port, channel.dial(f"127.0.0.1:{port}", OFF, Tls(caller)) as dialled:
        call = stream(dialled)(b"")
        assert await call.read() == b"here"
        certificates.issue(tmp_path / "caller", authority)
        assert await now(dialled)(b"") == b"here"
        assert not call.done()
        call.cancel()


def test_files_that_do_not_fit_leave_the_old_ones_in_force(
    authority: trustme.CA, files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls = Tls(files)
    before = tls.identity()
    certificates.put(Path(files.key), authority.issue_cert("other.test").private_key_pem.bytes())
    assert tls.identity() is before
    assert tls.identity() is before
    assert caplog.text.count("stays in force") == 1
    Path(files.ca).unlink()
    assert tls.identity() is before
    certificates.issue(tmp_path / "server", authority)
    assert tls.identity().certificate == Path(files.certificate).read_bytes() != before.certificate


def test_all_files_or_none(files: Files, tmp_path: Path) -> None:
    assert Tls.wanted(TlsSettings()) is None
    assert Tls.wanted(certificates.settings(files)) is not None
    garbage = tmp_path / "garbage"
    garbage.write_text("no PEM")
    for wrong, text in (
        (files._replace(key=""), "go together"),
        (files._replace(ca=str(tmp_path / "none")), "cannot be read"),
        (files._replace(certificate=str(garbage)), "not a certificate and its key"),
        (files._replace(key=files.certificate), "not a certificate and its key"),
        (files._replace(ca=str(garbage)), "holds no certificates"),
    ):
        with pytest.raises(SettingError, match=text):
            certificates.settings(wrong)


@pytest.mark.processes
def test_the_whole_mesh_helps_over_tls(files: Files, tmp_path: Path) -> None:
    with running_mesh(tmp_path, **certificates.environment(files)) as mesh:
        struggle = {"page": "/calculator", "attempts": 3}
        event = {"eventId": "tls-1", "userId": "ada", "eventType": "struggle_signal", "properties": struggle}
        assert mesh.track(event).body["accepted"] == 1
        mesh.await_applied("tls-1")
        assert mesh.get("/api/interventions/ada/pending").body["hasPendingIntervention"]
        for name in ("ingest", "dispatcher", "features", "scoring", "video", "intervention"):
            host, port = mesh.process(name).environ()[f"JOURNEYMESH_{name.upper()}_LISTEN"].split(":")
            shown = ssl.get_server_certificate((host, int(port)))
            assert shown.splitlines()[1] in Path(files.certificate).read_text(), name


@pytest.mark.parametrize(
    ("names", "may_call"),
    [
        (["mesh-gateway", "mesh-gateway.shop"], True),
        (["other", "mesh-dispatcher"], True),
        (["mesh-scoring"], False),
        (["mesh-gateway.evil", "xmesh-gateway"], False),
    ],
)
async def test_where_callers_are_listed_a_certificate_needs_one_of_their_names(
    authority: trustme.CA,
    files: Files,
    tmp_path: Path,
    names: list[str],
    may_call: bool,  # noqa: FBT001 - a parameter
) -> None:
    caller = certificates.issue(tmp_path / "caller", authority, names=names)
    site = Site(Tls(files, Callers.of("mesh-gateway mesh-dispatcher")), 300)
    async with (
        serving("127.0.0.1:0", [Echo("here").register()], [], {}, OFF, site) as port,
        channel.dial(f"127.0.0.1:{port}", OFF, Tls(caller), timeout_seconds=5) as dialled,
    ):
        if may_call:
            assert await now(dialled)(b"") == b"here"
            assert await anext(aiter(stream(dialled)(b""))) == b"here"
        else:
            with pytest.raises(PermissionDenied, match="CALLER_NOT_PERMITTED"):
                await now(dialled)(b"")
            with pytest.raises(PermissionDenied, match="CALLER_NOT_PERMITTED"):
                [each async for each in stream(dialled)(b"")]


@pytest.mark.parametrize(
    ("process", "may_read", "may_decide"),
    [("gateway", True, False), ("dispatcher", False, True), ("scoring", False, False), ("", True, True)],
)
async def test_each_process_may_call_the_rpcs_that_list_it(
    authority: trustme.CA,
    files: Files,
    tmp_path: Path,
    process: str,
    may_read: bool,  # noqa: FBT001 - a parameter
    may_decide: bool,  # noqa: FBT001 - a parameter
) -> None:
    caller = certificates.issue(tmp_path / "caller", authority, names=["mesh-caller"])
    site = Site(Tls(files, Callers.of(f"{process}=mesh-caller" if process else "mesh-caller")), 300)

    def register(server: grpc.aio.Server) -> None:
        add_InterventionServiceServicer_to_server(InterventionServiceServicer(), server)  # type: ignore[abstract]

    async with (
        serving("127.0.0.1:0", [register], [], {}, OFF, site) as port,
        channel.dial(f"127.0.0.1:{port}", OFF, Tls(caller), timeout_seconds=5) as dialled,
    ):
        stub = InterventionServiceStub(dialled)
        for call, may_call in (
            (stub.GetPendingIntervention(intervention_pb2.GetPendingInterventionRequest()), may_read),
            (stub.DecideInterventions(intervention_pb2.DecideInterventionsRequest()), may_decide),
        ):
            with pytest.raises(MeshError) as refused:
                await call
            assert (refused.value.reason == "CALLER_NOT_PERMITTED") is not may_call


def test_callers_without_certificates_are_a_wrong_setting() -> None:
    with pytest.raises(SettingError, match="needs the TLS files"):
        TlsSettings(callers="mesh-gateway")
