"""What the mesh cost, and what one of each thing cost that came of it."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import VersionMismatch
from mesh.settings import SettingError
from mesh.store import redis
from services.analytics.adapters import prices
from services.analytics.adapters.budgets import MemoryBudgets, RedisBudgets
from services.analytics.domain.answer import HelpEffect
from services.analytics.domain.costs import Budget, OwnBudget, costs, used_usd
from services.analytics.domain.question import DAY_US, DayOfUse, Price, Prices
from services.analytics.ports import BudgetStore

AMOUNTS = st.floats(0, 1000)
DAYS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1), AMOUNTS), max_size=20)
PRICES = st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), max_size=5)


def rate(difference: float | None, lower: float | None, upper: float | None) -> HelpEffect:
    return HelpEffect("conversion_rate", "", 0.3, 0.2, difference, lower, upper)


@given(DAYS, PRICES)
def test_parts_and_days_add_up_to_the_same(
    days: list[tuple[int, int, float, float]], priced: list[tuple[float, float, float]]
) -> None:
    of = [DayOfUse(number * DAY_US, *each) for number, each in enumerate(days)]
    found = costs(of, [Price(f"p{number}", *each) for number, each in enumerate(priced)], 0, 0, ())
    assert sum(part.usd for part in found.parts) == pytest.approx(found.usd)
    assert sum(day.usd for day in found.days) == pytest.approx(found.usd)
    assert found.usd >= sum(each[3] for each in days) * (1 - 1e-9)


def test_an_added_conversion_costs_between_what_most_and_fewest_would() -> None:
    day = [DayOfUse(0, 100, 50, 1.0, 12.0)]
    *_, added = costs(day, (), 4, 1000, (rate(0.10, 0.05, 0.15),)).per
    assert added == pytest.approx(("added_conversion", 100.0, 0.12, 0.08, 0.24))
    *_, unsure = costs(day, (), 4, 1000, (rate(0.10, -0.05, 0.25),)).per
    assert unsure == pytest.approx(("added_conversion", 100.0, 0.12, 0.048, None))
    *_, harmful = costs(day, (), 4, 1000, (rate(-0.10, -0.20, -0.05),)).per
    assert harmful == ("added_conversion", 0.0, None, None, None)
    *_, unknown = costs(day, (), 4, 1000, (rate(None, None, None),)).per
    assert unknown == ("added_conversion", 0.0, None, None, None)


def test_prices_are_read_from_a_file_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    parts = [{"name": "store", "usdPerMillionEvents": 0.1}, {"name": "machines", "usdPerDay": 4}]
    file.write_text(json.dumps({"version": 1, "parts": parts}))
    assert prices.read(str(file)) == Prices((Price("store", 0.1), Price("machines", usd_per_day=4.0)))
    assert prices.read("") == Prices()
    file.write_text(json.dumps({"version": 1, "parts": [], "dailyBudgetUsd": 9, "tenantBudgetsUsd": {"acme": 2.5}}))
    found = prices.read(str(file))
    assert [found.budget_of(tenant) for tenant in ("", "acme", "globex")] == [9.0, 2.5, 9.0]


def test_the_share_of_a_budget_is_that_of_all_parts_and_of_the_lower_one() -> None:
    day = DayOfUse(0, 1_000_000, 0, 0.5, 1.0)
    used = used_usd(day, (Price("store", 2.0), Price("machines", usd_per_day=4.0)))
    assert used == pytest.approx(5.0)
    own = OwnBudget(4.0, "ada", 1)
    for its, operator_usd, daily_usd, share in (
        (None, 10.0, 10.0, 0.5),
        (own, 10.0, 4.0, 1.25),
        (own, 2.5, 2.5, 2.0),
        (own, None, 4.0, 1.25),
        (None, None, None, None),
    ):
        found = Budget(its, operator_usd, used)
        assert (found.daily_usd, found.used_share) == (daily_usd, pytest.approx(share) if share else None)


@pytest.fixture(params=["memory", "redis"])
def budgets(request: pytest.FixtureRequest, valkey: redis.Client) -> BudgetStore:
    return MemoryBudgets() if request.param == "memory" else RedisBudgets(valkey)


async def test_a_tenant_s_budget_is_kept_until_it_is_replaced_and_nobody_else_s(budgets: BudgetStore) -> None:
    one = OwnBudget(4.5, "ada", 1)
    for its in (one, one._replace(daily_usd=1e9, set_by="", set_us=2), None, None):
        for _ in range(2):
            await budgets.replace("acme", its)
        assert [await budgets.read(tenant) for tenant in ("acme", "")] == [its, None]


async def test_a_budget_that_a_newer_version_stored_is_refused(valkey: redis.Client) -> None:
    await valkey.hset("jm:{analytics}:budgets", "acme", msgspec.msgpack.encode([2, 1.0, "", 0, "new"]))
    with pytest.raises(VersionMismatch):
        await RedisBudgets(valkey).read("acme")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"version":2,"parts":[]}',
        '{"version":1,"parts":[],"dailyBudgetUsd":0}',
        '{"version":1,"parts":[],"tenantBudgetsUsd":{"acme":-1}}',
        '{"version":1,"parts":[{"name":"a"},{"name":"a"}]}',
        '{"version":1,"parts":[{"name":"language_models"}]}',
        '{"version":1,"parts":[{"name":"store\\n"}]}',
        '{"version":1,"parts":[{"name":"a","usdPerDay":-1}]}',
        '{"version":1,"parts":[{"name":"a","usdPerYear":1}]}',
    ],
)
def test_a_price_file_that_says_nothing_clear_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(SettingError, match="JOURNEYMESH_PRICES_FILE"):
        prices.read(str(file))
    with pytest.raises(SettingError, match="JOURNEYMESH_PRICES_FILE"):
        prices.read(str(tmp_path / "missing.json"))
