"""Incidents of watched key figures over REST, and pushed over real connections."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx
import pytest
from journeymesh.analytics.v1 import insights_pb2 as wire
from websockets.asyncio.client import connect

from mesh.keys import Kind, Scope
from mesh.rpc.context import ServerContext
from services.analytics.adapters.watched import MemoryWatches
from services.analytics.domain.answer import InsightPart, InsightSlice, Money
from services.analytics.domain.changes import Change
from services.analytics.domain.question import DAY_US
from services.analytics.domain.watched import Watched, WatchedInsight
from services.analytics.insights import InsightsServicer
from tests.builders import NOW_US
from tests.gateway import running
from tests.gateway.fakes import Services, watched_insights
from tests.gateway.running import Gateway, listening
from tests.gateway.test_access import issued, keyring
from tests.gateway.test_asyncapi import check, document
from tests.gateway.test_push import frames
from tests.gateway.test_socket import raw, receive, say

PATH: Final = "/api/insights"
ID: Final = "20260102T0900-users"
PART: Final = InsightPart("users", NOW_US, None, "below", NOW_US, 5.0, 50.5, 40.0, 60.0, 9.5, ())
ONE: Final = WatchedInsight(ID, NOW_US, None, "high", 45.5, (PART,), NOW_US, 1)
SLOW: Final = 5
CHANGES: Final = 200
SNOOZE: Final = {"until": "2026-01-03T10:00:00Z", "reason": "a release"}


async def filled(gateway: Gateway, *insights: WatchedInsight, tenant: str = "") -> None:
    """Makes the service know these."""
    assert await gateway.services.watches.replace(tenant, Watched(insights, len(insights), 1, 1, NOW_US), 0)


async def test_incidents_are_listed_acknowledged_and_snoozed(gateway: Gateway) -> None:
    await filled(gateway, ONE)
    (one,) = (await gateway.client.get(PATH)).json()["incidents"]
    assert (one["insightId"], one["severity"], one["closed"], one["acknowledged"]) == (ID, "high", None, None)
    assert (one["parts"][0]["metric"], one["parts"][0]["direction"]) == ("users", "below")
    seen = await gateway.client.post(f"{PATH}/{ID}/acknowledge")
    assert (seen.status_code, seen.json()["acknowledged"]) == (200, "2026-01-02T10:00:00Z")
    snoozed = (await gateway.client.post(f"{PATH}/{ID}/snooze", json=SNOOZE)).json()
    assert (snoozed["snoozedUntil"], snoozed["snoozeReason"]) == ("2026-01-03T10:00:00Z", "a release")
    assert (await gateway.client.get(PATH)).json() == {"incidents": [snoozed], "sequence": 3, "budgetAlarms": []}
    assert (await gateway.client.post(f"{PATH}/{ID}/snooze", json={})).json()["snoozedUntil"] is None


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("none/acknowledge", None, "INSIGHT_NOT_FOUND"),
        ("none/snooze", SNOOZE, "INSIGHT_NOT_FOUND"),
        (f"{ID}/snooze", {"until": SNOOZE["until"]}, "MISSING_FIELD"),
        (f"{ID}/snooze", SNOOZE | {"until": "2025-01-03T10:00:00Z"}, "VALUE_OUT_OF_RANGE"),
        (f"{ID}/snooze", SNOOZE | {"until": "tomorrow"}, "INVALID_TIME"),
        (f"{ID}/snooze", SNOOZE | {"by": "bob"}, "UNKNOWN_FIELD"),
    ],
)
async def test_what_cannot_be_done_is_refused(gateway: Gateway, path: str, body: Any, reason: str) -> None:
    await filled(gateway, ONE)
    assert (await gateway.client.post(f"{PATH}/{path}", json=body)).json()["reason"] == reason


async def test_the_status_tells_how_the_watch_is_doing(gateway: Gateway) -> None:
    await filled(gateway, ONE)
    told = (await gateway.client.get(f"{PATH}/status")).json()
    assert told["judgedUntil"] == "2026-01-02T10:00:00Z"
    assert (told["openCount"], told["timeZone"], told["periodSeconds"]) == (1, "UTC", 60.0)
    assert (await gateway.client.post(told["wouldHaveTold"], json={})).status_code == 200


async def test_what_changed_is_noted_and_listed_and_an_incident_is_told_with_what_explains_it(gateway: Gateway) -> None:
    its = ONE._replace(
        slices=(InsightSlice("users", "page", "/pay", 1.0, 40.0, 0.9, 0.2),),
        missing_money=(Money("EUR", 90.5),),
        changes=(Change(NOW_US, "policy", "p-2"),),
        is_explained=True,
    )
    await filled(gateway, its)
    (one,) = (await gateway.client.get(PATH)).json()["incidents"]
    assert [(each["field"], each["value"], each["metric"]) for each in one["slices"]] == [("page", "/pay", "users")]
    assert (one["missingMoney"], one["isExplained"]) == ([{"currency": "EUR", "amount": 90.5}], True)
    assert [(each["kind"], each["name"]) for each in one["changes"]] == [("policy", "p-2")]
    noted = await gateway.client.post(f"{PATH}/changes", json={"what": "deploy", "name": "web 1.2.3"})
    assert (noted.status_code, noted.json()["time"]) == (200, "2026-01-02T10:00:00Z")
    assert (await gateway.client.get(f"{PATH}/changes")).json() == {"changes": [noted.json()]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"name": "web"}, "MISSING_FIELD"),
        ({"what": "deploy"}, "MISSING_FIELD"),
        ({"what": "policy", "name": "web"}, "VALUE_OUT_OF_RANGE"),
        ({"what": "deploy", "name": "web", "time": "soon"}, "INVALID_TIME"),
        ({"what": "deploy", "name": "web", "by": "bob"}, "UNKNOWN_FIELD"),
        ({"what": "nothing", "name": "web"}, "VALUE_OUT_OF_RANGE"),
    ],
)
async def test_what_cannot_be_noted_is_refused(gateway: Gateway, body: Any, reason: str) -> None:
    assert (await gateway.client.post(f"{PATH}/changes", json=body)).json()["reason"] == reason


async def test_a_day_is_told(gateway: Gateway) -> None:
    await filled(gateway, ONE._replace(opened_us=NOW_US - DAY_US))
    told = (await gateway.client.get(f"{PATH}/digest")).json()
    assert (told["day"], told["start"], told["isJudged"]) == ("2026-01-01", "2026-01-01T00:00:00Z", True)
    assert [len(told[of]) for of in ("opened", "closed", "open")] == [1, 0, 1]
    other = (await gateway.client.get(f"{PATH}/digest?day=2025-12-31")).json()
    assert not other["opened"]
    for day in ("today", "", "20251231", "\uff12\uff10\uff12\uff15-12-31"):
        refused = await gateway.client.get(f"{PATH}/digest", params={"day": day})
        assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_PARAMETER")
    refused = await gateway.client.get(f"{PATH}/digest?day=9999-12-31")
    assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_TIME")


async def test_a_tenant_has_its_own_and_who_acts_is_known_by_the_key() -> None:
    reading, acting = (
        issued(Kind.SECRET, frozenset(scopes), tenant="acme")
        for scopes in ({Scope.READ_FIGURES}, {Scope.READ_FIGURES, Scope.ANALYSE})
    )
    async with running.running(keys="required") as gateway:
        gateway.core.door.replace(keyring(reading, acting), running.NOW_US)
        await filled(gateway, ONE)
        await filled(gateway, ONE._replace(insight_id="theirs"), tenant="acme")
        (one,) = (await gateway.client.get(PATH, headers=reading.headers)).json()["incidents"]
        assert one["insightId"] == "theirs"
        path = f"{PATH}/theirs/acknowledge"
        assert (await gateway.client.post(path, headers=reading.headers)).status_code == 403
        seen = await gateway.client.post(path, headers=acting.headers)
        assert seen.json()["acknowledgedBy"] == acting.entry.key_id
        refused = await gateway.client.post(f"{PATH}/{ID}/acknowledge", headers=acting.headers)
        assert refused.json()["reason"] == "INSIGHT_NOT_FOUND"
        assert (await gateway.client.get(f"{PATH}/stream")).status_code == 401


async def read(url: str, count: int, **headers: str) -> list[dict[str, str]]:
    """The first so many events."""
    found: list[dict[str, str]] = []
    async with (
        asyncio.timeout(5),
        httpx.AsyncClient() as client,
        client.stream("GET", f"{url}{PATH}/stream", headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        async for one in frames(answer):
            found.append(one)
            if len(found) == count:
                break
    return found


async def test_events_tell_all_there_is_and_go_on_after_what_was_seen() -> None:
    async with listening() as (gateway, url):
        await filled(gateway, ONE, ONE._replace(insight_id="other", sequence=2))
        _, first = await read(url, 2)
        assert (first["id"], first["event"]) == ("2", "incidents")
        told = json.loads(first["data"])
        assert (told["isSnapshot"], [each["insightId"] for each in told["incidents"]]) == (True, [ID, "other"])
        _, later = await read(url, 2, **{"last-event-id": "1"})
        again = json.loads(later["data"])
        assert (again["isSnapshot"], [each["insightId"] for each in again["incidents"]]) == (False, ["other"])
        described = await document(gateway)
        for each in (told, again):
            check(described, "incidents", "incidents", each)
        refused = await gateway.client.get(f"{PATH}/stream", headers={"last-event-id": "x"})
        assert refused.json()["reason"] == "INVALID_PARAMETER"


def opened(url: str, query: str = "") -> connect:
    return connect(url.replace("http:", "ws:") + f"{PATH}/socket{query}", max_size=None)


async def test_a_socket_tells_the_same_and_takes_nothing() -> None:
    async with listening() as (gateway, url), opened(url) as client:
        await filled(gateway, ONE)
        described = await document(gateway)
        told = [await receive(client), await receive(client)]
        assert [(each["type"], each["isSnapshot"]) for each in told] == [("incidents", True), ("incidents", True)]
        assert [len(each["incidents"]) for each in told] == [0, 1]
        await gateway.client.post(f"{PATH}/{ID}/acknowledge")
        told.append(await receive(client))
        assert told[-1]["isSnapshot"] is False
        assert told[-1]["incidents"][0]["acknowledged"] == "2026-01-02T10:00:00Z"
        for each in told:
            check(described, "incidentsSocket", "incidents", each)
        refused = await say(client, {"type": "acknowledge"})
        assert refused["problem"]["reason"] == "INVALID_TYPE"
        check(described, "incidentsSocket", "problem", refused)
    async with listening() as (gateway, url):
        await filled(gateway, ONE, ONE._replace(insight_id="other", sequence=2))
        async with opened(url, "?sequence=1") as client:
            assert [each["insightId"] for each in (await receive(client))["incidents"]] == ["other"]


async def test_a_change_comes_to_the_socket_within_half_a_second() -> None:
    async with listening() as (gateway, url), opened(url) as client:
        await filled(gateway, ONE)
        while not (await receive(client))["incidents"]:
            pass
        service = gateway.core.peers.insights
        taken: list[float] = []
        for number in range(100):
            asked = wire.SnoozeInsightRequest(insight_id=ID, reason=f"reason {number}")
            asked.until.FromMicroseconds(NOW_US + DAY_US)
            began = time.perf_counter()
            await service.SnoozeInsight(asked)
            told = await receive(client)
            taken.append(time.perf_counter() - began)
            assert told["incidents"][0]["snoozeReason"] == asked.reason
        assert sorted(taken)[98] <= 0.5


class Counting(InsightsServicer):
    """Counts what watchers have taken of it."""

    taken_count = 0

    async def WatchInsights(
        self, request: wire.WatchInsightsRequest, context: ServerContext
    ) -> AsyncGenerator[wire.WatchInsightsResponse, None]:
        async with contextlib.aclosing(super().WatchInsights(request, context)) as told:
            async for each in told:
                yield each
                self.taken_count += 1


async def test_slow_clients_are_told_of_all_changes_at_once_and_nothing_is_kept_for_them() -> None:
    watches = MemoryWatches()
    large = ONE._replace(acknowledged_by="x" * 500_000, acknowledged_us=NOW_US)
    assert await watches.replace("", Watched((large,), 1, 1, 1, NOW_US), 0)
    watched = watched_insights(watches)
    counting = Counting(watched)
    async with listening(services=Services(watches=watches, insights=counting)) as (_, url):
        slow = [await raw(url, f"{PATH}/socket") for _ in range(SLOW)]
        async with contextlib.aclosing(watched.watch("")) as quick:
            await anext(quick)
            for number in range(CHANGES):
                await watched.snooze("", ID, "ada", NOW_US + DAY_US, f"reason {number}")
                await anext(quick)
        assert counting.taken_count < SLOW * CHANGES // 4  # what fits between, and no more
        reader, _ = slow[0]
        seen = b""
        async with asyncio.timeout(10):
            while f"reason {CHANGES - 1}".encode() not in seen:
                seen = seen[-100:] + await reader.read(1 << 20)
        assert counting.taken_count < SLOW * CHANGES // 4
        for _, writer in slow:
            writer.transport.abort()
