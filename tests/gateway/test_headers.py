"""The headers of every answer: nothing is taken for what it is not, and no cache keeps what tells of a person."""

import asyncio
import base64
import hashlib
import re

import httpx
import pytest

from gateway.contract.route import SWITCHING, Route
from gateway.routes.table import ROUTES
from tests.gateway.running import Gateway, listening

SAME_FOR_ALL = {"/openapi.json", "/asyncapi.json", "/docs"}
HANDSHAKE = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def headers(answer: httpx.Response) -> dict[str, list[str]]:
    return {name: answer.headers.get_list(name) for name in ("x-content-type-options", "cache-control")}


NO_STORE = {"x-content-type-options": ["nosniff"], "cache-control": ["no-store"]}


@pytest.mark.parametrize("query", ["", "?unknown=1"], ids=["as it stands", "with what nobody asked for"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_answer_of_the_table(route: Route, query: str) -> None:
    path = re.sub(r"\{\w+\}", "ada", route.path) + query
    async with (
        listening() as (_, url),
        httpx.AsyncClient(base_url=url) as client,
        client.stream(
            route.method,
            path,
            headers=HANDSHAKE if route.status == SWITCHING else {"content-type": "application/json"},
            content=route.example or b"{}" if route.body is not None else None,
        ) as answer,
    ):
        if answer.status_code == SWITCHING:
            assert answer.headers["x-content-type-options"] == "nosniff"
        elif route.path in SAME_FOR_ALL and answer.is_success:
            kept = {"x-content-type-options": ["nosniff"], "cache-control": ["public, max-age=300"]}
            assert headers(answer) == kept
        else:
            assert headers(answer) == NO_STORE


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/users", 404),
        ("PUT", "/api/users/ada/risk", 405),
        ("HEAD", "/api/users/ada/risk", 200),
        ("GET", "/api/decisions?cursor=x", 400),
        ("GET", "/docs?x=1", 400),
        ("POST", "/api/events/track", 400),
    ],
)
async def test_errors_are_kept_by_nobody(gateway: Gateway, method: str, path: str, status: int) -> None:
    answer = await gateway.client.request(method, path)
    assert (answer.status_code, headers(answer)) == (status, NO_STORE)


# What a scanner of web applications looks for without attacking: headers of a page on pages alone, none that tell of
# the server, no cookies, and no words of a program in a body.
OF_A_PAGE = ("content-security-policy", "x-frame-options", "cross-origin-resource-policy")
TELLING = (
    "server",
    "x-powered-by",
    "via",
    "set-cookie",
    "x-aspnet-version",
    "x-debug-token",
    "strict-transport-security",
)
WORDS_OF_A_PROGRAM = re.compile(rb'Traceback|File "|line \d+, in|\.py\b|site-packages|grpc\.|redis\.|0x[0-9a-f]{8}')
SEEN = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "HEAD")


def doubts(answer: httpx.Response, body: bytes) -> list[str]:
    """What a scanner would report of an answer."""
    given = answer.headers
    is_page = given.get("content-type", "").startswith("text/html")
    found = [f"{name} is sent" for name in TELLING if name in given]
    found += [f"{name}: {name in given}" for name in OF_A_PAGE if (name in given) != is_page]
    found += [
        f"{name}: {given.get_list(name)}"
        for name, value in (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"))
        if given.get_list(name) != [value]
    ]
    if body and "charset" not in given["content-type"] and not re.search("json|event-stream", given["content-type"]):
        found.append(f"no charset: {given['content-type']}")
    if WORDS_OF_A_PROGRAM.search(body) and not is_page:
        found.append(f"the words of a program: {body!r}")
    return found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_scanner_finds_nothing_in_any_answer(route: Route) -> None:
    path = re.sub(r"\{\w+\}", "ada", route.path)
    async with listening() as (_, url), httpx.AsyncClient(base_url=url) as client:
        for method in SEEN:
            for query in ("", "?unknown=%00%3Cscript%3E"):
                async with client.stream(method, path + query, content=b"{" if method == "POST" else None) as answer:
                    is_stream = answer.headers.get("content-type", "").startswith("text/event-stream")
                    body = b"" if is_stream else await answer.aread()
                    assert doubts(answer, body) == [], f"{method} {path}{query}"


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/3.0\r\nhost: x\r\n\r\n",
        b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n" % (b"a" * 9000),
        b"CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n\r\n",
    ],
    ids=["no request", "no host", "another version", "a long path", "a proxy's request"],
)
async def test_a_scanner_finds_nothing_in_an_answer_of_the_connection(said: bytes) -> None:
    async with listening() as (_, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(said)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    answer = httpx.Response(int(head[9:12]), headers=fields)
    assert doubts(answer, body) == []
    assert answer.headers["cache-control"] == "no-store"


async def test_the_page_runs_nothing_loads_nothing_and_stands_in_no_frame(gateway: Gateway) -> None:
    page = await gateway.client.get("/docs")
    assert (page.headers["referrer-policy"], page.headers["x-frame-options"]) == ("no-referrer", "DENY")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    [style] = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
    own = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    refused = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    assert policy == {**refused, "style-src": f"'sha256-{own}'"}
    assert not re.search(r"<script|<form|<base|<iframe|\sstyle=|\son\w+=", page.text)
