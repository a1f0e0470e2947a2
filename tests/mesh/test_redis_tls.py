"""The way to Redis over TLS, with a user and a password: `mesh.store.redis`."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from mesh.errors import Unavailable
from mesh.settings import SettingError
from mesh.store import redis
from mesh.store.redis import RedisSettings

PASSWORD = "correct horse"  # noqa: S105 - of the test's own server


@pytest.fixture
async def secured(valkey_url: str, server: redis.Client) -> AsyncIterator[tuple[str, trustme.CA]]:
    """The address of a server that speaks TLS and knows the user `ada`, and who issued its certificate.

    The wheel's server has no TLS; what ends it here is a server of the test's own.
    """
    acl: Any = server.execute_command
    await acl("ACL", "SETUSER", "ada", "on", f">{PASSWORD}", "~*", "+@all")
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    port = urlsplit(valkey_url).port or 0
    before = await asyncio.start_server(functools.partial(_forward, port), "127.0.0.1", 0, ssl=context)
    async with before:
        yield f"127.0.0.1:{before.sockets[0].getsockname()[1]}/0", authority
    await acl("ACL", "DELUSER", "ada")


async def _forward(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        further_reader, further_writer = await asyncio.open_connection("127.0.0.1", port)
        ways = [(reader, further_writer), (further_reader, writer)]
        copying = [asyncio.create_task(_copy(*way)) for way in ways]
        await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, further_writer):
            end.close()
        await asyncio.gather(*copying, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()


def settings(folder: Path, url: str, authority: trustme.CA, password: str = PASSWORD) -> RedisSettings:
    """Settings with files as they are mounted."""
    ca_file, password_file = folder / "ca.crt", folder / "password"
    authority.cert_pem.write_to_path(str(ca_file))
    password_file.write_text(f"{password}\n")
    return RedisSettings(url, str(password_file), str(ca_file))


async def test_a_user_comes_through_tls(secured: tuple[str, trustme.CA], tmp_path: Path) -> None:
    address, authority = secured
    client = await redis.connect_or_exit(settings(tmp_path, f"rediss://ada@{address}", authority))
    await client.set("key", "value")
    assert await client.get("key") == b"value"
    assert await client.acl_whoami() == "ada"
    await client.aclose()


async def test_a_server_of_another_authority_is_not_believed(secured: tuple[str, trustme.CA], tmp_path: Path) -> None:
    address, _ = secured
    with pytest.raises(SystemExit, match="The store's certificate is not trusted: unable to get local issuer"):
        await redis.connect_or_exit(settings(tmp_path, f"rediss://ada@{address}", trustme.CA()))


async def test_a_server_of_another_name_is_not_believed(secured: tuple[str, trustme.CA], tmp_path: Path) -> None:
    address, authority = secured
    named = settings(tmp_path, f"rediss://ada@{address.replace('127.0.0.1', 'localhost')}", authority)
    with pytest.raises(SystemExit, match=r"not trusted: Hostname mismatch, .* 'localhost'"):
        await redis.connect_or_exit(named)


async def test_a_wrong_password_is_reported_at_the_start(secured: tuple[str, trustme.CA], tmp_path: Path) -> None:
    address, authority = secured
    wrong = settings(tmp_path, f"rediss://ada@{address}", authority, "wrong")
    with pytest.raises(SystemExit, match=r"^journeymesh: The store refuses the user or the password: [^.]+\.$"):
        await redis.connect_or_exit(wrong)


async def test_what_is_refused_later_is_unavailable(secured: tuple[str, trustme.CA], tmp_path: Path) -> None:
    address, authority = secured
    own = settings(tmp_path, f"rediss://ada@{address}", authority)
    client = redis.connect(own.url, "wrong", own.ca_file)
    with pytest.raises(Unavailable, match="refuses the user or the password"):
        await redis.ping(client)
    await client.aclose()


async def test_a_server_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    client = await redis.connect_or_exit(RedisSettings("redis://127.0.0.1:1/0"))
    assert "The store cannot be reached." in caplog.text
    await client.aclose()


def test_files_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "garbage").write_text("no PEM")
    with pytest.raises(SettingError, match="holds no certificates"):
        RedisSettings("rediss://localhost", ca_file=str(tmp_path / "garbage"))
    with pytest.raises(SettingError, match="rediss://"):
        RedisSettings("redis://localhost", ca_file=str(tmp_path / "garbage"))
    with pytest.raises(SettingError, match="cannot be read"):
        RedisSettings("redis://localhost", password_file=str(tmp_path / "none"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "http://localhost",
        "redis://localhost:99999/0",
        "redis://localhost:port",
        "redis://[::1",
        "redis+cluster://localhost:7000,localhost:99999",
        "http+cluster://localhost",
    ],
)
def test_an_address_that_is_none_stops_the_start(url: str) -> None:
    with pytest.raises(SettingError, match="JOURNEYMESH_REDIS_URL"):
        RedisSettings(url)


@pytest.mark.parametrize(
    "url", ["redis://", "redis://ada:pw@[::1]:7000/0", "rediss://h", "unix:///s", "redis+cluster://a@h,h:1"]
)
def test_an_address_of_a_store_is_taken(url: str) -> None:
    assert RedisSettings(url).url == url
