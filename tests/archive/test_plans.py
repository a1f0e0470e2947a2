"""The port of plans over every adapter."""

import pytest

from mesh.errors import FailedPrecondition, Unavailable
from mesh.store import redis
from services.ingest.archive.adapters.plans import MemoryPlans, RedisPlans
from services.ingest.archive.domain.layout import Plan
from services.ingest.archive.ports import Plans

KINESIS = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898


@pytest.fixture(params=["memory", "redis"])
def plans(request: pytest.FixtureRequest, valkey: redis.Client) -> Plans:
    return MemoryPlans() if request.param == "memory" else RedisPlans(valkey, "events")


async def test_a_plan_is_kept_for_who_comes_next(plans: Plans) -> None:
    assert await plans.take("3", 1) is None
    await plans.save("3", 1, Plan(-1, KINESIS))
    assert await plans.take("3", 2) == Plan(-1, KINESIS)
    await plans.save("3", 2, Plan(KINESIS, KINESIS + 9))
    assert await plans.take("3", 2) == Plan(KINESIS, KINESIS + 9)
    assert await plans.take("4", 1) is None


async def test_an_older_epoch_is_refused_as_soon_as_a_newer_one_has_looked(plans: Plans) -> None:
    await plans.save("3", 1, Plan(-1, 7))
    await plans.take("3", 2)
    for refused in (plans.save("3", 1, Plan(7, 9)), plans.take("3", 1)):
        with pytest.raises(FailedPrecondition) as raised:
            await refused
        assert raised.value.reason == "LEASE_LOST"
    assert await plans.take("3", 3) == Plan(-1, 7)
    await plans.save("4", 1, Plan(-1, 1))


async def test_an_unreachable_server_is_unavailable() -> None:
    client = redis.connect("redis://127.0.0.1:1/0")
    with pytest.raises(Unavailable):
        await RedisPlans(client, "events").take("3", 1)
    await client.aclose()
