"""The headers of every answer: content types are not guessed, and no cache keeps personal data."""

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
async def test_errors_are_not_cached(gateway: Gateway, method: str, path: str, status: int) -> None:
    answer = await gateway.client.request(method, path)
    assert (answer.status_code, headers(answer)) == (status, NO_STORE)


async def test_the_page_loads_nothing_and_sends_no_referrer(gateway: Gateway) -> None:
    page = await gateway.client.get("/docs")
    assert page.headers["referrer-policy"] == "no-referrer"
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    refused = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    assert policy == {**refused, "style-src": "'unsafe-inline'"}
