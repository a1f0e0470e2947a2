"""Limits of keys and tenants: what one gateway lets pass, what several do together, and what clients are told."""

import asyncio
import contextlib
import dataclasses
import json
import math
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.access.v1 import access_pb2, limits_pb2
from journeymesh.access.v1.limits_pb2_grpc import LimitsServiceStub, add_LimitsServiceServicer_to_server
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.access.keyring import keyring_of
from gateway.access.limits import follow_limits, share_limits
from gateway.http.rates import Limit, Rates
from mesh.errors import MeshError, ResourceExhausted, Unavailable
from mesh.keys import Kind
from mesh.observability import telemetry
from services.access.limits.adapters.memory import MemoryLimits
from services.access.limits.servicer import LimitsServicer
from services.access.limits.usecases import Limits
from tests.builders import SECOND_US
from tests.gateway.running import NOW_US, Gateway, listening, running
from tests.gateway.test_access import Issued, issued
from tests.gateway.test_doors import until
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.limits_pb2_grpc import LimitsServiceAsyncStub

STEP_US: Final = 50_000
CLICK: Final = {"userId": "ada", "eventType": "click"}


@dataclasses.dataclass
class Time:
    """A clock that the test moves."""

    now_us: int = SECOND_US

    def __call__(self) -> int:
        return self.now_us


def limit(per_second: int, burst: int = 0, holder: str = "key:k", policy: str = "key") -> Limit:
    return Limit(policy, holder, per_second, burst or per_second)


def rates(time: Time) -> Rates:
    return Rates(time, telemetry.off().metrics)


def admits(counted: Rates, *limits: Limit, units: int = 1) -> bool:
    """Whether a request of so many units is let pass."""
    try:
        counted.admit(limits)
    except ResourceExhausted:
        return False
    counted.spend(limits, units - 1)
    return True


REQUESTS: Final = st.lists(st.tuples(st.integers(0, 2 * SECOND_US), st.integers(1, 40)), max_size=60)


@given(REQUESTS, st.integers(1, 2_000), st.integers(1, 5))
def test_a_gateway_lets_pass_what_a_bucket_that_is_refilled_would(
    requests: Sequence[tuple[int, int]], per_second: int, seconds: int
) -> None:
    time = Time()
    counted, only = rates(time), limit(per_second, seconds * per_second)
    left = Fraction(only.burst)
    for pause_us, units in requests:
        time.now_us += pause_us
        left = min(left + Fraction(pause_us * per_second, SECOND_US), Fraction(only.burst))
        assert admits(counted, only, units=units) == (left >= 1)
        if left >= 1:
            left -= units
        ((_, standing), _) = counted.headers([only])
        assert f";r={max(int(left // 1), 0)};".encode() in standing


@given(REQUESTS, st.integers(1, 2_000))
def test_who_waits_as_long_as_told_is_let_pass(requests: Sequence[tuple[int, int]], per_second: int) -> None:
    time = Time()
    counted, only = rates(time), limit(per_second)
    for pause_us, units in requests:
        time.now_us += pause_us
        if not admits(counted, only, units=units):
            with pytest.raises(ResourceExhausted) as caught:
                counted.admit([only])
            assert caught.value.retry_after_seconds is not None
            time.now_us += math.ceil(caught.value.retry_after_seconds * SECOND_US) + 1
            assert admits(counted, only)


def test_a_request_needs_something_left_of_every_limit_and_spends_of_all_or_none() -> None:
    counted = rates(Time())
    of_key, of_tenant = limit(5), limit(3, holder="tenant:acme", policy="tenant")
    assert [admits(counted, of_key, of_tenant) for _ in range(4)] == [True, True, True, False]
    assert [admits(counted, of_key) for _ in range(3)] == [True, True, False]


def test_to_ask_whether_a_request_would_be_refused_spends_nothing() -> None:
    counted, only = rates(Time()), limit(5, 5)
    assert [counted.refusal([only]) for _ in range(10)] == [None] * 10
    assert admits(counted, only, units=6)
    refused = [counted.refusal([only]) for _ in range(10)]
    assert [each and each.retry_after_seconds for each in refused] == [0.4] * 10
    assert counted.take_unreported() == {only: 6}


def test_a_limit_that_changed_begins_anew() -> None:
    counted = rates(Time())
    assert admits(counted, limit(1), units=1_000)
    assert not admits(counted, limit(1))
    assert admits(counted, limit(10))


def test_limits_that_are_full_again_are_forgotten() -> None:
    time = Time()
    counted = rates(time)
    for number in range(100):
        assert admits(counted, limit(1, holder=f"key:{number}"))
    assert len(counted.take_unreported()) == 100
    time.now_us += SECOND_US
    assert not counted.take_unreported()
    assert len(counted) == 0


@contextlib.asynccontextmanager
async def sharing(time: Time) -> AsyncIterator["LimitsServiceAsyncStub"]:
    """The access service, as far as limits are concerned."""
    servicer = LimitsServicer(Limits(MemoryLimits(), time))
    async with serving(lambda server: add_LimitsServiceServicer_to_server(servicer, server)) as channel:
        yield LimitsServiceStub(channel)


def step(time: Time, gateways: Sequence[Rates], offered: Sequence[int], only: Limit) -> int:
    """Offers each gateway so many requests in the course of a step; returns how many of them were let pass."""
    moments = sorted((STEP_US * n // count, place) for place, count in enumerate(offered) for n in range(count))
    began_us, passed = time.now_us, 0
    for after_us, place in moments:
        time.now_us = began_us + after_us
        passed += admits(gateways[place], only)
    time.now_us = began_us + STEP_US
    return passed


@pytest.mark.parametrize(
    "offered",
    [(250, 250), (500, 20), (500, 0), (300, 300, 300, 300)],
    ids=["two alike", "two unlike", "one idle", "four"],
)
async def test_gateways_together_let_pass_what_the_limit_allows_within_a_hundredth(offered: Sequence[int]) -> None:
    time, only, seconds = Time(), limit(5_000), 10
    gateways = [rates(time) for _ in offered]
    passed = 0
    async with sharing(time) as service:
        for _ in range(seconds * SECOND_US // STEP_US):
            passed += step(time, gateways, offered, only)
            for each in gateways:
                if each.has_news.is_set():
                    await share_limits(each, service)
    allowed = min(only.burst + seconds * only.per_second, sum(offered) * seconds * SECOND_US // STEP_US)
    assert passed == pytest.approx(allowed, rel=0.01)


async def test_below_the_limit_nothing_is_refused_at_any_gateway() -> None:
    time, only = Time(), limit(5_000)
    gateways = [rates(time), rates(time)]
    async with sharing(time) as service:
        for _ in range(100):
            assert step(time, gateways, (124, 124), only) == 248
            for each in gateways:
                await share_limits(each, service)


async def test_a_gateway_holds_nothing_back_for_others() -> None:
    time, only = Time(), limit(1_000)
    one, other = rates(time), rates(time)
    async with sharing(time) as service:
        assert admits(one, only)
        await share_limits(one, service)
        assert sum(admits(other, only) for _ in range(1_500)) == 1_000
        await share_limits(other, service)
        assert admits(one, only)  # it has not heard of it
        await share_limits(one, service)
        assert not admits(one, only)


async def test_without_the_access_service_each_gateway_keeps_the_whole_limit(caplog: pytest.LogCaptureFixture) -> None:
    time, only = Time(), limit(100)
    async with serving(lambda _: None) as channel:  # an older one, which does not know the call
        older: LimitsServiceAsyncStub = LimitsServiceStub(channel)
        gateways = [rates(time), rates(time)]
        following = [asyncio.create_task(follow_limits(each, older)) for each in gateways]
        for each in gateways:
            assert sum(admits(each, only) for _ in range(300)) == 100
        await until(lambda: "by itself" in caplog.text)
        time.now_us += SECOND_US // 2
        for each in gateways:
            assert sum(admits(each, only) for _ in range(300)) == 50
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


class Mistaken(LimitsServicer):
    """Answers about fewer limits than it is asked about."""

    async def SpendUnits(self, request: limits_pb2.SpendUnitsRequest, _context: Any) -> limits_pb2.SpendUnitsResponse:
        return limits_pb2.SpendUnitsResponse(full_in_us=[0] * (len(request.spent) - 1))


async def test_an_answer_that_does_not_fit_changes_nothing() -> None:
    time, only = Time(), limit(10)
    counted = rates(time)
    servicer = Mistaken(Limits(MemoryLimits(), time))
    async with serving(lambda server: add_LimitsServiceServicer_to_server(servicer, server)) as channel:
        assert admits(counted, only, units=10)
        with pytest.raises(MeshError):
            await share_limits(counted, LimitsServiceStub(channel))
    assert not admits(counted, only)


async def test_a_debt_of_the_time_without_access_is_not_collected_afterwards() -> None:
    time, only = Time(), limit(100)
    gateways = [rates(time), rates(time)]
    async with serving(lambda _: None) as channel:
        for _ in range(10):
            for each in gateways:
                while admits(each, only):
                    pass
                with pytest.raises(Unavailable):
                    await share_limits(each, LimitsServiceStub(channel))
            time.now_us += SECOND_US
    async with sharing(time) as service:
        for each in gateways:
            await share_limits(each, service)
            assert admits(each, only)


async def test_news_are_shared_in_the_background() -> None:
    time, only = Time(), limit(1_000)
    one, other = rates(time), rates(time)
    async with sharing(time) as service:
        following = [asyncio.create_task(follow_limits(each, service)) for each in (one, other)]
        while admits(one, only):
            pass
        async with asyncio.timeout(10):
            for _ in range(900):
                if not admits(other, only):
                    break
                await asyncio.sleep(0.01)
            else:
                pytest.fail("one gateway never heard of the other")
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


# What clients see.


def limited(per_second: int, burst: int, kind: Kind = Kind.SECRET) -> Issued:
    """A key with a rate."""
    key = issued(kind)
    key.entry.rights.rate.per_second, key.entry.rights.rate.burst = per_second, burst
    return key


@contextlib.asynccontextmanager
async def knowing(*keys: Issued, time: Time | None = None, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway that knows these keys."""
    async with running(keys="required", monotonic=time or Time(), **settings) as gateway:
        know(gateway, *keys)
        yield gateway


def know(gateway: Gateway, *keys: Issued) -> None:
    response = access_pb2.GetKeyringResponse(revision="1", entries=[each.entry for each in keys])
    gateway.core.door.replace(keyring_of(response, gateway.core.door.tenant_rate), NOW_US)


async def send(gateway: Gateway, key: Issued, count: int = 1) -> httpx.Response:
    events = [CLICK] * count
    return await gateway.client.post("/api/events/track", headers=key.headers, json={"events": events})


_ITEM: Final = re.compile(
    r'\s*"(?P<name>(?:[^"\\]|\\["\\])*)"(?P<parameters>(?:;[a-z*][a-z0-9_\-.*]*=-?[0-9]{1,15})*)\s*'
)


def structured(header: str) -> Iterator[tuple[str, Mapping[str, int]]]:
    """The strings of a list of structured fields (RFC 9651), with their parameters, all of them integers."""
    for member in header.split(","):
        item = _ITEM.fullmatch(member)
        assert item, header
        pairs = (each.strip().split("=") for each in item["parameters"].split(";")[1:])
        yield item["name"], {name: int(number) for name, number in pairs}


def standing(answer: httpx.Response) -> dict[str, Mapping[str, int]]:
    return dict(structured(answer.headers["ratelimit"]))


async def test_answers_say_what_is_left_and_when_all_is_there_again() -> None:
    key, time = limited(10, 25), Time()
    async with knowing(key, time=time) as gateway:
        first = await send(gateway, key, 20)
        assert first.status_code == 202
        assert dict(structured(first.headers["ratelimit-policy"])) == {"key": {"q": 25, "w": 3}}
        assert standing(first) == {"key": {"r": 5, "t": 2}}
        read = await gateway.client.get("/api/users/ada", headers=key.headers)
        assert standing(read) == {"key": {"r": 4, "t": 3}}
        time.now_us += 10 * SECOND_US
        assert standing(await send(gateway, key)) == {"key": {"r": 24, "t": 1}}


async def test_what_is_over_the_limit_is_refused_as_a_whole_before_its_body_is_read() -> None:
    key, time = limited(10, 10), Time()
    async with knowing(key, time=time) as gateway:
        assert (await send(gateway, key, 25)).json()["accepted"] == 25  # it is never taken in part
        taken = len(gateway.services.ingest.requests)
        refused = await gateway.client.post("/api/events/track", headers=key.headers, content=b"no JSON at all")
        assert (refused.status_code, refused.json()["reason"]) == (429, "RATE_LIMITED")
        assert refused.headers["retry-after"] == "2"
        assert standing(refused) == {"key": {"r": 0, "t": 3}}
        assert len(gateway.services.ingest.requests) == taken
        read = await gateway.client.get("/api/users/ada", headers=key.headers)
        assert (read.status_code, read.json()["reason"]) == (429, "RATE_LIMITED")
        time.now_us += 2 * SECOND_US
        assert (await send(gateway, key)).status_code == 202


async def test_keys_of_a_tenant_share_its_limit_and_others_have_theirs() -> None:
    one, two, other = (issued(Kind.SECRET, tenant=tenant) for tenant in ("acme", "acme", "globex"))
    for key in (one, two):
        key.entry.tenant_rate.per_second, key.entry.tenant_rate.burst = 4, 4
    default, unlimited = issued(Kind.SECRET), {"ratelimit", "ratelimit-policy"}
    async with knowing(one, two, other, default, tenant_rate=50) as gateway:
        assert [(await send(gateway, key)).status_code for key in (one, two, one, two, one)] == [202] * 4 + [429]
        assert standing(await send(gateway, other)) == {"tenant": {"r": 99, "t": 1}}
        assert unlimited.isdisjoint((await send(gateway, default)).headers)


async def test_a_tenant_has_no_limit_if_gateways_are_set_to_none() -> None:
    key = issued(Kind.SECRET, tenant="acme")
    async with knowing(key, tenant_rate=0) as gateway:
        assert "ratelimit" not in (await send(gateway, key)).headers


async def test_both_limits_of_a_key_are_told() -> None:
    key = limited(10, 20)
    key.entry.tenant, key.entry.tenant_rate.per_second, key.entry.tenant_rate.burst = "acme", 5, 5
    async with knowing(key) as gateway:
        answer = await send(gateway, key, 2)
        assert standing(answer) == {"key": {"r": 18, "t": 1}, "tenant": {"r": 3, "t": 1}}
        assert dict(structured(answer.headers["ratelimit-policy"])) == {
            "key": {"q": 20, "w": 2},
            "tenant": {"q": 5, "w": 1},
        }


async def test_segment_clients_are_told_to_come_again_wherever_their_key_is() -> None:
    key = limited(1, 2, Kind.PUBLIC)
    message = {"userId": "ada", "event": "Opened"}
    async with knowing(key) as gateway:
        post = gateway.client.post
        assert (await post("/v1/t", json={**message, "writeKey": key.text})).status_code == 200
        assert (await post("/v1/t", json=message, auth=(key.text, ""))).status_code == 200
        for answer in (
            await post("/v1/t", json={**message, "writeKey": key.text}),
            await post("/v1/batch", json={"batch": [{"type": "track", **message}], "writeKey": key.text}),
            await post("/v1/batch", json={"batch": [{"type": "track", **message}]}, auth=(key.text, "")),
        ):
            assert (answer.status_code, answer.json()["reason"]) == (429, "RATE_LIMITED")
            assert answer.headers["retry-after"] == "1"


async def test_pages_may_read_the_limits() -> None:
    key = limited(10, 10, Kind.PUBLIC)
    key.entry.rights.origins.append("https://shop.example")
    async with knowing(key) as gateway:
        headers = key.headers | {"origin": "https://shop.example"}
        answer = await gateway.client.post("/api/events/track", headers=headers, json=CLICK)
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"ratelimit", "ratelimit-policy", "retry-after"} <= set(exposed)


async def test_messages_of_a_socket_count_as_requests() -> None:
    key = limited(1, 2, Kind.SECRET)
    async with listening(keys="required", monotonic=Time()) as (gateway, url):
        know(gateway, key)
        uri = url.replace("http", "ws") + "/api/interventions/ada/socket"
        async with connect(uri, additional_headers=key.headers) as socket:
            reasons = []
            for _ in range(2):
                await socket.send(json.dumps({"type": "outcome", "id": "i-1", "outcome": "accepted"}))
                while (answer := json.loads(await socket.recv()))["type"] not in {"problem", "outcome_taken"}:
                    pass
                reasons.append(answer.get("problem", {}).get("reason"))
    assert reasons[1] == "RATE_LIMITED"
    assert reasons[0] != "RATE_LIMITED"


async def test_probes_need_no_unit_and_refusals_are_counted() -> None:
    key = limited(1, 1)
    async with knowing(key) as gateway:
        assert (await send(gateway, key)).status_code == 202
        assert (await send(gateway, key)).status_code == 429
        for path in ("/healthz", "/docs"):
            assert (await gateway.client.get(path, headers=key.headers)).status_code == 200
        counted = gateway.core.telemetry.metrics.render()
        assert b'journeymesh_rate_limited_requests_total{limit="key"} 1.0' in counted
        assert b'journeymesh_rate_limited_requests_total{limit="tenant"} 0.0' in counted


# What a tenant may have under way.


async def test_a_tenant_that_fills_its_share_leaves_the_rest_to_others() -> None:
    keys = greedy, other, default = [issued(Kind.SECRET, tenant=tenant) for tenant in ("acme", "globex", "")]
    async with knowing(*keys, request_count=4, address_percent=100, tenant_percent=50) as gateway:
        gateway.services.ingest.gate = asyncio.Event()
        waiting = [asyncio.create_task(send(gateway, greedy)) for _ in range(2)]
        await until(lambda: gateway.core.admission.requests == 2)
        refused = await send(gateway, greedy)
        assert (refused.status_code, refused.json()["reason"]) == (429, "TENANT_BUSY")
        assert refused.headers["retry-after"] == "1"
        waiting += [asyncio.create_task(send(gateway, key)) for key in (other, default)]
        await until(lambda: gateway.core.admission.requests == 4)
        assert (await send(gateway, other)).status_code == 503
        gateway.services.ingest.gate.set()
        assert [each.status_code for each in await asyncio.gather(*waiting)] == [202] * 4
        assert (gateway.core.admission.requests, gateway.core.admission.held_bytes) == (0, 0)
        assert (await send(gateway, greedy)).status_code == 202


async def test_what_segment_pages_send_for_a_tenant_waits_within_its_share() -> None:
    keys = greedy, other = [issued(Kind.PUBLIC, tenant=tenant) for tenant in ("acme", "globex")]
    async with knowing(*keys, waiting_bytes=2 * 1024 * 1024, address_percent=100, tenant_percent=1) as gateway:

        def page(key: Issued) -> "asyncio.Task[httpx.Response]":
            message = {"type": "track", "userId": "ada", "event": "Opened", "properties": {"x": "y" * 20_000}}
            body = {"batch": [message] * 20, "writeKey": key.text}
            return asyncio.create_task(gateway.client.post("/v1/b", json=body))

        gateway.services.ingest.gate = asyncio.Event()
        waiting = [page(greedy) for _ in range(2)]
        await until(lambda: gateway.core.admission.requests == 2)
        refused = await page(greedy)
        assert (refused.status_code, refused.json()["reason"]) == (429, "TENANT_BUSY")
        waiting.append(page(other))
        await until(lambda: gateway.core.admission.requests == 3)
        gateway.services.ingest.gate.set()
        assert [each.status_code for each in await asyncio.gather(*waiting)] == [200] * 3
        assert (gateway.core.admission.requests, gateway.core.admission.held_bytes) == (0, 0)


async def test_streams_of_a_tenant_leave_room_for_others() -> None:
    keys = greedy, other = [issued(Kind.SECRET, tenant=tenant) for tenant in ("acme", "globex")]
    async with listening(keys="required", stream_count=2, address_percent=100, tenant_percent=50) as (gateway, url):
        know(gateway, *keys)
        uri = url.replace("http", "ws") + "/api/interventions/{}/socket"
        async with connect(uri.format("ada"), additional_headers=greedy.headers):
            with pytest.raises(InvalidStatus) as refused:
                await connect(uri.format("bob"), additional_headers=greedy.headers)
            assert refused.value.response.status_code == 429
            assert b"TOO_MANY_STREAMS" in (refused.value.response.body or b"")
            async with connect(uri.format("ada"), additional_headers=other.headers):
                pass
        await until(lambda: len(gateway.core.streams) == 0)
