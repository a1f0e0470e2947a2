"""What happens now, as server-sent events, over a real connection."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.scoring.v1 import scoring_pb2

from gateway.access.people.roles import Role
from gateway.access.people.sessions import SESSION, SESSION_SECONDS, Cookies, Session
from gateway.push import live
from mesh.errors import ResourceExhausted
from mesh.keys import Kind, Scope
from records.tenants import qualified
from tests.gateway.fakes import SECONDS
from tests.gateway.running import NOW_US, listening
from tests.gateway.test_access import issued, keyring
from tests.gateway.test_asyncapi import check, document
from tests.gateway.test_push import frames
from tests.gateway.test_sign_in import settings_of

PATH: Final = "/api/happenings/stream"


def struggle(user_id: str = "ada") -> wire.WatchHappeningsResponse:
    happened = wire.Happening(
        kind=wire.HAPPENING_KIND_STRUGGLE,
        user_id=user_id,
        decision_id="d-3-1-0",
        page="/pay",
        score=41.5,
        level=scoring_pb2.RISK_LEVEL_MEDIUM,
        signal=features_pb2.SIGNAL_TYPE_RAGE_CLICKS,
        strength=80,
        target="Pay",
        why="4 clicks on Pay",
    )
    happened.time.FromSeconds(SECONDS)
    return wire.WatchHappeningsResponse(happenings=[happened], left_out_count=2)


async def read(url: str, count: int, **headers: str) -> list[dict[str, str]]:
    """The first so many events."""
    found: list[dict[str, str]] = []
    async with httpx.AsyncClient() as client, client.stream("GET", url + PATH, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for one in frames(answer):
            found.append(one)
            if len(found) == count:
                break
    return found


async def test_what_happens_is_pushed_as_the_contract_says() -> None:
    async with listening() as (gateway, url):
        gateway.services.intervention.happenings.append(struggle())
        retry, first, second = await read(url, 3)
        described = await document(gateway)
    assert int(retry["retry"]) > 0
    assert json.loads(first["data"]) == {"happenings": [], "leftOutCount": 0}
    told: dict[str, Any] = json.loads(second["data"])
    assert (second["event"], told["leftOutCount"]) == ("happenings", 2)
    (one,) = told["happenings"]
    assert (one["kind"], one["signal"], one["level"], one["target"]) == ("struggle", "rage_clicks", "medium", "Pay")
    assert (one["reason"], one["outcome"]) == (None, None)
    for each in (first, second):
        check(described, "live", "happenings", json.loads(each["data"]))


async def test_a_watch_ends_with_its_client_and_counts_until_then() -> None:
    async with listening() as (gateway, url):
        await read(url, 2)
        await asyncio.wait_for(gateway.services.intervention.watch_left.wait(), 5)
        assert not gateway.core.streams


async def test_too_many_are_refused() -> None:
    async with listening() as (gateway, url), httpx.AsyncClient(base_url=url) as client:
        gateway.services.intervention.watch_error = ResourceExhausted("TOO_MANY_STREAMS", "Too many watch.", 5)
        refused = await client.get(PATH)
        assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_STREAMS")


async def test_a_tenant_watches_its_own_users_and_sees_plain_ids() -> None:
    people, figures = (
        issued(Kind.SECRET, frozenset({scope}), tenant="acme") for scope in (Scope.READ_PEOPLE, Scope.READ_FIGURES)
    )
    async with listening(keys="required") as (gateway, url):
        gateway.core.door.replace(keyring(people, figures), NOW_US)
        gateway.services.intervention.happenings.append(struggle(qualified("acme", "ada")))
        _, _, second = await read(url, 3, **people.headers)
        assert json.loads(second["data"])["happenings"][0]["userId"] == "ada"
        assert gateway.services.intervention.watched_tenants == ["acme"]
        async with httpx.AsyncClient(base_url=url) as client:
            refused = await client.get(PATH, headers=figures.headers)
            assert refused.status_code == 403
            assert (await client.get(PATH)).status_code == 401


async def test_a_persons_stream_ends_with_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.02)
    members = settings_of(tmp_path, "https://id.example")
    session = Session("https://id.example|1", "Ada", (Role.ANALYST,), "token", SECONDS + SESSION_SECONDS, "s-1")
    cookie = Cookies(b"s" * 43).written(SESSION, session).partition(";")[0]
    async with listening(**members) as (gateway, url):
        gateway.core.door.note_ended(())
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", url + PATH, headers={"cookie": cookie}) as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            events = frames(answer)
            kept_open = [await anext(events) for _ in range(4)]
            assert set(kept_open[-1]) == {""}
            gateway.core.door.note_ended(["s-2"])
            assert set(await anext(events)) == {""}
            gateway.core.door.note_ended(["s-1"])
            async with asyncio.timeout(5):
                left = [each async for each in events]
            assert all(set(each) == {""} for each in left)
