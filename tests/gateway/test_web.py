"""Files for browsers: names, caches, compression, and the pages that are served."""

import dataclasses
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import brotli
import pytest

from gateway.app import Application
from gateway.http import files
from gateway.settings import Settings
from mesh.settings import SettingError
from tests.gateway.running import NOW_US, Gateway, running

BUILT: Final = {
    "t.js": "tracker",
    "t/video.js": "part",
    "widget.js": "widget",
    "demo/index.html": "<!doctype html>",
    "demo/main-0123456789ab.js": "shop",
    "app/index.html": "<!doctype html>",
    "app/main-0123456789ab.css": "p{}",
    "app/help-4KXBQ2TZ.js": "page",
}


def built(folder: Path) -> Path:
    """A folder as `make web` leaves it."""
    for name, text in BUILT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(text.encode()))
        path.with_name(path.name + ".br").write_bytes(brotli.compress(text.encode()))
    (folder / ".made").touch()
    return folder


async def serving_files(folder: Path, **members: Any) -> AsyncIterator[Gateway]:
    async with running(**members) as gateway:
        core = dataclasses.replace(gateway.core, files=files.read(built(folder)))
        gateway.client._transport.app = Application(core, lambda: NOW_US)  # type: ignore[attr-defined]
        yield gateway


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async for each in serving_files(tmp_path):
        yield each


PATHS: Final = [*(f"/{name}" for name in BUILT if "html" not in name), "/demo", "/demo/", "/app", "/app/", "/app/help"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_is_served_to_whoever_asks(gateway: Gateway, method: str, path: str) -> None:
    answer = await gateway.client.request(method, path + "?v=1", headers={"accept-encoding": "identity"})
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"].endswith("; charset=utf-8")
    owner = "cross-origin" if path.startswith(("/t", "/w")) else "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == owner


@pytest.mark.parametrize(
    "path",
    [
        "/t/nothing.js",
        "/t/..%2Ft.js",
        "/demo/index.html",
        "/app/index.html",
        "/app/none.js",
        "/demo/..%2F..%2Fpackage.json",
        "/t.js.gz",
        "/demo/main-0123456789ab.js.br",
        "/t/.made",
    ],
)
async def test_nothing_else_is(gateway: Gateway, path: str) -> None:
    answer = await gateway.client.get(path)
    assert (answer.status_code, answer.json()["reason"]) == (404, "PATH_NOT_FOUND")


async def test_only_names_with_a_hash_are_kept_for_ever(gateway: Gateway) -> None:
    kept = [(await gateway.client.get(path)).headers["cache-control"] for path in PATHS]
    has_hash = ["0123456789ab" in path or "4KXBQ2TZ" in path for path in PATHS]
    assert [value.endswith("immutable") for value in kept] == has_hash
    pages = [value for path, value in zip(PATHS, kept, strict=True) if path in {"/demo", "/app", "/app/help"}]
    assert pages == ["no-cache"] * 3


async def test_whoever_has_it_is_told_so(gateway: Gateway) -> None:
    first = await gateway.client.get("/t.js")
    again = await gateway.client.get("/t.js", headers={"if-none-match": first.headers["etag"]})
    other = await gateway.client.get("/widget.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("identity", None),
        ("brilliant", None),
        ("", None),
    ],
)
async def test_it_comes_as_small_as_the_client_takes_it(gateway: Gateway, accepted: str, encoding: str | None) -> None:
    request = gateway.client.build_request("GET", "/t.js", headers={"accept-encoding": accepted})
    answer = await gateway.client.send(request, stream=True)
    raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers.get("content-encoding") == encoding
    assert "accept-encoding" in answer.headers.get_list("vary")
    unpacked: dict[str | None, Callable[[], bytes]] = {
        "gzip": lambda: zlib.decompress(raw, 31),
        "br": lambda: brotli.decompress(raw),
        None: lambda: raw,
    }
    assert unpacked[encoding]() == b"tracker"


@pytest.mark.parametrize(
    ("asked", "status", "body", "where"),
    [
        ("bytes=0-", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=3-5", 206, b"345", "bytes 3-5/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_a_player_gets_the_part_it_asks_for(
    tmp_path: Path, asked: str, status: int, body: bytes, where: str | None
) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "clip-0123456789ab.webm").write_bytes(b"0123456789")
    async for gateway in serving_files(tmp_path):
        answer = await gateway.client.get("/demo/clip-0123456789ab.webm", headers={"range": asked})
        assert (answer.status_code, answer.content, answer.headers.get("content-range")) == (status, body, where)


async def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_within_it(gateway: Gateway) -> None:
    for path in ("/demo", "/app", "/app/help"):
        answer = await gateway.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; ")
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("members", "served"),
    [
        ({}, {"/app", "/demo", "/docs"}),
        ({"pages": "app"}, {"/app"}),
        ({"pages": ""}, set()),
        ({"keys": "required"}, {"/app", "/docs"}),
    ],
)
async def test_pages_can_be_switched_off(tmp_path: Path, members: dict[str, str], served: set[str]) -> None:
    async for gateway in serving_files(tmp_path, **members):
        answers = {path: await gateway.client.get(path) for path in ("/app", "/demo", "/docs")}
        assert {path for path, answer in answers.items() if answer.is_success} == served
        assert (await gateway.client.get("/t.js")).is_success


def test_an_unknown_page_is_refused() -> None:
    with pytest.raises(SettingError, match="'shop'"):
        Settings(pages="app,shop")


async def test_without_a_build_there_are_no_files(tmp_path: Path) -> None:
    assert files.read(tmp_path / "none") == {}
