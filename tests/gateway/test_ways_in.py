"""The ways in are alike: whatever carries a key, it is let in or refused the same, and nothing else carries one."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import httpx
import pytest
from journeymesh.access.v1 import access_pb2
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.access import keyring as keyrings
from mesh import keys
from mesh.errors import Unauthenticated
from mesh.keys import Kind
from tests.gateway.running import NOW_US, Gateway, listening
from tests.gateway.test_access import SECRET, issued, keyring

CALL: Final = {"type": "track", "event": "Product Viewed", "userId": "ada"}
EXPIRED, ROTATED, REVOKED, OF_NOBODY = (
    issued(Kind.SECRET, ends_us=NOW_US, ended_as=state)
    for state in (
        access_pb2.KEY_STATE_EXPIRED,
        access_pb2.KEY_STATE_ROTATED,
        access_pb2.KEY_STATE_REVOKED,
        access_pb2.KEY_STATE_TENANT_DELETED,
    )
)
OUTCOMES: Final = {
    "valid": (SECRET.text, ""),
    "none": ("", "KEY_REQUIRED"),
    "no key": ("hunter2", "KEY_UNKNOWN"),
    "mistyped": (SECRET.text[:-1] + ("0" if SECRET.text[-1] != "0" else "1"), "KEY_UNKNOWN"),
    "never issued": (issued(Kind.SECRET).text, "KEY_UNKNOWN"),
    "expired": (EXPIRED.text, "KEY_EXPIRED"),
    "rotated": (ROTATED.text, "KEY_ROTATED"),
    "revoked": (REVOKED.text, "KEY_REVOKED"),
    "of a deleted tenant": (OF_NOBODY.text, "TENANT_DELETED"),
}
HELP: Final = "/api/interventions/ada"


class World(NamedTuple):
    """A gateway on a port, and a client of it."""

    gateway: Gateway
    url: str
    client: httpx.AsyncClient

    async def socket(self, **options: Any) -> str:
        """Why a socket is refused; empty if it is opened."""
        address = self.url.replace("http:", "ws:") + f"{HELP}/socket"
        try:
            async with connect(address, **options):
                return ""
        except InvalidStatus as error:
            refused = error.response
        return str(json.loads(refused.body)["reason"])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with listening(keys="required") as (gateway, url), httpx.AsyncClient(base_url=url) as client:
        gateway.core.door.replace(keyring(SECRET, EXPIRED, ROTATED, REVOKED, OF_NOBODY), NOW_US)
        yield World(gateway, url, client)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"} if text else {}


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{text}:".encode()).decode()} if text else {}


def told(answer: httpx.Response) -> str:
    """Why a request is refused; empty if it is not."""
    assert answer.status_code == 401 or answer.is_success, answer.text
    return "" if answer.is_success else str(answer.json()["reason"])


async def by_header(world: World, text: str) -> str:
    return told(await world.client.get(f"{HELP}/pending", headers=bearer(text)))


async def by_user_name(world: World, text: str) -> str:
    return told(await world.client.post("/v1/track", json=CALL, headers=basic(text)))


async def in_a_body(world: World, text: str) -> str:
    return told(await world.client.post("/v1/batch", json={"batch": [CALL], "writeKey": text}))


async def by_event_stream(world: World, text: str) -> str:
    async with world.client.stream("GET", f"{HELP}/stream", headers=bearer(text)) as answer:
        if not answer.is_success:
            await answer.aread()
        return told(answer)


async def by_subprotocol(world: World, text: str) -> str:
    return await world.socket(subprotocols=["journeymesh", *([f"key.{text}"] if text else [])])


async def by_header_of_a_socket(world: World, text: str) -> str:
    return await world.socket(additional_headers=bearer(text))


WAYS: Final = (by_header, by_user_name, in_a_body, by_event_stream, by_subprotocol, by_header_of_a_socket)


@pytest.mark.parametrize("case", OUTCOMES)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_every_way_in_tells_the_same(world: World, way: Any, case: str) -> None:
    text, reason = OUTCOMES[case]
    assert await way(world, text) == reason


@pytest.mark.parametrize("text", [SECRET.text, SECRET.text.replace("jm_sk_", "jm_adm_")])
async def test_a_key_in_a_path_a_query_a_cookie_or_another_header_is_none(world: World, text: str) -> None:
    for name in ("key", "api_key", "access_token", "ticket"):
        answer = await world.client.get(f"{HELP}/pending", params={name: text})
        assert answer.status_code in {400, 401}, name
        assert text not in answer.text
    for headers in ({"cookie": f"key={text}; __Host-journeymesh-session={text}"}, {"x-api-key": text}):
        answer = await world.client.get(f"{HELP}/pending", headers=headers)
        assert told(answer) == "KEY_REQUIRED"
    answer = await world.client.get(f"/api/interventions/{text}/pending")
    assert told(answer) == "KEY_REQUIRED"
    assert text not in answer.text


def test_what_is_compared_are_hashes_of_one_length_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def comparing(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(keyrings, "hmac", SimpleNamespace(compare_digest=comparing))
    known = keyring(SECRET)
    beginning, secret = SECRET.text[:-49], SECRET.text[-49:-6]
    near = [beginning + secret[:-1] + ("0" if secret[-1] != "0" else "1"), beginning + secret[::-1]]
    for body in near:
        with pytest.raises(Unauthenticated, match="KEY_UNKNOWN"):
            known.find(body + keys._checksum(body), NOW_US)
    assert known.find(SECRET.text, NOW_US)
    assert [(len(one), len(other)) for one, other in compared] == [(32, 32)] * 3
    # A guess that is nearly right is no nearer than any other: what is compared tells nothing of it.
    assert all(one != other and one[:4] != other[:4] for one, other in compared[:2])
