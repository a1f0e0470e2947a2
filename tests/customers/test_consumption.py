"""When a product is needed again, and what the next basket holds: closed forms, customers drawn, a shop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline.customers import baskets, consuming, habits, markets
from services.customers.domain import basket, consumption
from services.customers.domain.basket import NO_MARKET
from services.customers.domain.consumption import Bought, Consumption
from services.customers.domain.purchases import History, Line, Order

DAY_MS = 86_400_000
MODEL = Consumption(1, 2.0, 0.01, {"drinks": 0.05}, {"coffee": 0.07})
REGULAR = MODEL._replace(stages=4)


def order(day: int, *products: str) -> Order:
    """A day's order of one each."""
    lines = tuple(Line(product, product, "", 1, 1.0) for product in products)
    return Order(str(day), day * DAY_MS, float(len(lines)), "EUR", refund=False, lines=lines)


days_bought = st.lists(st.integers(0, 300), min_size=1, max_size=20, unique=True).map(lambda days: tuple(sorted(days)))


@given(days_bought, st.integers(0, 200), st.integers(1, 90), st.floats(0.5, 5))
def test_one_stage_is_the_closed_form(days: tuple[int, ...], since: int, ahead: int, shape: float) -> None:
    model, of = MODEL._replace(shape=shape), Bought("coffee", "", "drinks", days)
    today = days[-1] + since
    posterior = shape + len(days) - 1
    watched = shape / (0.07 * consumption.activity(model, [of], today)) + today - days[0]
    found = consumption.chances(model, [of], today, ahead)
    assert found.probability[0] == pytest.approx(1 - (watched / (watched + ahead)) ** posterior, abs=2e-3)
    assert 0 <= found.lower[0] <= found.upper[0] <= 1


@given(days_bought, st.integers(0, 200), st.integers(1, 90))
def test_more_days_ahead_are_no_less_likely(days: tuple[int, ...], since: int, ahead: int) -> None:
    of = [Bought("coffee", "", "drinks", days)]
    for model in (MODEL, REGULAR):
        sooner, later = (consumption.chances(model, of, days[-1] + since, ahead + more) for more in (0, 5))
        for one, other in zip(sooner, later, strict=True):
            assert one[0] <= other[0] + 1e-9


def test_a_product_bought_at_a_pace_is_due_when_its_time_has_come() -> None:
    history = tuple(order(day, "coffee") for day in range(0, 141, 14))
    fresh, due, late = (consumption.due(REGULAR, history, 140 + since, 7)[0] for since in (1, 13, 20))
    assert fresh.probability < due.probability
    assert fresh.left == pytest.approx(12, abs=1.5)
    assert due.left == pytest.approx(0.5, abs=1)
    assert late.left == 0
    assert (fresh.times, fresh.last) == (11, 140)


def test_what_is_not_known_is_taken_from_the_category_and_then_from_all() -> None:
    assert MODEL.rate("coffee", "drinks") == 0.07
    assert MODEL.rate("tea", "drinks") == 0.05
    assert MODEL.rate("nail", "tools") == 0.01


def test_refunds_are_no_purchases_and_no_lines_no_products() -> None:
    refund = order(3, "coffee")._replace(refund=True)
    assert consumption.bought((order(1, "tea"), refund)) == (Bought("tea", "tea", "", (1,)),)
    assert consumption.due(MODEL, (order(1),), 5, 7) == ()


def lived(count: int, stages: int, seed: int) -> list[list[Bought]]:
    """Customers who buy two products each, with gaps of so many stages of 10 days on average in all."""
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        each = []
        for product in ("a", "b"):
            rate = chance.gamma(3.0) / 3.0 * stages / 10
            times = chance.integers(0, 30) + np.concatenate(([0.0], np.cumsum(chance.gamma(stages, 1 / rate, 60))))
            each.append(Bought(product, "", "", tuple(sorted({int(time) for time in times if time <= 400}))))
        found.append(each)
    return found


@pytest.mark.parametrize("stages", [1, 4])
def test_what_is_told_of_drawn_customers_happens_as_often(stages: int) -> None:
    customers = lived(300, stages, seed=stages)
    before = [[each._replace(days=tuple(day for day in each.days if day <= 200)) for each in of] for of in customers]
    model = consuming.fitted(before, 200)
    assert model.stages == stages
    told: list[float] = []
    happened: list[bool] = []
    for early, late in zip(before, customers, strict=True):
        told.extend(consumption.chances(model, early, 200, 5).probability)
        happened.extend(any(200 < day <= 205 for day in each.days) for each in late)
    assert np.mean(told) == pytest.approx(np.mean(happened), abs=0.05)
    by_size = np.array_split(np.array(happened)[np.argsort(told)], 3)
    assert by_size[0].mean() < by_size[2].mean()


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), max_size=12))
def test_bought_together_is_the_same_from_any_order(of: list[list[str]]) -> None:
    found = basket.together(of)
    assert basket.together([each[::-1] for each in of[::-1]]) == found
    for product, beside in found.items():
        assert product not in beside
        assert all(share > 0 for share in beside.values())
        assert sum(beside.values()) < 1


def test_what_is_bought_together_is_more_often_so_than_by_chance() -> None:
    pairs = [["tea", "milk"]] * 60 + [["nail", "hammer"]] * 40 + [["tea", "nail"]] * 10
    found = basket.together(pairs)
    assert [*found["milk"]] == ["tea"]
    assert [*found["nail"]] == ["hammer"]  # with tea it is bought less often than by chance
    assert found["milk"]["tea"] == pytest.approx((60 - 60 * 70 / 220) / (60 + 300))


def shop(customers: int, seed: int) -> dict[str, History]:
    """Customers with staples they buy often until half of the time, and others from then on."""
    chance = np.random.default_rng(seed)
    found = {}
    for number in range(customers):
        old, new = chance.choice(60, (2, 12), replace=True)
        orders = []
        for day in sorted(chance.choice(200, 24, replace=False)):
            of = old if day < 130 else new
            orders.append(order(int(day), *sorted({f"p{of[at]}" for at in chance.integers(0, 12, 4)})))
        found[f"c{number}"] = tuple(orders)
    return found


def products(of: dict[str, History]) -> dict[str, tuple[Bought, ...]]:
    return {name: consumption.bought(history) for name, history in of.items()}


def test_what_was_bought_lately_tells_more_than_what_was_bought_often() -> None:
    found = baskets.told(products(shop(60, seed=3)), seed=1)
    assert found is not None
    assert found.ours.all > found.personal.all + 0.05
    assert found.ours.repeat > found.personal.repeat
    assert 30 < found.customers <= 60 < found.baskets <= 6 * 60
    assert found.gains.all.mean == pytest.approx(found.ours.all - found.personal.all)
    assert 0 < found.gains.all.lower < found.gains.all.mean < found.gains.all.upper
    assert baskets.told(products(shop(60, seed=3)), seed=1) == found


def test_a_window_is_told_from_the_days_before_it_alone() -> None:
    fashions = {
        f"c{number}": tuple(order(day, "tea", f"fashion of {day}") for day in range(100)) for number in range(20)
    }
    found = baskets.told(products(fashions), seed=1)
    assert found is not None
    assert found.cut == 70
    assert found.ours.explore == found.personal.explore == 0
    assert found.ours.repeat == 1
    assert found.baskets == 6 * 20


def test_nothing_is_told_of_customers_who_did_not_come_back() -> None:
    assert baskets.told({}, seed=1) is None
    assert baskets.told({"a": consumption.bought((order(1, "tea"),))}, seed=1) is None


def test_the_interval_of_a_gain_holds_as_often_as_it_says() -> None:
    chance = np.random.default_rng(9)
    whose = np.repeat(np.arange(40.0), 4)
    found = [
        baskets.gain(np.repeat(chance.normal(0.03, 0.2, 40), 4) + chance.normal(0, 0.05, 160), whose, chance)
        for _ in range(80)
    ]
    covered = sum(each.lower <= 0.03 <= each.upper for each in found)
    assert 0.85 * len(found) <= covered  # of 95 %, four standard errors less
    assert covered < len(found)
    assert baskets.gain(np.array([]), np.array([]), chance) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_how_much_habit_tells_is_learnt_from_what_was_bought_again(share: float) -> None:
    chance, again = np.random.default_rng(4), list[habits.Again]()
    for _ in range(2_000):
        due, habit = chance.dirichlet([0.3] * 6), chance.dirichlet([0.3] * 6)
        told = (1 - share) * due + share * habit
        bought = chance.choice(6, p=told / told.sum())
        again.append(habits.Again(float(due[bought]), float(habit[bought])))
    assert habits.learnt(again) == pytest.approx(share, abs=0.06)
    assert habits.learnt(again[:1]) == pytest.approx(0.5, abs=0.1)
    assert habits.learnt([]) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=20))
def test_the_share_of_habit_is_always_a_share(of: list[tuple[float, float]]) -> None:
    assert 0 < habits.learnt([habits.Again(*each) for each in of]) < 1


def test_what_was_bought_before_is_told_by_habit_as_far_as_was_learnt() -> None:
    bought = consumption.bought(tuple(order(day * 9, "tea", *["jam"] * (day < 2)) for day in range(6)))
    due, shares = basket.likely(MODEL, bought, 100), basket.habits(bought, 100)
    for habit in (0.0, 0.25, 1.0):
        found = basket.scores(NO_MARKET._replace(tried=1.0, habit=habit), MODEL, bought, 100)
        for product in ("tea", "jam"):
            expected = (1 - habit) * due[product] + habit * shares[product] * sum(due.values())
            assert found[product].again == pytest.approx(expected)
    ((_, habit),) = habits.again(MODEL, bought, {"jam", "milk"}, 100)
    assert habit == pytest.approx(shares["jam"] * sum(due.values()))
    assert not [*habits.again(MODEL, bought, {"milk"}, 100)]


@settings(max_examples=30)
@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4), max_size=8))
def test_scores_add_up_to_what_a_customer_is_expected_to_buy(of: list[list[str]]) -> None:
    bought = consumption.bought(tuple(order(day * 9, *names) for day, names in enumerate(of)))
    others = [bought] if bought else []
    market = markets.of_all(
        [*others, (Bought("x", "", "", (1,)), Bought("y", "", "", (5, 50)))], basket.together(of), 100
    )
    found = basket.scores(market, MODEL, bought, 100)
    due = sum(basket.likely(MODEL, bought, 100).values())
    active = consumption.activity(MODEL, bought, 100)
    for product, each in found.items():
        assert min(each[:3]) >= 0
        assert (each.again > 0) == (product in {its.product for its in bought})
        assert (each.together > 0) == bool(each.beside)
    assert sum(each.again for each in found.values()) == pytest.approx(due)
    most = due + 14 * market.pace * max(1.0, 5 + len(of) * 4) + active * market.tried
    assert sum(basket.totals(found).values()) <= most
    names = basket.first(basket.totals(found), 3)
    assert len(set(names)) == min(3, len(found))


def test_what_customers_try_is_what_they_first_bought_after_their_first_day() -> None:
    market = markets.of_all([(Bought("tea", "", "", (0, 99)), Bought("jam", "", "", (100,)))], {}, 100)
    assert [*market.tries] == ["jam"]  # tea was bought on the first day
    assert market.pace == pytest.approx(3 / 101)
    watched = 60 * (1 - math.exp(-101 / 60))
    assert market.tries["jam"] == market.tried == pytest.approx(14 / watched, rel=1e-5)
    assert markets.of_all([(Bought("tea", "", "", (100,)),)], {}, 100).tries == {}


def test_the_back_test_compares_with_the_gaps_alone() -> None:
    found = consuming.back_test(shop(60, seed=4), 14)
    assert found is not None
    assert found.ours.brier < found.last_gap.brier
    assert found.ours.brier < found.median_gap.brier
    assert found.pairs > 100
    assert consuming.back_test({"a": (order(1, "tea"), order(2, "jam"))}, 14) is None


def season(busy: float, seed: int) -> dict[str, History]:
    """Customers who buy three of nine products at rates of their own, and from day 320 of 400 `busy` times as often."""
    chance = np.random.default_rng(seed)
    found: dict[str, History] = {}
    for number in range(150):
        days: dict[int, list[str]] = {0: []}
        for product in chance.choice(9, 3, replace=False):
            rates = chance.gamma(3.0) / 3.0 / 40 * np.where(np.arange(400) > 319, busy, 1.0)
            for day in np.flatnonzero(chance.random(400) < rates):
                days.setdefault(int(day), []).append(f"p{product}")
        found[f"c{number}"] = tuple(order(day, *products) for day, products in sorted(days.items()) if products)
    return {name: history for name, history in found.items() if history}


def test_a_season_is_told_apart_from_probabilities_that_are_always_off() -> None:
    even, busy = (consuming.back_test(season(often, seed=5), 28) for often in (1.0, 1.7))
    assert even is not None
    assert busy is not None
    for found in (even, busy):
        assert found.usual is not None
        assert len(found.earlier) == 6
        for each in found.earlier:
            if each.cut + found.days < 320:  # what comes later cannot be known
                assert each.told == pytest.approx(each.happened, abs=0.05)
    assert even.told == pytest.approx(even.happened, abs=0.05)
    assert busy.usual is not None
    assert busy.happened > max(busy.usual[1], busy.told + 0.08)


def test_how_much_windows_differ_is_what_is_to_be_expected_of_the_next() -> None:
    alike = [consuming.Window(day, 0.2, 0.2) for day in range(4)]
    assert consuming.usual_shares(0.3, alike) == pytest.approx((0.3, 0.3))
    assert consuming.usual_shares(0.3, alike[:1]) is None
    too_high = [consuming.Window(day, 0.2, 0.1) for day in range(4)]
    assert consuming.usual_shares(0.2, too_high) == pytest.approx((0.1, 0.1))
    chance, inside = np.random.default_rng(7), 0
    for _ in range(400):
        off = 1 / (1 + np.exp(1.5 + 0.2 * chance.standard_normal(7)))
        told = float(1 / (1 + np.exp(1.5)))
        lower, upper = consuming.usual_shares(told, [consuming.Window(0, told, float(each)) for each in off[1:]]) or (
            0,
            0,
        )
        inside += bool(lower <= off[0] <= upper)
    assert inside / 400 == pytest.approx(0.8, abs=0.08)
