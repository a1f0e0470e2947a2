"""What a tenant's day may cost, over REST: by the tenant's own key, and of no other tenant."""

from typing import Final

import pytest
from journeymesh.analytics.v1 import analytics_pb2 as wire

from mesh.keys import Kind, Scope
from tests.gateway import running
from tests.gateway.running import Gateway
from tests.gateway.test_access import issued, keyring

PATH: Final = "/api/analytics/budget"


async def test_a_tenant_s_key_sees_and_sets_the_budget_of_its_tenant() -> None:
    reading, acting = (
        issued(Kind.SECRET, frozenset(scopes), tenant="acme")
        for scopes in ({Scope.READ_FIGURES}, {Scope.READ_FIGURES, Scope.OPERATE})
    )
    async with running.running(keys="required") as gateway:
        gateway.core.door.replace(keyring(reading, acting), running.NOW_US)
        read, act = (each.headers for each in (reading, acting))
        told = (await gateway.client.get(PATH, headers=read)).json()
        assert (told["ownDailyUsd"], told["dailyUsd"], told["usedTodayUsd"]) == (None, None, 1.5)
        assert (await gateway.client.post(PATH, json={"dailyUsd": 5}, headers=read)).status_code == 403
        set_ = (await gateway.client.post(PATH, json={"dailyUsd": 5}, headers=act)).json()
        assert (set_["ownDailyUsd"], set_["dailyUsd"]) == (5.0, 5.0)
        gone = (await gateway.client.post(PATH, json={"dailyUsd": None}, headers=act)).json()
        assert gone["ownDailyUsd"] is None
        asked = gateway.services.analytics.requests
        assert [each.tenant for each in asked] == ["acme"] * 3
        assert [type(each) for each in asked] == [wire.GetBudgetRequest, wire.SetBudgetRequest, wire.SetBudgetRequest]
        assert {each.by for each in asked[1:]} == {acting.entry.key_id}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"dailyUsd": 0}, "INVALID_TYPE"),
        ({"dailyUsd": 1e-320}, "INVALID_TYPE"),
        ({"dailyUsd": 2e9}, "INVALID_TYPE"),
        ({"dailyUsd": "5"}, "INVALID_TYPE"),
        ({}, "INVALID_TYPE"),
        ({"dailyUsd": 5, "tenant": "globex"}, "UNKNOWN_FIELD"),
    ],
)
async def test_a_budget_that_is_none_is_refused(gateway: Gateway, body: dict[str, object], reason: str) -> None:
    answer = await gateway.client.post(PATH, json=body)
    assert answer.status_code == 400
    assert answer.json()["reason"] == reason
    assert gateway.services.analytics.requests == []
