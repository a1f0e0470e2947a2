"""Tenants that use the same ids of everything: none sees, finds, changes or counts anything of another's.

The services are real, in this process. What each tenant sends is marked, and answers are searched for others' marks.
"""

import asyncio
import contextlib
import itertools
import random
import urllib.parse
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from journeymesh.access.v1 import access_pb2
from websockets.asyncio.client import connect

from gateway.access.door import _follow_once
from gateway.access.permissions import NEEDS, OF_TENANTS
from gateway.contract.route import SWITCHING
from gateway.routes.table import ROUTES
from mesh.clock import system_clock
from mesh.keys import Kind
from records import tenants
from tests.e2e.in_process import Mesh, running_mesh
from tests.gateway.running import NOW_US, listening
from tests.gateway.test_access import PUBLIC, issued, keyring

ACME, GLOBEX = "acme", "globex"
NAMES: Final = (tenants.DEFAULT, ACME, GLOBEX)
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
PLAYED: Final = {"default": 1, ACME: 2, GLOBEX: 3}
EVERY_ID: Final = ("ada", "a-1", "e-1", "e-2", "broken", "v-1", "missing")
_WRITE_KEYS: Final = "GET /v1/projects/"
PROBES: Final = frozenset({"/startupz", "/readyz"})
"""Here they wait for services whose health nobody reports."""
_AUDIT: Final = "GET /api/audit"


class Tenant(NamedTuple):
    """A tenant's keys, and what only it knows."""

    name: str
    admin: str
    public: str
    identity_secret: str
    mesh: Mesh

    @property
    def mark(self) -> str:
        """Stands in everything that the tenant sends."""
        return f"secret-of-{self.name or 'default'}"

    @property
    def share(self) -> int:
        """Of some events it sends so many, and no other tenant as many."""
        return PLAYED[self.name or "default"]

    async def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.admin}"} | request.pop("headers", {})
        return await self.mesh.client.request(method, path, headers=headers, **request)

    async def applied(self, event_id: str) -> None:
        """Waits until an event is applied."""
        async with asyncio.timeout(20):
            while True:
                if (await self.get(f"/api/events/{event_id}"))["state"] == "applied":
                    return
                await asyncio.sleep(0.01)

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()


def journey(tenant: Tenant) -> Sequence[dict[str, Any]]:
    """What each tenant sends: the same ids, other content."""
    page, mark = f"/{tenant.mark}", tenant.mark
    playback = {"videoId": "v-1", "action": "heartbeat", "positionSeconds": 10, "watchedSeconds": 10, "topic": mark}
    return [
        {"eventId": "e-0", "anonymousId": "a-1", "eventType": "page_view", "properties": {"page": f"{page}/anonymous"}},
        {"eventId": "e-1", "userId": "ada", "eventType": "page_view", "properties": {"page": page, "note": mark}},
        *(
            {"eventId": f"w-{n}", "userId": f"viewer-{n}", "eventType": "video_playback", "properties": playback}
            for n in range(tenant.share)
        ),
        *(
            {
                "eventId": f"p-{n}",
                "userId": "ada",
                "eventType": "purchase",
                "properties": {"amount": 7, "currency": "EUR"},
            }
            for n in range(tenant.share)
        ),
        {
            "eventId": "e-2",
            "userId": "ada",
            "eventType": "struggle_signal",
            "properties": {"page": page, "attempts": 3},
        },
    ]


async def lived(tenant: Tenant) -> None:
    """Sends the tenant's events, and waits until they are applied."""
    events = [*journey(tenant), {"eventId": "broken", "userId": "ada", "eventType": "nothing", "note": tenant.mark}]
    trace = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    answer = await tenant.ask("POST", "/api/events/track", json={"events": events}, headers=trace)
    assert answer.json()["accepted"] == len(events) - 1, answer.text
    assert answer.json()["duplicates"] == 0
    unread = await tenant.ask("POST", "/api/events/track", json={"note": "the same of all"})
    assert unread.status_code == 400
    await tenant.applied("e-2")


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[list[Tenant]]:
    """Three tenants in one mesh, each of which has lived through the same story."""
    async with running_mesh(keys="required") as mesh:
        access, found = mesh.core.peers.access, []
        for name in NAMES:
            if name:
                await access.CreateTenant(access_pb2.CreateTenantRequest(name=name))
            keys = [
                await access.CreateKey(access_pb2.CreateKeyRequest(kind=kind, name="k", tenant=name))
                for kind in (access_pb2.KEY_KIND_ADMIN, access_pb2.KEY_KIND_PUBLIC)
            ]
            found.append(Tenant(name, keys[0].text, keys[1].text, keys[1].identity_secret, mesh))
        await follow(mesh)
        for tenant in found:
            await lived(tenant)
        yield found


async def follow(mesh: Mesh) -> None:
    """Lets the gateway know the keys as they are."""
    await _follow_once(mesh.core.door, mesh.core.peers.access, system_clock)


class Made(NamedTuple):
    """Ids that the mesh made for a tenant, which nobody else can guess."""

    intervention: str
    decisions: frozenset[str]
    failed: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        return frozenset({self.intervention}) | self.decisions | self.failed


async def made_for(tenant: Tenant) -> Made:
    pending = await tenant.get("/api/interventions/ada/pending")
    decisions = (await tenant.get("/api/decisions?userId=ada"))["decisions"]
    failed = (await tenant.get("/api/failed-events"))["failedEvents"]
    return Made(
        pending["intervention"]["id"], frozenset(d["id"] for d in decisions), frozenset(f["id"] for f in failed)
    )


def paths(path: str, ids: Sequence[str]) -> Iterator[str]:
    """A route's path with each of some ids in each place."""
    if "{" not in path:
        yield path
        return
    before, _, rest = path.partition("{")
    for each in ids:
        yield f"{before}{each}{rest.partition('}')[2]}"


def assert_nothing_of_others(answer: httpx.Response, tenant: Tenant, others: Mapping[str, Made], asked: str) -> None:
    text = answer.text
    assert "\\u001f" not in text, (asked, text)
    assert "\x1f" not in text, (asked, text)
    for name, made in others.items():
        assert f"secret-of-{name or 'default'}" not in text, (tenant.name, asked, text)
        for each in made.all:
            # What somebody asks for may be repeated to them: where it was not found, as a write key, and in the log.
            is_repeated = asked == _AUDIT or (each in asked and (answer.status_code >= 400 or _WRITE_KEYS in asked))
            assert each not in text or is_repeated, (tenant.name, asked, text)
    if asked == _AUDIT and answer.status_code == 200:
        own = {tenant.admin.split("_")[2]}
        if tenant.name == tenants.DEFAULT:  # it alone is told what the command and erasures did themselves
            own |= {"command", "erasure"}
        assert {entry["actor"] for entry in answer.json()["entries"]} <= own


async def test_every_route_with_everybodys_ids_answers_with_ones_own_only() -> None:
    async with world() as everybody:
        made = {tenant.name: await made_for(tenant) for tenant in everybody}
        assert len(frozenset().union(*(each.all for each in made.values()))) == sum(
            len(each.all) for each in made.values()
        )
        ids = [*EVERY_ID, *itertools.chain.from_iterable(each.all for each in made.values())]
        chance = random.Random(11)  # noqa: S311 - the order of requests
        calls = [
            (tenant, route, path)
            for tenant in everybody
            for route in ROUTES
            if route.status != SWITCHING and not route.path.endswith("/stream") and route.path not in PROBES
            for path in paths(route.path, ids)
        ]
        chance.shuffle(calls)
        # What is discarded or replayed can no longer be asked for, so these come last.
        calls.sort(key=lambda call: call[1].method == "DELETE" or "replay" in call[1].path)
        for tenant, route, path in calls:
            others = {name: each for name, each in made.items() if name != tenant.name}
            query = f"?traceId={TRACE}&limit=100" if route.path == "/api/decisions" else ""
            body = {"content": route.example} if route.method in {"POST", "PUT"} and route.example else {}
            answer = await tenant.ask(
                route.method, path + query, headers={"content-type": "application/json"} if body else {}, **body
            )
            asked = f"{route.method} {path}"
            assert answer.status_code < 500, (asked, answer.text)
            if tenant.name and (route.method, route.path) not in OF_TENANTS:
                assert (answer.status_code, answer.json()["reason"]) == (403, "NOT_PERMITTED"), asked
            assert_nothing_of_others(answer, tenant, others, asked)
            stranger = any(each in path for of in others.values() for each in of.all)
            if stranger and route.method != "DELETE" and route.path != "/v1/projects/{writeKey}/settings":
                assert answer.status_code in {400, 403, 404} or "{userId}" in route.path, (asked, answer.text)


async def test_what_is_counted_is_ones_own() -> None:
    async with world() as everybody:
        for tenant in everybody:
            profile = await tenant.get("/api/users/ada/profile")
            # A page view, a signal, and the purchases; nothing of the anonymous journey, which nobody has linked.
            assert (profile["eventCount"], profile["purchaseCount"]) == (2 + tenant.share, tenant.share)
            assert profile["purchaseAmount"] == 7 * tenant.share
            assert (profile["userId"], profile["lastPage"]) == ("ada", f"/{tenant.mark}")
            assert (await tenant.get("/api/videos/v-1"))["viewerCount"] == tenant.share
            customer = await tenant.get("/api/customers/ada")
            assert (customer["orderCount"], customer["money"][0]["amount"]) == (tenant.share, 7 * tenant.share)
            orders = (await tenant.get("/api/customers/ada/purchases?limit=200"))["orders"]
            assert len(orders) == tenant.share
            viewer = await tenant.get("/api/users/viewer-0/videos")
            assert [each["videoId"] for each in viewer["videos"]] == ["v-1"]
            assert viewer["recommendedContent"] in {"", tenant.mark}
            failed = (await tenant.get("/api/failed-events?limit=100"))["failedEvents"]
            assert sorted(each["eventId"] for each in failed) == ["", "broken"]
            decisions = (await tenant.get(f"/api/decisions?traceId={TRACE}&limit=100"))["decisions"]
            assert {each["userId"] for each in decisions} <= {
                "ada",
                "a-1",
                *(f"viewer-{n}" for n in range(tenant.share)),
            }
            lift = await tenant.get("/api/lift")
            assert [lift["lifts"][0][count] for count in ("treatedCount", "holdoutCount")] == [1, 0]
            assert (await tenant.get(f"/api/lift?experiment={lift['experiment']}")) == lift
            receipt = await tenant.get("/api/events/e-2")
            assert receipt["decisionId"] in {each["id"] for each in decisions}
            for event_id in ("viewer-0", f"w-{tenant.share}"):
                assert (await tenant.ask("GET", f"/api/events/{event_id}")).status_code == 404


async def test_a_link_of_one_tenant_links_nothing_of_another() -> None:
    async with world() as (default, acme, globex):
        identify = {"eventId": "i-1", "userId": "ada", "anonymousId": "a-1", "eventType": "identify"}
        assert (await acme.ask("POST", "/api/events/track", json=identify)).status_code == 202
        await acme.applied("i-1")
        pages = {
            tenant.name: {
                each["properties"].get("page") for each in (await tenant.get("/api/users/ada/events"))["events"]
            }
            for tenant in (default, acme, globex)
        }
        assert f"/{acme.mark}/anonymous" in pages[ACME]
        for tenant in (default, globex):
            assert pages[tenant.name] - {None} == {f"/{tenant.mark}"}
            assert (await tenant.get("/api/users/a-1/profile"))["eventCount"] == 1


async def test_an_outcome_of_another_tenants_help_is_not_taken() -> None:
    async with world() as (default, acme, globex):
        made = {tenant.name: await made_for(tenant) for tenant in (default, acme, globex)}
        for tenant, other in itertools.permutations((default, acme, globex), 2):
            theirs = made[other.name].intervention
            answer = await tenant.ask("POST", f"/api/interventions/{theirs}/outcome", json={"outcome": "declined"})
            assert (answer.status_code, answer.json()["reason"]) == (404, "INTERVENTION_NOT_FOUND")
            forged = {
                "eventId": f"forged-{other.name}",
                "userId": "ada",
                "eventType": "intervention_outcome",
                "properties": {"interventionId": theirs, "outcome": "declined"},
            }
            assert (await tenant.ask("POST", "/api/events/track", json=forged)).status_code == 202
            await tenant.applied(f"forged-{other.name}")
        for tenant in (default, acme, globex):
            found = await tenant.get(f"/api/interventions/{made[tenant.name].intervention}")
            assert found["outcome"] != "declined"
            own = await tenant.ask(
                "POST", f"/api/interventions/{made[tenant.name].intervention}/outcome", json={"outcome": "accepted"}
            )
            assert own.status_code == 202, own.text


async def test_what_looks_like_another_tenants_id_is_none() -> None:
    async with world() as (default, acme, globex):
        for tenant in (default, globex):
            forged = tenants.qualified(ACME, "ada")
            events = [
                {"eventId": tenants.qualified(ACME, "new"), "userId": "eve", "eventType": "session_start"},
                {"eventId": f"f-1-{tenant.name}", "userId": forged, "eventType": "session_start"},
                {"eventId": f"f-2-{tenant.name}", "userId": "eve", "anonymousId": forged, "eventType": "identify"},
            ]
            answer = (await tenant.ask("POST", "/api/events/track", json={"events": events})).json()
            assert [each["reason"] for each in answer["rejected"]] == ["INVALID_IDENTIFIER"] * 2
            assert [each["member"] for each in answer["warnings"]] == ["anonymousId"]
            reads = [f"users/%1F{ACME}%1Fada/{path}" for path in ("profile", "events", "features", "risk", "videos")]
            for path in (*reads, f"customers/%1F{ACME}%1Fada", f"customers/%1F{ACME}%1Fada/purchases"):
                found = await tenant.ask("GET", f"/api/{path}")
                assert found.status_code == 404 or found.json() == {"events": []}, found.text
                assert acme.mark not in found.text
            token = jwt.encode(
                {"alg": "HS256"}, {"sub": forged, "exp": 2_000_000_000 // 1}, OctKey.import_key(tenant.identity_secret)
            )
            asked = await tenant.mesh.client.get(
                f"/api/interventions/%1F{ACME}%1Fada/pending",
                headers={"authorization": f"Bearer {tenant.public}", "x-journeymesh-user-token": token},
            )
            assert asked.status_code in {401, 404} or not asked.json()["hasPendingIntervention"], asked.text
        assert (await acme.get("/api/users/ada/profile"))["eventCount"] == 2 + acme.share


async def test_a_deleted_tenants_keys_end_at_once_and_its_name_is_not_given_again() -> None:
    async with world() as (default, acme, globex):
        access = acme.mesh.core.peers.access
        deleted = await access.DeleteTenant(access_pb2.DeleteTenantRequest(name=ACME))
        assert deleted.ended_key_count == 2
        await follow(acme.mesh)
        answer = await acme.ask("GET", "/api/users/ada/profile")
        assert (answer.status_code, answer.json()["reason"]) == (401, "TENANT_DELETED")
        for tenant in (default, globex):
            assert (await tenant.ask("GET", "/api/users/ada/profile")).status_code == 200


def test_every_route_that_tenants_may_call_exists() -> None:
    assert NEEDS.keys() >= OF_TENANTS


@pytest.mark.parametrize("way", ["segment", "segment batch", "cloud event", "own"])
async def test_every_way_in_keeps_tenants_apart(way: str) -> None:
    async with world() as everybody:
        for tenant in everybody:
            for number in range(tenant.share):
                answer = await sent(tenant, way, f"m-{number}")
                assert answer.status_code in {200, 202}, answer.text
                assert (answer.json()["accepted"], answer.json()["duplicates"]) == (1, 0)
            again = (await sent(tenant, way, "m-0")).json()
            assert (again["accepted"], again["duplicates"]) == (0, 1)
            await tenant.applied(urllib.parse.quote(answer.json()["eventIds"][0], safe=""))
        for tenant in everybody:
            assert (await tenant.get("/api/users/eve/profile"))["eventCount"] == tenant.share


async def sent(tenant: Tenant, way: str, event_id: str) -> httpx.Response:
    """Sends a page view of eve's in a format, with a browser's means of authentication where it has one of its own."""
    page = {"type": "page", "messageId": event_id, "userId": "eve", "name": tenant.mark, "writeKey": tenant.admin}
    client = tenant.mesh.client
    match way:
        case "segment":
            return await client.post("/v1/page", json=page)
        case "segment batch":
            return await client.post("/v1/batch", json={"batch": [page]}, auth=(tenant.admin, ""))
        case "cloud event":
            data = {"userId": "eve", "eventType": "page_view", "properties": {"page": tenant.mark}}
            event = {"specversion": "1.0", "type": "page_view", "source": "/s", "id": event_id, "data": data}
            headers = {"content-type": "application/cloudevents+json"}
            return await tenant.ask("POST", "/api/events/track", json=event, headers=headers)
    own = {"eventId": event_id, "userId": "eve", "eventType": "page_view", "properties": {"page": tenant.mark}}
    return await tenant.ask("POST", "/api/events/track", json=own)


async def test_a_stream_a_socket_and_a_ticket_are_of_the_tenants_user() -> None:
    of_acme, secret = issued(Kind.PUBLIC, tenant=ACME), issued(Kind.SECRET, tenant=ACME)
    async with listening(keys="required") as (gateway, url):
        gateway.core.door.replace(keyring(of_acme, secret, PUBLIC), NOW_US)
        expected = tenants.qualified(ACME, "ada")
        stream = "/api/interventions/ada/stream"
        async with httpx.AsyncClient(base_url=url) as client:
            got = await client.post("/api/interventions/ada/ticket", headers=of_acme.proven())
            ways: list[dict[str, Any]] = [
                {"params": {"ticket": got.json()["ticket"]}},
                {"headers": of_acme.proven()},
                {"headers": secret.headers},
            ]
            for way in ways:
                async with client.stream("GET", stream, **way) as answer:
                    assert answer.status_code == 200
        offered: Any = ["journeymesh", f"key.{of_acme.text}", f"user.{of_acme.token('ada')}"]
        async with connect(f"ws{url.removeprefix('http')}/api/interventions/ada/socket", subprotocols=offered):
            pass
        assert [each.user_id for each in gateway.services.intervention.watched] == [expected] * 4
        # A token of one tenant's key is none with another's.
        async with httpx.AsyncClient(base_url=url) as client:
            mixed = PUBLIC.headers | {"x-journeymesh-user-token": of_acme.token("ada")}
            assert (await client.get("/api/interventions/ada/pending", headers=mixed)).status_code == 401


async def test_failed_events_are_replayed_mended_and_discarded_by_their_tenant_only() -> None:
    async with world() as everybody:
        made = {tenant.name: await made_for(tenant) for tenant in everybody}
        default, acme, _ = everybody
        for tenant in everybody:
            replayed = (await tenant.ask("POST", "/api/failed-events:replay", json={})).json()
            assert {each["id"] for each in replayed["rejected"]} == made[tenant.name].failed
            assert (replayed["accepted"], replayed["duplicates"]) == (0, 0)
        mended = {"eventId": "broken", "userId": "ada", "eventType": "session_start"}
        for failed_id in made[ACME].failed:
            assert (await default.ask("GET", f"/api/failed-events/{failed_id}")).status_code == 404
            answer = await default.ask("POST", f"/api/failed-events/{failed_id}:replay", json=mended)
            assert (answer.status_code, answer.json()["reason"]) == (404, "FAILED_EVENT_NOT_FOUND")
            assert (await default.ask("DELETE", f"/api/failed-events/{failed_id}")).status_code == 204
        assert (await made_for(acme)).failed == made[ACME].failed
        listed = (await acme.get("/api/failed-events"))["failedEvents"]
        (broken,) = [each["id"] for each in listed if each["eventId"] == "broken"]
        taken = await acme.ask("POST", f"/api/failed-events/{broken}:replay", json=mended)
        assert (taken.status_code, taken.json()["eventIds"]) == (202, ["broken"])
        await acme.applied("broken")
        (left,) = (await made_for(acme)).failed
        assert (await acme.ask("DELETE", f"/api/failed-events/{left}")).status_code == 204
        for tenant in everybody:
            expected = frozenset() if tenant is acme else made[tenant.name].failed
            assert (await made_for(tenant)).failed == expected
            count = (await tenant.get("/api/users/ada/profile"))["eventCount"]
            assert count == 2 + tenant.share + (tenant is acme)


@pytest.mark.parametrize("number", [0, 1])
async def test_a_tenant_exports_its_own_person_and_no_other_of_the_same_id(number: int) -> None:
    async with world() as everybody:
        owner = everybody[number]
        begun = await owner.ask("POST", "/api/privacy/exports", json={"userId": "ada"})
        assert begun.status_code == 202, begun.text
        path = f"/api/privacy/exports/{begun.json()['id']}"
        async with asyncio.timeout(30):
            while True:
                if (await owner.get(path))["state"] == "ready":
                    break
                await asyncio.sleep(0.05)
        for tenant in everybody:
            if tenant is not owner:
                assert (await tenant.ask("GET", path)).status_code == 404
                assert (await tenant.ask("GET", f"{path}/data")).status_code == 404
        exported = (await owner.ask("GET", f"{path}/data")).text
        assert "intervention.ledger" in exported
        assert owner.mark in exported
        assert not any(tenant.mark in exported for tenant in everybody if tenant is not owner)
        assert tenants.SEPARATOR not in exported
        assert "u001f" not in exported


@pytest.mark.parametrize("number", [0, 1])
async def test_a_tenant_erases_its_own_person_and_no_other_of_the_same_id(number: int) -> None:
    async with world() as everybody:
        eraser = everybody[number]
        others = [tenant for tenant in everybody if tenant is not eraser]
        before = {tenant.name: await made_for(tenant) for tenant in everybody}
        begun = await eraser.ask("POST", "/api/privacy/erasures", json={"userId": "ada"})
        assert begun.status_code == 202, begun.text
        path = f"/api/privacy/erasures/{begun.json()['id']}"
        for tenant in others:
            for method in ("GET", "DELETE"):
                assert (await tenant.ask(method, path)).status_code == 404
        async with asyncio.timeout(30):
            while True:
                erased = await eraser.get(path)
                if erased["state"] == "erased":
                    break
                await asyncio.sleep(0.05)
        assert tenants.SEPARATOR not in f"{erased['id']}{erased['receipt']}"
        assert "u001f" not in erased["receipt"]
        assert "broken" not in {each["eventId"] for each in (await eraser.get("/api/failed-events"))["failedEvents"]}
        assert (await eraser.ask("GET", "/api/users/ada/profile")).status_code == 404
        left = (await eraser.get(f"/api/decisions?traceId={TRACE}&limit=100"))["decisions"]
        assert "ada" not in {each["userId"] for each in left}
        for tenant in others:
            assert (await tenant.get("/api/users/ada/profile"))["eventCount"] == 2 + tenant.share
            assert await made_for(tenant) == before[tenant.name]
            for decision in before[eraser.name].decisions:
                assert (await tenant.ask("GET", f"/api/decisions/{decision}")).status_code == 404
            again = {"eventId": f"again-{tenant.mark}", "userId": "ada", "eventType": "session_start"}
            assert (await tenant.ask("POST", "/api/events/track", json=again)).status_code == 202
        answer = await eraser.ask("POST", "/api/events/track", json={"userId": "ada", "eventType": "session_start"})
        assert answer.status_code >= 400
