"""What gateways together spend of limits: the port over every adapter, and the service behind a real stub."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.access.v1 import limits_pb2 as wire
from journeymesh.access.v1.limits_pb2_grpc import LimitsServiceStub, add_LimitsServiceServicer_to_server

from mesh.errors import InvalidArgument, Unavailable
from mesh.store import redis
from services.access.limits.adapters.memory import MemoryLimits
from services.access.limits.adapters.redis import RedisLimits
from services.access.limits.domain.spending import Spent
from services.access.limits.ports import LimitStore
from services.access.limits.servicer import LimitsServicer
from services.access.limits.usecases import MOST_SPENT, Limits
from tests.builders import NOW_US, SECOND_US
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.limits_pb2_grpc import LimitsServiceAsyncStub


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> LimitStore:
    return MemoryLimits() if request.param == "memory" else RedisLimits(valkey)


async def test_what_is_spent_adds_up_and_passes_with_time(store: LimitStore) -> None:
    ten = Spent("key:a", 10, 5)
    assert await store.spend([ten], NOW_US) == [SECOND_US // 2]
    assert await store.spend([ten], NOW_US) == [SECOND_US]
    assert await store.spend([ten], NOW_US + SECOND_US // 4) == [SECOND_US * 5 // 4]
    assert await store.spend([ten], NOW_US + 100 * SECOND_US) == [SECOND_US // 2]


async def test_asking_changes_nothing(store: LimitStore) -> None:
    ask = Spent("key:a", 10, 0)
    assert await store.spend([ask], NOW_US) == [0]
    await store.spend([ask._replace(units=5)], NOW_US)
    assert await store.spend([ask], NOW_US) == [SECOND_US // 2]
    assert await store.spend([ask], NOW_US + SECOND_US) == [0]


async def test_limits_are_apart_by_holder_and_rate_and_may_be_spent_twice(store: LimitStore) -> None:
    spent = [Spent("key:a", 10, 5), Spent("tenant:a", 10, 1), Spent("key:a", 20, 5), Spent("key:a", 10, 5)]
    assert await store.spend(spent, NOW_US) == [SECOND_US // 2, SECOND_US // 10, SECOND_US // 4, SECOND_US]


async def test_a_full_limit_leaves_nothing_in_the_store(valkey: redis.Client) -> None:
    store = RedisLimits(valkey)
    await store.spend([Spent("key:a", 1_000_000, 1), Spent("key:b", 1, 100)], NOW_US)
    assert 99_000 < await valkey.pttl("jm:{access}:limit:1:key:b") <= 100_000
    assert await valkey.pttl("jm:{access}:limit:1000000:key:a") < 2


@given(st.lists(st.tuples(st.integers(0, 3 * SECOND_US), st.integers(0, 50)), max_size=30), st.integers(1, 1_000))
async def test_a_limit_is_as_far_from_full_as_a_bucket_that_is_refilled(
    spendings: list[tuple[int, int]], per_second: int
) -> None:
    store, missing, now_us = MemoryLimits(), 0.0, NOW_US
    for pause_us, units in spendings:
        now_us += pause_us
        missing = max(missing - pause_us * per_second / SECOND_US, 0.0) + units
        (full_in_us,) = await store.spend([Spent("key:a", per_second, units)], now_us)
        rounding_us = len(spendings)
        assert full_in_us == pytest.approx(missing / per_second * SECOND_US, abs=rounding_us)


@pytest.fixture
async def stub() -> AsyncIterator["LimitsServiceAsyncStub"]:
    servicer = LimitsServicer(Limits(MemoryLimits(), lambda: NOW_US))
    async with serving(lambda server: add_LimitsServiceServicer_to_server(servicer, server)) as channel:
        yield LimitsServiceStub(channel)


async def test_the_service_answers_in_the_order_of_the_request(stub: "LimitsServiceAsyncStub") -> None:
    spent = [wire.Spent(holder=f"key:{name}", per_second=100, units=units) for name, units in (("b", 2), ("a", 1))]
    answer = await stub.SpendUnits(wire.SpendUnitsRequest(spent=spent))
    assert list(answer.full_in_us) == [20_000, 10_000]
    assert not (await stub.SpendUnits(wire.SpendUnitsRequest())).full_in_us


@pytest.mark.parametrize(
    "spent",
    [
        [wire.Spent(holder="", per_second=1)],
        [wire.Spent(holder="k" * 101, per_second=1)],
        [wire.Spent(holder="k", per_second=0)],
        [wire.Spent(holder="k", per_second=1_000_001)],
        [wire.Spent(holder="k", per_second=1, units=1_000_000_001)],
        [wire.Spent(holder="k", per_second=1)] * (MOST_SPENT + 1),
    ],
)
async def test_a_report_out_of_range_counts_nothing(stub: "LimitsServiceAsyncStub", spent: list[wire.Spent]) -> None:
    good = wire.Spent(holder="good", per_second=1, units=1)
    with pytest.raises(InvalidArgument) as caught:
        await stub.SpendUnits(wire.SpendUnitsRequest(spent=[good, *spent]))
    assert caught.value.reason == "VALUE_OUT_OF_RANGE"
    ask = wire.Spent(holder="good", per_second=1)
    assert list((await stub.SpendUnits(wire.SpendUnitsRequest(spent=[ask]))).full_in_us) == [0]


async def test_a_store_that_is_away_is_reported() -> None:
    with pytest.raises(Unavailable):
        await RedisLimits(redis.connect("redis://127.0.0.1:1/0")).spend([Spent("key:a", 1, 1)], NOW_US)
