"""TLS at the gateway: who may connect, how certificates are renewed, and that every limit holds behind it."""

import asyncio
import contextlib
import logging
import re
import signal
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from websockets.asyncio.client import connect

from gateway import serving
from gateway.settings import Settings
from gateway.transport.certificate import Certificates
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.process.certificate import report_expiry
from mesh.process.lifecycle import CANNOT_RUN
from mesh.rpc.tls import Files
from mesh.settings import SettingError
from tests.certificates import issue, put
from tests.conftest import free_port
from tests.gateway.running import listening
from tests.gateway.test_headers import HANDSHAKE
from tests.gateway.test_serving import process, read_until

SOCKET = "/api/interventions/ada/socket"
_HSTS = "max-age=31536000"
_GET = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> Files:
    return issue(tmp_path / "tls", authority)


def members(files: Files) -> dict[str, Any]:
    return {"certificate_file": files.certificate, "key_file": files.key, "address_percent": 100}


def trusting(*authorities: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for authority in authorities:
        authority.configure_trust(context)
    return context


def where(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("https://").partition(":")
    return host, int(port)


async def served(url: str, *authorities: trustme.CA) -> None:
    """Returns once a new connection is served, as soon as there is a place."""
    async with httpx.AsyncClient(base_url=url, verify=trusting(*authorities)) as client:
        await served_by(client)


async def served_by(client: httpx.AsyncClient) -> None:
    """Returns once the client is served."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(httpx.TransportError):
                assert (await client.get("/healthz")).status_code == 200
                return


async def test_requests_and_sockets_are_served_over_tls(files: Files, authority: trustme.CA) -> None:
    trust = trusting(authority)
    async with listening(**members(files)) as (_, url), httpx.AsyncClient(base_url=url, verify=trust) as client:
        answer = await client.get("/healthz")
        missing = await client.get("/nowhere")
        handshake = await client.get(SOCKET, headers=HANDSHAKE)
        async with connect(url.replace("https:", "wss:") + SOCKET, ssl=trust, proxy=None) as opened:
            assert opened.response is not None
            assert opened.response.headers["strict-transport-security"] == _HSTS
    assert (answer.status_code, missing.status_code) == (200, 404)
    for each in (answer, missing, handshake):
        assert each.headers.get_list("strict-transport-security") == [_HSTS]


async def test_plain_answers_say_nothing_of_tls() -> None:
    async with listening() as (_, url), httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/healthz")
    assert "strict-transport-security" not in answer.headers


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "is_taken"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
async def test_older_versions_are_refused(
    files: Files, authority: trustme.CA, version: ssl.TLSVersion, *, is_taken: bool
) -> None:
    trust = trusting(authority)
    trust.set_ciphers("DEFAULT:@SECLEVEL=0")  # else the client itself refuses the old one
    trust.minimum_version = trust.maximum_version = version
    async with listening(**members(files)) as (_, url):
        with contextlib.nullcontext() if is_taken else pytest.raises((ssl.SSLError, ConnectionError)):
            _, writer = await asyncio.open_connection(*where(url), ssl=trust)
            assert writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
            writer.close()


async def test_new_connections_get_the_new_certificate(files: Files, authority: trustme.CA) -> None:
    other = trustme.CA()
    async with (
        listening(**members(files)) as (_, url),
        httpx.AsyncClient(base_url=url, verify=trusting(authority)) as held,
    ):
        await held.get("/healthz")
        issue(Path(files.certificate).parent, other)
        async with httpx.AsyncClient(base_url=url, verify=trusting(other)) as late:
            assert (await late.get("/healthz")).status_code == 200
        assert (await held.get("/healthz")).status_code == 200, "an open connection goes on"


async def test_half_a_renewal_leaves_the_old_one_in_force_and_warns_once(
    files: Files, authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    other = trustme.CA()
    new_certificate, new_key = (Path(file).read_bytes() for file in issue(tmp_path / "new", other)[:2])  # noqa: ASYNC240
    async with listening(**members(files)) as (_, url):
        put(Path(files.certificate), new_certificate)
        for _ in range(3):
            await served(url, authority)
        put(Path(files.key), new_key)
        async with httpx.AsyncClient(base_url=url, verify=trusting(other)) as client:
            assert (await client.get("/healthz")).status_code == 200
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("the old certificate stays in force: The TLS files")
    assert "PRIVATE" not in caplog.text


async def test_a_handshake_that_never_ends_loses_its_place(files: Files, authority: trustme.CA) -> None:
    async with listening(**members(files), connection_count=2, body_seconds=1) as (_, url):
        began = time.monotonic()
        silent = [await asyncio.open_connection(*where(url)) for _ in range(2)]
        silent[1][1].write(b"\x16\x03\x01\x02\x00")  # the first bytes of a handshake
        silent.append(await asyncio.open_connection(*where(url)))
        assert await asyncio.wait_for(silent[2][0].read(), 0.9) == b"", "beyond the limit: closed at once"
        for reader, writer in silent:
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        assert 0.9 < time.monotonic() - began < 4
        async with httpx.AsyncClient(base_url=url, verify=trusting(authority)) as client:
            assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("said", [_GET, b"\x00" * 100, b""], ids=["plain HTTP", "nonsense", "nothing"])
async def test_what_is_no_tls_is_closed_and_takes_no_place(
    files: Files, authority: trustme.CA, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(**members(files), connection_count=1) as (_, url):
        for _ in range(5):
            reader, writer = await asyncio.open_connection(*where(url))
            writer.write(said)
            writer.write_eof()
            with contextlib.suppress(ConnectionResetError):
                assert b"HTTP" not in await asyncio.wait_for(reader.read(), 5)
            writer.close()
        await served(url, authority)
    assert not [record for record in caplog.records if record.name != "gateway.transport.connections"]


async def test_a_slow_head_is_told_so_over_tls_too(files: Files, authority: trustme.CA) -> None:
    async with listening(**members(files), body_seconds=1) as (_, url):
        reader, writer = await asyncio.open_connection(*where(url), ssl=trusting(authority))
        writer.write(_GET[:-2])
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"The head of the request did not come in time" in answer


async def test_a_place_is_given_back_once(files: Files, authority: trustme.CA) -> None:
    async with listening(**members(files), connection_count=1) as (_, url):
        for _ in range(3):
            await served(url, authority)
        async with httpx.AsyncClient(base_url=url, verify=trusting(authority)) as only:
            await served_by(only)
            reader, writer = await asyncio.open_connection(*where(url))
            assert await asyncio.wait_for(reader.read(), 5) == b"", "there is no second place"
            writer.close()


def test_a_renewal_and_a_drain_of_a_process(files: Files, authority: trustme.CA) -> None:
    port, other = free_port(), trustme.CA()
    environment = {
        "JOURNEYMESH_HTTP_CERTIFICATE_FILE": files.certificate,
        "JOURNEYMESH_HTTP_KEY_FILE": files.key,
        "JOURNEYMESH_LEAVE_SECONDS": "1",
    }
    url = f"https://127.0.0.1:{port}"
    with process(f"127.0.0.1:{port}", **environment) as started:
        read_until(started, f"listening on {url}")
        issue(Path(files.certificate).parent, other)
        with httpx.Client(base_url=url, verify=trusting(other)) as client:
            assert client.get("/healthz").status_code == 200
            # Neither a handshake under way nor a client that says no goodbye holds the process for long.
            with socket.create_connection(("127.0.0.1", port)):
                began = time.monotonic()
                started.send_signal(signal.SIGTERM)
                read_until(started, "leaving")
                assert client.get("/healthz").headers["connection"] == "close"
                idle = trusting(other).wrap_socket(
                    socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1"
                )
                _, said = started.communicate(timeout=15)
                idle.close()
    assert started.returncode == 0
    assert "drained" in said
    assert "Traceback" not in said
    assert time.monotonic() - began < 10


def test_one_file_alone_or_a_wrong_pair_is_told_in_one_sentence(files: Files, tmp_path: Path) -> None:
    other = issue(tmp_path / "other", trustme.CA())
    with pytest.raises(SettingError, match="go together: both or none"):
        Settings(certificate_file=files.certificate)
    with pytest.raises(SettingError, match="go together: both or none"):
        Settings(key_file=files.key)
    with pytest.raises(SettingError, match="are not a certificate and its key"):
        Settings(certificate_file=files.certificate, key_file=other.key)
    with pytest.raises(SettingError, match="nothing cannot be read: No such file"):
        Settings(certificate_file=files.certificate, key_file=str(tmp_path / "nothing"))


def test_an_encrypted_key_is_refused_rather_than_asked_for(files: Files, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
    locked = tmp_path / "locked"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(SettingError, match="are not a certificate and its key"):
        Settings(certificate_file=files.certificate, key_file=str(locked))


def test_a_process_with_half_its_files_ends_with_a_sentence(files: Files) -> None:
    with process("127.0.0.1:0", JOURNEYMESH_HTTP_CERTIFICATE_FILE=files.certificate) as started:
        _, said = started.communicate(timeout=20)
    assert started.returncode == CANNOT_RUN
    assert said.count("\n") == 1
    assert "JOURNEYMESH_HTTP_CERTIFICATE_FILE and _KEY_FILE go together" in said


def test_with_tls_and_keys_there_is_nothing_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    with serving.listen("0.0.0.0:0", "required", is_tls=True):
        assert not caplog.records
    with serving.listen("0.0.0.0:0", "elsewhere", is_tls=True):
        assert "whoever gets through" in caplog.text


async def test_the_end_of_the_certificate_is_told_beside_the_mesh_s_own(files: Files) -> None:
    metrics = Metrics()
    certificates = Certificates.wanted(files.certificate, files.key)
    assert certificates is not None
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(report_expiry(certificates, metrics, registry.HTTP_CERTIFICATE_EXPIRY), 0.05)
    told, expires_at = metrics.render().decode(), certificates.identity().expires_at
    [value] = re.findall(r"\njourneymesh_http_certificate_expiry_timestamp_seconds (\S+)\n", told)
    assert float(value) == expires_at
    assert "\njourneymesh_certificate_expiry" not in told
    assert expires_at > time.time()
