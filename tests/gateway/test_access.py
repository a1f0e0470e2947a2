"""Keys, on every way in: who may call what, for whom, from where, and until when."""

import asyncio
import base64
import itertools
import json
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey
from journeymesh.access.v1 import access_pb2
from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.access import proof
from gateway.access.door import Door, follow_keys
from gateway.access.keyring import Keyring, keyring_of
from gateway.access.permissions import AUDITED, NEEDS
from gateway.push import sse
from gateway.routes.table import ROUTES
from mesh import keys
from mesh.errors import Unauthenticated, Unavailable
from mesh.keys import Kind, Scope
from tests.gateway.fakes import intervention
from tests.gateway.running import NOW_US, Gateway, listening, running
from tests.gateway.test_operation import Silent

CHANCE: Final = random.Random(7)  # noqa: S311 - keys of a test
NOW: Final = NOW_US // 1_000_000
PAGE_VIEW: Final = {"userId": "ada", "eventType": "page_view", "properties": {"page": "/p"}}
PURCHASE: Final = {"userId": "ada", "eventType": "purchase", "properties": {"amount": 5, "currency": "EUR"}}
IDENTIFY: Final = {
    "userId": "ada",
    "anonymousId": "a-1",
    "eventType": "identify",
    "properties": {"email": "ada@shop.example"},
}
KINDS: Final = {
    Kind.PUBLIC: access_pb2.KEY_KIND_PUBLIC,
    Kind.SECRET: access_pb2.KEY_KIND_SECRET,
    Kind.ADMIN: access_pb2.KEY_KIND_ADMIN,
}


class Issued(NamedTuple):
    """A key as its holder knows it, and its entry of the keyring."""

    text: str
    entry: access_pb2.KeyringEntry

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.text}"}

    def token(self, user_id: object = "ada", **claims: object) -> str:
        """A token for a user, as the customer's server signs it."""
        members: dict[str, Any] = {"sub": user_id, "exp": NOW + 600} | claims
        return jwt.encode({"alg": "HS256"}, members, OctKey.import_key(self.entry.identity_secret))

    def proven(self, user_id: str = "ada") -> dict[str, str]:
        return self.headers | {"x-journeymesh-user-token": self.token(user_id)}


def issued(kind: Kind, scopes: frozenset[Scope] | None = None, **members: Any) -> Issued:
    text = keys.new_text(kind, CHANCE.randbytes)
    presented = keys.presented(text)
    assert presented is not None
    rights = access_pb2.KeyRights(
        scopes=sorted(keys.USUAL_SCOPES[kind] if scopes is None else scopes),
        origins=members.pop("origins", ()),
        event_types=members.pop("event_types", ()),
    )
    entry = access_pb2.KeyringEntry(
        key_id=presented.key_id,
        text_hash=presented.text_hash,
        kind=KINDS[kind],
        rights=rights,
        identity_secret=keys.new_secret(CHANCE.randbytes) if kind is Kind.PUBLIC else "",
        **members,
    )
    return Issued(text, entry)


def keyring(*known: Issued) -> Keyring:
    return keyring_of(access_pb2.GetKeyringResponse(revision="1", entries=[each.entry for each in known]))


PUBLIC, SECRET, ADMIN = issued(Kind.PUBLIC), issued(Kind.SECRET), issued(Kind.ADMIN)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway that requires keys, and knows one of each kind."""
    async with running(keys="required") as one:
        one.core.door.replace(keyring(PUBLIC, SECRET, ADMIN), NOW_US)
        yield one


async def reason_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["reason"]


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert set(NEEDS) == {(route.method, route.path) for route in ROUTES}


def path_of(route: Any) -> str:
    return str(route.path).replace("{userId}", "ada").replace("{", "").replace("}", "")


@pytest.mark.parametrize("issued_key", [None, PUBLIC, SECRET, ADMIN], ids=["none", "public", "secret", "admin"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_key_of_each_kind_opens_exactly_the_routes_of_the_table(
    gateway: Gateway, route: Any, issued_key: Issued | None
) -> None:
    if route.path.endswith(("/socket", "/stream")):
        pytest.skip("it stays open; see below")
    needs = NEEDS[route.method, route.path]
    headers = issued_key.headers if issued_key else {}
    answer = await gateway.client.request(route.method, path_of(route), headers=headers)
    reason = answer.json().get("reason") if "problem" in answer.headers.get("content-type", "") else None
    if needs is None:
        assert answer.status_code not in {401, 403} or reason in {"SIGN_IN_REQUIRED", "SIGN_IN_FAILED"}
    elif issued_key is None:
        assert (answer.status_code, reason) == (401, "KEY_REQUIRED")
        assert answer.headers["www-authenticate"] == "Bearer"
    elif needs not in issued_key.entry.rights.scopes:
        assert (answer.status_code, reason) == (403, "NOT_PERMITTED")
    else:
        assert answer.status_code != 403 or route.path.endswith("/ticket")
        assert answer.status_code != 401 or reason == "USER_PROOF_REQUIRED"


def wrong_keys() -> Mapping[str, tuple[str, str]]:
    text = SECRET.text
    other = issued(Kind.SECRET).text
    forged_body = text[:-49] + other[-49:-6]
    return {
        "nothing": ("", "KEY_REQUIRED"),
        "no key": ("secret", "KEY_UNKNOWN"),
        "cut": (text[:-1], "KEY_UNKNOWN"),
        "mistyped": (text[:-1] + ("0" if text[-1] != "0" else "1"), "KEY_UNKNOWN"),
        "never issued": (other, "KEY_UNKNOWN"),
        "another's secret": (forged_body + keys._checksum(forged_body), "KEY_UNKNOWN"),
        "another kind": (text.replace("jm_sk_", "jm_adm_"), "KEY_UNKNOWN"),
    }


@pytest.mark.parametrize("case", wrong_keys())
@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
async def test_what_is_no_key_is_refused_on_every_way_in(gateway: Gateway, case: str, scheme: str) -> None:
    text, reason = wrong_keys()[case]
    written = text if scheme == "Bearer" else base64.b64encode(f"{text}:".encode()).decode()
    answer = await gateway.client.get("/api/users/ada", headers={"authorization": f"{scheme} {written}"})
    assert await reason_of(answer) == (401, reason)
    assert not text or text not in answer.text


@pytest.mark.parametrize(
    ("ended_as", "reason"),
    [
        (access_pb2.KEY_STATE_EXPIRED, "KEY_EXPIRED"),
        (access_pb2.KEY_STATE_ROTATED, "KEY_ROTATED"),
        (access_pb2.KEY_STATE_REVOKED, "KEY_REVOKED"),
    ],
)
async def test_a_key_works_until_its_end_and_then_says_why_not(
    gateway: Gateway, ended_as: access_pb2.KeyState, reason: str
) -> None:
    lasting = issued(Kind.SECRET, ends_us=NOW_US + 1, ended_as=access_pb2.KEY_STATE_ROTATED)
    ended = issued(Kind.SECRET, ends_us=NOW_US, ended_as=ended_as)
    gateway.core.door.replace(keyring(lasting, ended), NOW_US)
    assert (await gateway.client.get("/api/users/ada", headers=lasting.headers)).status_code == 200
    assert await reason_of(await gateway.client.get("/api/users/ada", headers=ended.headers)) == (401, reason)


async def test_a_revoked_key_has_ended_whatever_the_gateway_s_clock_says(gateway: Gateway) -> None:
    revoked = issued(Kind.SECRET, ends_us=NOW_US + 10_000_000, ended_as=access_pb2.KEY_STATE_REVOKED)
    gateway.core.door.replace(keyring(revoked), NOW_US)
    assert await reason_of(await gateway.client.get("/api/users/ada", headers=revoked.headers)) == (401, "KEY_REVOKED")


async def test_a_key_that_was_used_before_is_checked_against_the_new_keyring(gateway: Gateway) -> None:
    assert (await gateway.client.get("/api/users/ada", headers=SECRET.headers)).status_code == 200
    gateway.core.door.replace(keyring(ADMIN), NOW_US)
    answer = await gateway.client.get("/api/users/ada", headers=SECRET.headers)
    assert await reason_of(answer) == (401, "KEY_UNKNOWN")


async def test_before_a_keyring_is_known_nobody_is_called_unknown() -> None:
    async with running(keys="required") as gateway:
        answer = await gateway.client.get("/api/users/ada", headers=SECRET.headers)
        assert await reason_of(answer) == (503, "DEPENDENCY_UNAVAILABLE")


async def test_segments_clients_send_the_key_as_user_name_or_in_the_body(gateway: Gateway) -> None:
    message = {"userId": "ada", "event": "Checkout Started"}
    basic = {"authorization": "Basic " + base64.b64encode(f"{SECRET.text}:".encode()).decode()}
    for path, body in (
        ("/v1/track", message),
        ("/v1/t", message),
        ("/v1/batch", {"batch": [{"type": "track"} | message]}),
    ):
        assert (await gateway.client.post(path, json=body, headers=basic)).status_code == 200
        assert (await gateway.client.post(path, json=body | {"writeKey": PUBLIC.text})).status_code == 200
        assert await reason_of(await gateway.client.post(path, json=body | {"writeKey": "w"})) == (401, "KEY_UNKNOWN")
        assert await reason_of(await gateway.client.post(path, json=body)) == (401, "KEY_REQUIRED")
    keyed = {"batch": [{"type": "track"} | message], "writeKey": SECRET.text}
    assert await reason_of(await gateway.client.post("/v1/import", json=keyed)) == (401, "KEY_REQUIRED")
    assert await reason_of(await gateway.client.post("/v1/import", json=keyed, headers=PUBLIC.headers)) == (
        403,
        "NOT_PERMITTED",
    )


async def test_cloud_events_take_the_same_keys(gateway: Gateway) -> None:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/s",
        "type": "page_view",
        "subject": "ada",
        "data": {"page": "/"},
    }
    headers = {"content-type": "application/cloudevents+json"}
    path = "/api/events/track"
    assert await reason_of(await gateway.client.post(path, json=event, headers=headers)) == (401, "KEY_REQUIRED")
    answer = await gateway.client.post(path, json=event, headers=headers | PUBLIC.headers)
    assert answer.status_code == 202


async def test_a_public_key_sends_behaviour_but_no_facts(gateway: Gateway) -> None:
    outcome = {
        "userId": "ada",
        "eventType": "intervention_outcome",
        "properties": {"interventionId": "i", "outcome": "accepted"},
    }
    events = {"events": [PAGE_VIEW, PURCHASE, outcome]}
    answer = await gateway.client.post("/api/events/track", json=events, headers=PUBLIC.headers)
    assert answer.status_code == 202
    assert [(each["index"], each["reason"]) for each in answer.json()["rejected"]] == [
        (1, "NOT_PERMITTED"),
        (2, "NOT_PERMITTED"),
    ]
    assert [event.event_type for event in gateway.services.ingest.events] == [event_pb2.EVENT_TYPE_PAGE_VIEW]
    assert not gateway.services.ingest.unreadable
    alone = await gateway.client.post("/api/events/track", json=PURCHASE, headers=PUBLIC.headers)
    assert await reason_of(alone) == (403, "NOT_PERMITTED")
    assert (await gateway.client.post("/api/events/track", json=PURCHASE, headers=SECRET.headers)).status_code == 202


async def test_nobody_but_the_proven_user_is_linked_or_reached(gateway: Gateway) -> None:
    path = "/api/events/track"
    assert await reason_of(await gateway.client.post(path, json=IDENTIFY, headers=PUBLIC.headers)) == (
        401,
        "USER_PROOF_REQUIRED",
    )
    assert await reason_of(await gateway.client.post(path, json=IDENTIFY, headers=PUBLIC.proven("eve"))) == (
        401,
        "USER_PROOF_INVALID",
    )
    both = PAGE_VIEW | {"anonymousId": "a-1"}
    answer = await gateway.client.post(path, json=both, headers=PUBLIC.headers)
    assert [each["member"] for each in answer.json()["warnings"]] == ["anonymousId"]
    assert (await gateway.client.post(path, json=both, headers=PUBLIC.proven())).json()["warnings"] == []
    assert (await gateway.client.post(path, json=IDENTIFY, headers=PUBLIC.proven())).status_code == 202
    assert (await gateway.client.post(path, json=IDENTIFY, headers=SECRET.headers)).status_code == 202
    anonymous = {"anonymousId": "a-1", "eventType": "page_view", "properties": {"page": "/p"}}
    assert (await gateway.client.post(path, json=anonymous, headers=PUBLIC.headers)).json()["warnings"] == []
    links = [(event.user_id, event.anonymous_id) for event in gateway.services.ingest.events]
    assert links == [("ada", ""), ("ada", "a-1"), ("ada", "a-1"), ("ada", "a-1"), ("a-1", "a-1")]


async def test_a_key_may_be_limited_to_types_of_events(gateway: Gateway) -> None:
    # A type that only a newer service knows allows nothing here.
    narrow = issued(Kind.SECRET, event_types=["purchase", "hologram_shown"])
    gateway.core.door.replace(keyring(narrow), NOW_US)
    events = {"events": [PAGE_VIEW, PURCHASE]}
    answer = await gateway.client.post("/api/events/track", json=events, headers=narrow.headers)
    assert [(each["index"], each["reason"]) for each in answer.json()["rejected"]] == [(0, "NOT_PERMITTED")]


async def test_help_is_shown_to_the_proven_user_only(gateway: Gateway) -> None:
    path = "/api/interventions/ada/pending"
    assert (await gateway.client.get(path, headers=PUBLIC.proven())).status_code == 200
    assert (await gateway.client.get(path, headers=SECRET.headers)).status_code == 200
    answer = await gateway.client.get(path, headers=PUBLIC.headers)
    assert await reason_of(answer) == (401, "USER_PROOF_REQUIRED")
    answer = await gateway.client.get(path, headers=PUBLIC.proven("eve"))
    assert await reason_of(answer) == (401, "USER_PROOF_INVALID")


async def test_an_outcome_is_that_of_the_proven_user(gateway: Gateway) -> None:
    gateway.services.intervention.made["i-1"] = intervention_pb2.GetInterventionResponse(
        user_id="ada", intervention=intervention()
    )
    path, body = "/api/interventions/i-1/outcome", {"outcome": "accepted"}
    answer = await gateway.client.post(path, json=body, headers=PUBLIC.proven("eve"))
    assert await reason_of(answer) == (401, "USER_PROOF_INVALID")
    assert (await gateway.client.post(path, json=body, headers=PUBLIC.headers)).status_code == 401
    assert not gateway.services.ingest.events
    assert (await gateway.client.post(path, json=body, headers=PUBLIC.proven())).status_code == 202


def tampered() -> Mapping[str, str]:
    secret = OctKey.import_key(PUBLIC.entry.identity_secret)
    token = PUBLIC.token()
    head, body, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    return {
        "no token": "x",
        "another key's secret": issued(Kind.PUBLIC).token(),
        "cut": token[:-4],
        "no signature": f"{head}.{body}.",
        "algorithm none": f"{none}.{body}.",
        "algorithm none, signed": f"{none}.{body}.{signature}",
        "another algorithm": jwt.encode(
            {"alg": "HS512"}, {"sub": "ada", "exp": NOW + 60}, secret, algorithms=["HS512"]
        ),
        "expired": PUBLIC.token(exp=NOW - 61),
        "without end": jwt.encode({"alg": "HS256"}, {"sub": "ada"}, secret),
        "for years": PUBLIC.token(exp=NOW + 400 * 86_400),
        "end that is no number": PUBLIC.token(exp=float("nan")),
        "end that is a text": PUBLIC.token(exp="tomorrow"),
        "not yet": PUBLIC.token(nbf=NOW + 120),
        "nobody": PUBLIC.token(user_id=""),
        "no user": PUBLIC.token(user_id=7),
        "endless": "a" * 100_000,
        "a ticket": proof.new_ticket(proof.Proven("ada", 0), keyring(PUBLIC).known[PUBLIC.entry.key_id], NOW_US),
    }


@pytest.mark.parametrize("case", tampered())
async def test_a_tampered_token_proves_nothing(gateway: Gateway, case: str) -> None:
    headers = PUBLIC.headers | {"x-journeymesh-user-token": tampered()[case]}
    for path in ("/api/interventions/ada/pending", "/api/interventions/ada/stream"):
        answer = await gateway.client.get(path, headers=headers)
        assert await reason_of(answer) == (401, "USER_PROOF_INVALID")


@given(st.text() | st.text("abc.=-_e30"))
def test_garbage_proves_nothing(token: str) -> None:
    known = keyring(PUBLIC)
    with pytest.raises(Unauthenticated, match="USER_PROOF_INVALID"):
        proof.user_of_token(token, known.known[PUBLIC.entry.key_id], NOW_US)
    with pytest.raises(Unauthenticated, match="USER_PROOF_INVALID"):
        proof.user_of_ticket(token, known, NOW_US)


async def test_a_key_is_for_pages_of_its_origins_only(gateway: Gateway) -> None:
    shop = issued(Kind.PUBLIC, origins=["https://shop.example", "https://*.shop.example"])
    gateway.core.door.replace(keyring(shop, SECRET), NOW_US)

    async def sent_from(origin: str) -> httpx.Response:
        return await gateway.client.post("/api/events/track", json=PAGE_VIEW, headers=shop.headers | {"origin": origin})

    for origin in ("https://shop.example", "https://pay.shop.example"):
        answer = await sent_from(origin)
        assert answer.status_code == 202
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "origin"
        asked = {"origin": origin, "access-control-request-method": "POST"}
        preflight = await gateway.client.options("/api/events/track", headers=asked)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, origin)
    for origin in ("https://evil.example", "http://shop.example", "https://shop.example.evil.example", "null"):
        answer = await sent_from(origin)
        assert await reason_of(answer) == (403, "ORIGIN_NOT_ALLOWED")
        assert "access-control-allow-origin" not in answer.headers


async def test_a_ticket_opens_its_user_s_stream_for_a_minute_and_nothing_else() -> None:
    async with listening(keys="required") as (gateway, url), httpx.AsyncClient(base_url=url) as client:
        gateway.core.door.replace(keyring(PUBLIC, SECRET), NOW_US)
        got = await client.post("/api/interventions/ada/ticket", headers=PUBLIC.proven())
        ticket = got.json()["ticket"]
        assert got.json()["expiresInSeconds"] == 60
        async with client.stream("GET", "/api/interventions/ada/stream", params={"ticket": ticket}) as answer:
            assert answer.status_code == 200
        strangers = await client.get("/api/interventions/eve/stream", params={"ticket": ticket})
        assert await reason_of(strangers) == (401, "USER_PROOF_INVALID")
        elsewhere = await client.get("/api/interventions/ada/pending", params={"ticket": ticket})
        assert elsewhere.status_code in {400, 401}
        late = proof.new_ticket(
            proof.Proven("ada", 0), keyring(PUBLIC).known[PUBLIC.entry.key_id], NOW_US - 121_000_000
        )
        for wrong in (late, PUBLIC.token(), "x", ""):
            refused = await client.get("/api/interventions/ada/stream", params={"ticket": wrong})
            assert refused.status_code == 401
        for headers in (PUBLIC.headers, PUBLIC.proven("eve"), SECRET.headers):
            assert (await client.post("/api/interventions/ada/ticket", headers=headers)).status_code in {401, 403}
        gateway.core.door.replace(keyring(SECRET), NOW_US)
        revoked = await client.get("/api/interventions/ada/stream", params={"ticket": ticket})
        assert await reason_of(revoked) == (401, "USER_PROOF_INVALID")


async def test_a_socket_takes_the_key_as_a_subprotocol_and_never_sends_it_back() -> None:
    async with listening(keys="required") as (gateway, url):
        gateway.core.door.replace(keyring(PUBLIC, SECRET), NOW_US)
        address = url.replace("http:", "ws:") + "/api/interventions/ada/socket"
        protocols: Any = ["journeymesh", f"key.{PUBLIC.text}", f"user.{PUBLIC.token()}"]
        async with connect(address, subprotocols=protocols) as opened:
            assert opened.subprotocol == "journeymesh"
            await opened.send(json.dumps({"type": "outcome", "id": "i-0", "outcome": "accepted"}))
            assert json.loads(await opened.recv())["problem"]["reason"] == "INTERVENTION_NOT_FOUND"
            gateway.core.door.replace(keyring(SECRET), NOW_US)
            await opened.send(json.dumps({"type": "outcome", "id": "i-0", "outcome": "accepted"}))
            assert json.loads(await opened.recv())["problem"]["reason"] == "KEY_UNKNOWN"
        gateway.core.door.replace(keyring(PUBLIC, SECRET), NOW_US)
        async with connect(address, additional_headers=SECRET.headers):
            pass
        for offered in (None, protocols[:1], protocols[:2], [*protocols[:2], f"user.{PUBLIC.token('eve')}"]):
            with pytest.raises(InvalidStatus) as refused:
                await connect(address, subprotocols=offered)
            assert refused.value.response.status_code == 401


async def test_nothing_is_pushed_once_the_key_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.05)
    async with listening(keys="required") as (gateway, url), httpx.AsyncClient(base_url=url) as client:
        gateway.core.door.replace(keyring(SECRET), NOW_US)
        gateway.services.intervention.changes.append(intervention_pb2.WatchPendingInterventionResponse(cursor="1"))
        path = "/api/interventions/ada/stream"
        async with client.stream("GET", path, headers=SECRET.headers) as answer, asyncio.timeout(5):
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            while not (await anext(lines)).startswith("id: 1"):
                pass
            gateway.core.door.replace(keyring(ADMIN), NOW_US)
            assert not [line async for line in lines if line.startswith("id:")]


@pytest.mark.parametrize("way", ["token", "ticket"])
async def test_nothing_is_pushed_once_the_user_s_token_has_ended(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.05)
    async with listening(keys="required") as (gateway, url), httpx.AsyncClient(base_url=url) as client:
        gateway.core.door.replace(keyring(PUBLIC), NOW_US)
        gateway.services.intervention.changes.append(intervention_pb2.WatchPendingInterventionResponse(cursor="1"))
        headers: dict[str, str] = PUBLIC.proven("ada")
        query = {}
        if way == "ticket":
            ticket = await client.post("/api/interventions/ada/ticket", headers=headers)
            headers, query = {}, {"ticket": ticket.json()["ticket"]}
        path = "/api/interventions/ada/stream"
        async with client.stream("GET", path, headers=headers, params=query) as answer, asyncio.timeout(5):
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            while not (await anext(lines)).startswith("id: 1"):
                pass
            gateway.core.door.note_time(NOW_US + 661_000_000)  # the token is valid for 600 s, clocks 60 s apart
            assert not [line async for line in lines if line.startswith("id:")]


async def test_an_origin_that_only_a_newer_version_knows_allows_nothing_and_ends_nothing(gateway: Gateway) -> None:
    shop = issued(Kind.PUBLIC, origins=["shop.example/*", "https://shop.example"])
    other = issued(Kind.PUBLIC, origins=["shop.example/*"])
    gateway.core.door.replace(keyring(shop, other), NOW_US)
    for key, origin, status in (
        (shop, "https://shop.example", 202),
        (shop, "https://evil.example", 403),
        (other, "https://shop.example", 403),
    ):
        headers = key.headers | {"origin": origin}
        assert (await gateway.client.post("/api/events/track", json=PAGE_VIEW, headers=headers)).status_code == status


async def test_reads_of_people_and_acts_on_the_mesh_are_recorded_before_they_happen(gateway: Gateway) -> None:
    audit = gateway.services.audit
    await gateway.client.get("/api/users/ada%20b", headers=SECRET.headers)
    await gateway.client.get("/api/decisions?userId=ada", headers=SECRET.headers)
    await gateway.client.delete("/api/failed-events/f-1", headers=ADMIN.headers)
    await gateway.client.get("/api/users/ada", headers=PUBLIC.headers)  # refused
    await gateway.client.get("/api/lift", headers=SECRET.headers)  # about nobody
    await gateway.client.post("/api/events/track", json=PAGE_VIEW, headers=SECRET.headers)
    assert [(act.actor, act.action, act.subject, act.is_user) for act in audit.acts] == [
        (SECRET.entry.key_id, "GET /api/users/{userId}", "ada b", True),
        (SECRET.entry.key_id, "GET /api/decisions", "ada", True),
        (ADMIN.entry.key_id, "DELETE /api/failed-events/{id}", "f-1", False),
    ]
    assert len({act.act_id for act in audit.acts}) == 3
    assert all(len(act.act_id) == len(act.trace_id) == 16 and act.time_us == NOW_US for act in audit.acts)


async def test_probes_name_services_only_to_those_who_operate_the_mesh(gateway: Gateway) -> None:
    lost: Any = {**gateway.core.peers.health, "video": Silent()}
    object.__setattr__(gateway.core.peers, "health", lost)
    for headers, names in (({}, None), (SECRET.headers, None), (ADMIN.headers, ["video"])):
        answer = await gateway.client.get("/readyz", headers=headers)
        assert answer.status_code == 503
        assert answer.json().get("services") == names
        assert ("video" in answer.text) == (names is not None)


async def test_what_cannot_be_recorded_is_not_done(gateway: Gateway) -> None:
    gateway.services.audit.error = Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.")
    discarding = await gateway.client.delete("/api/failed-events/f-1", headers=ADMIN.headers)
    assert await reason_of(discarding) == (503, "DEPENDENCY_UNAVAILABLE")
    reading = await gateway.client.get("/api/users/ada", headers=SECRET.headers)
    assert await reason_of(reading) == (503, "DEPENDENCY_UNAVAILABLE")
    assert (await gateway.client.post("/api/events/track", json=PAGE_VIEW, headers=SECRET.headers)).status_code == 202


@pytest.mark.parametrize("route", sorted(NEEDS), ids=" ".join)
def test_every_route_about_a_person_that_shows_more_than_help_is_audited(route: tuple[str, str]) -> None:
    path = route[1]
    names_somebody = any(
        mark in path for mark in ("{userId}", "{decisionId}", "{eventId}", "failed-events", "decisions")
    )
    if names_somebody and NEEDS[route] is not Scope.HELP:
        assert route in AUDITED


async def test_the_audit_log_is_listed(gateway: Gateway) -> None:
    answer = await gateway.client.get("/api/audit?actor=k&userId=ada&limit=5&cursor=9", headers=ADMIN.headers)
    assert answer.json() == {
        "entries": [
            {
                "sequence": 7,
                "time": "2026-01-02T10:00:00Z",
                "actor": "k",
                "action": "GET /api/users/{userId}",
                "subject": "user:1",
                "traceId": "",
                "hash": "0a",
            }
        ],
        "nextCursor": "7",
    }
    (asked,) = gateway.services.audit.list_requests
    assert (asked.actor, asked.user_id, asked.page_size, asked.page_token) == ("k", "ada", 5, "9")
    assert gateway.services.audit.acts[-1].action == "GET /api/audit"


class Access:
    """A stub of the access service: answers with what it holds, or is away."""

    def __init__(self, *responses: access_pb2.GetKeyringResponse | Unavailable) -> None:
        self.responses = itertools.chain(responses, itertools.repeat(responses[-1]))
        self.asked: list[str] = []
        self.is_asked = asyncio.Semaphore(0)
        self.uses: list[access_pb2.KeyUse] = []

    async def GetKeyring(self, request: access_pb2.GetKeyringRequest) -> access_pb2.GetKeyringResponse:
        self.asked.append(request.known_revision)
        self.is_asked.release()
        response = next(self.responses)
        if isinstance(response, Unavailable):
            raise response
        return response

    async def RecordKeyUses(self, request: access_pb2.RecordKeyUsesRequest) -> access_pb2.RecordKeyUsesResponse:
        self.uses += request.uses
        return access_pb2.RecordKeyUsesResponse()


async def test_a_door_follows_the_keys_while_the_service_is_there_and_keeps_them_while_it_is_away() -> None:
    async with running(keys="required") as gateway:
        door = gateway.core.door
        away = Unavailable("DEPENDENCY_UNAVAILABLE", "Away.")
        first = access_pb2.GetKeyringResponse(revision="r-1", entries=[SECRET.entry])
        access: Any = Access(first, away, access_pb2.GetKeyringResponse(revision="r-1", is_unchanged=True))
        following = asyncio.create_task(follow_keys(door, access, gateway.core.peers.people, lambda: NOW_US))
        async with asyncio.timeout(10):
            await access.is_asked.acquire()
            await access.is_asked.acquire()  # and is away
            assert (await gateway.client.get("/api/users/ada", headers=SECRET.headers)).status_code == 200
            await access.is_asked.acquire()
            await access.is_asked.acquire()
        following.cancel()
        assert access.asked == ["", "r-1", "r-1", "r-1"]
        assert [(use.key_id, use.used_us) for use in access.uses] == [
            (SECRET.entry.key_id, NOW_US - NOW_US % 60_000_000)
        ]


async def test_without_required_keys_a_key_is_not_looked_at() -> None:
    async with running() as gateway:
        answer = await gateway.client.get("/api/users/ada", headers={"authorization": "Bearer jm_sk_wrong"})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "is_served"),
    [
        ("localhost", True),
        ("localhost:8080", True),
        ("127.0.0.1:8080", True),
        ("127.3.2.1", True),
        ("[::1]:8080", True),
        ("shop.localhost", True),
        ("evil.example", False),
        ("evil.example:8080", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("192.0.2.7", False),
        ("", False),
    ],
)
async def test_a_page_whose_name_was_made_to_lead_here_reads_nothing(host: str, is_served: bool) -> None:  # noqa: FBT001 - a parameter
    async with running(trusted_proxies="") as gateway:
        answer = await gateway.client.get("/api/users/ada", headers={"host": host})
        assert answer.status_code == (200 if is_served else 421)
        assert (await gateway.client.get("/healthz", headers={"host": host})).status_code == 200


def test_no_repr_shows_a_secret() -> None:
    door = Door(is_key_required=True, is_host_checked=False, cors_origins="")
    door.replace(keyring(PUBLIC, SECRET), NOW_US)
    written = repr(keyring(PUBLIC, SECRET)) + repr(vars(door))
    assert PUBLIC.entry.identity_secret not in written
    assert repr(SECRET.entry.text_hash) not in written
