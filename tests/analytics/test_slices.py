"""What explains an incident: a slice that was put in is told first, and noise is not told."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pytest

from services.analytics.adapters.questions import slicing
from services.analytics.domain import pairs, slices
from services.analytics.domain.answer import Insight, InsightPart, InsightPoint, InsightSlice, Money
from services.analytics.domain.question import (
    DAY_US,
    HOUR_US,
    Field,
    SlicedPart,
    Slices,
    UserFilter,
    Window,
    hours_before,
)
from services.analytics.domain.slices import Counted
from tests.analytics.rows import START_US, Decision, Event, asking, where

CASES: Final = 200
FIELDS: Final = {"page": 12, "platform": 3, "device_class": 3, "error_code": 6, "level": 4}
BOUGHT: Final = where(Field.EVENT_TYPE, "purchase")
NOW_US: Final = START_US + 35 * DAY_US + 10 * HOUR_US


def drawn(chance: np.random.Generator, users: int, *, is_all: bool = False) -> tuple[str, str, list[InsightSlice]]:
    """A drop or rise put into a value that a tenth of the users at least have, and what is told of it."""
    shares = {field: chance.dirichlet(np.full(count, 2.0)) for field, count in FIELDS.items()}
    able = [(field, value) for field, its in shares.items() for value in np.flatnonzero((its > 0.1) & (its < 0.7))]
    field, value = able[chance.integers(len(able))]
    own = shares[field][value]
    change = chance.choice([0.3, 0.5, 2.5])
    kept = change if is_all else 1 + (change - 1) * own
    after = dict(shares)
    if not is_all:
        after[field] = shares[field] * np.where(np.arange(len(shares[field])) == value, change, 1) / kept
    # A user has one value of each field; of other fields the values change alike.
    counts = [chance.poisson(each * chance.gamma(400, 1 / 400)) for each in (users * kept, 4 * users)]
    now, before = (
        {name: chance.multinomial(count, its) for name, its in of.items()}
        for count, of in zip(counts, (after, shares), strict=True)
    )
    total = Counted("", float(counts[0]), float(counts[1]))
    part = SlicedPart("users", (0,), total.before / 4)
    counted = {
        name: [Counted(str(at), float(now[name][at]), float(before[name][at])) for at in range(count)]
        for name, count in FIELDS.items()
    }
    return field, str(value), [*pairs.told(part, total, counted, ())]


def test_what_was_put_in_is_told_first_in_nine_of_ten_cases() -> None:
    chance = np.random.default_rng(1)
    first = 0
    for _ in range(CASES):
        field, value, told = drawn(chance, 5_000)
        first += bool(told) and (told[0].field, told[0].value) == (field, value)
        assert all(each.contribution >= 0.1 for each in told)
    assert first >= 0.9 * CASES


def test_what_moves_all_alike_is_explained_by_nothing() -> None:
    chance = np.random.default_rng(2)
    told = sum(bool(drawn(chance, 5_000, is_all=True)[2]) for _ in range(CASES))
    assert told <= 0.1 * CASES


def test_contribution_and_surprise_are_those_of_the_paper() -> None:
    part = SlicedPart("users", (0,), 100.0)
    counted = {"page": [Counted("/a", 10.0, 200.0), Counted("/b", 50.0, 200.0)]}
    found = pairs.told(part, Counted("", 60.0, 400.0), counted, ())
    (one,) = found
    assert (one.value, one.observed, one.expected, one.contribution) == ("/a", 10.0, 50.0, 1.0)
    p, q = 0.5, 1 / 6
    assert one.surprise == pytest.approx((p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([("m-1", 900.0, 4000.0), ("m-2", 1100.0, 0.0)], []),
        ([("m-1", 600.0, 2000.0), ("m-2", 1400.0, 2000.0)], ["m-2"]),
    ],
)
def test_a_version_that_is_new_explains_nothing_and_one_of_two_may(
    values: list[tuple[str, float, float]], expected: list[str]
) -> None:
    part = SlicedPart("struggles", (0,), 1000.0)
    counted = [Counted(*each) for each in values]
    found = pairs.told(part, Counted("", 2000.0, 4000.0), {"model_version": counted}, ())
    assert [each.value for each in found] == expected


def test_hours_before_are_those_of_the_clock() -> None:
    # Clocks in Berlin go forward on 29 March 2026.
    monday_us = 1_774_828_800_000_000  # 2026-03-30T00:00:00Z
    window = Window(monday_us, monday_us + HOUR_US, "Europe/Berlin")
    assert [(monday_us - each) // HOUR_US for each in hours_before(monday_us, window)] == [
        weeks * 168 - 1 for weeks in range(1, 5)
    ]


def asked(metric: str, expected: float, zone: str = "UTC", at_us: int = NOW_US) -> Slices:
    window = Window(at_us, at_us + HOUR_US, zone)
    return Slices(window, (), UserFilter(), (SlicedPart(metric, (at_us,), expected),), BOUGHT)


def test_only_days_with_these_hours_are_read() -> None:
    today = NOW_US // DAY_US
    assert asked("users", 1.0).read_days == {today - 7 * weeks for weeks in range(5)}
    assert asked("users", 1.0, at_us=NOW_US - 8 * HOUR_US).read_days == {
        today - 7 * weeks - before for weeks in range(5) for before in (0, 1)
    }


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_users_are_counted_by_the_values_of_their_events_and_decisions(zone: str) -> None:
    at_us = NOW_US + (HOUR_US // 2 if zone == "Asia/Kolkata" else 0)
    events, decisions = [], []
    for number, (start_us, is_off) in enumerate(
        [(at_us, True), *((at_us - weeks * 7 * DAY_US, False) for weeks in range(1, 5))]
    ):
        for user in range(200):
            on_phone = user % 4 == 0
            if on_phone and is_off and user % 20:
                continue
            platform = "mobile" if on_phone else "web"
            name = f"u{user}"
            events += [
                Event(name, start_us + user + n, f"{number}-{user}-{n}", page=f"/{user % 5}", platform=platform)
                for n in range(2)
            ]
            if user % 10 == 0:
                events.append(
                    Event(
                        name,
                        start_us + user + 9,
                        f"{number}-{user}-p",
                        "purchase",
                        "/3",
                        platform,
                        amount=8.0,
                        currency="EUR",
                    )
                )
            decisions.append(Decision(name, start_us + user, f"d{number}-{user}", level="high" if on_phone else "low"))
        # Outside of the hour, and no person.
        events += [Event(f"x{n}", start_us - 1 - n, f"x{number}-{n}", platform="mobile") for n in range(99)]
        events += [Event(f"b{n}", start_us + n, f"b{number}-{n}", platform="mobile", is_bot=True) for n in range(99)]
    found = slicing.slices(asking(events, decisions, zone), asked("users", 200.0, zone, at_us), 0)
    assert [(each.field, each.value) for each in found.slices] == [("level", "high"), ("platform", "mobile")]
    phones = found.slices[1]
    assert (phones.observed, phones.expected, phones.contribution) == (10.0, 50.0, 1.0)
    assert (found.usual_money, found.buyer_share) == ((Money("EUR", 8.0),), 0.1)


def test_a_country_and_a_pair_of_values_are_found_in_events() -> None:
    events, sizes = [], {"DE": 300, "AT": 200, "FR": 200}
    for number, (start_us, is_off) in enumerate(
        [(NOW_US, True), *((NOW_US - weeks * 7 * DAY_US, False) for weeks in range(1, 5))]
    ):
        for country, size in sizes.items():
            for user in range(size):
                page, platform = ("/pay", "/home")[user % 2], ("web", "mobile")[user // 2 % 2]
                # Nearly all of these fail: on mobile, on one page; and all of a country halves.
                if is_off and page == "/pay" and platform == "mobile" and user % 12 != 3:
                    continue
                if is_off and country == "FR" and user // 4 % 2:
                    continue
                name = f"{country}{user}"
                at = start_us + user
                events.append(Event(name, at, f"{number}-{name}", page=page, platform=platform, country=country))
    found = slicing.slices(asking(events), asked("users", 700.0), 0).slices
    assert [(each.field, each.value, each.second_field, each.second_value) for each in found] == [
        ("page", "/pay", "platform", "mobile"),
        ("country", "FR", "", ""),
    ]
    now = [each for each in events if each.t >= NOW_US]
    both = [each for each in now if (each.page, each.platform) == ("/pay", "mobile")]
    assert (found[0].observed, found[0].expected) == (len(both), 175.0)
    assert found[0].contribution == pytest.approx((len(both) - 175) / (len(now) - 700))


def test_every_metric_is_sliced_by_what_it_counts() -> None:
    events, decisions = [], []
    for number, (start_us, is_off) in enumerate(
        [(NOW_US, True), *((NOW_US - weeks * 7 * DAY_US, False) for weeks in range(1, 5))]
    ):
        for user in range(120):
            name, is_bad = f"u{user}", user < 60 and is_off
            at_us = start_us + user
            page = "/bad" if user < 60 else "/good"
            for count in range(5 if is_bad else 1):
                id_ = f"{number}-{user}-{count}"
                whose = f"{name}-{count}"
                events += [
                    Event(whose, at_us + 1, f"f{id_}", "error", page),
                    Event(whose, at_us + 2, f"c{id_}", "purchase", page),
                    Event(
                        whose, at_us + 3, f"s{id_}", "intervention_outcome", page, outcome="shown", intervention_id=id_
                    ),
                    Event(
                        whose,
                        at_us + 4,
                        f"a{id_}",
                        "intervention_outcome",
                        page,
                        outcome="accepted",
                        intervention_id=id_,
                    ),
                    Event(f"{whose}-left", at_us + 5, f"l{id_}", "form_start", page),
                ]
                decisions.append(Decision(whose, at_us + 1, f"d{id_}", ("rage_clicks",), page=page))
    for metric in ("events", "users", "failures", "conversions", "shown", "accepted", "struggles", "abandonments"):
        expected = 120.0 * {"events": 5, "users": 2}.get(metric, 1)
        its = slicing.slices(asking(events, decisions), asked(metric, expected), 0).slices[0]
        assert (its.field, its.value, its.contribution) == ("page", "/bad", 1.0), metric
        assert its.observed == 5 * its.expected


def part(
    metric: str, direction: str, points: Sequence[tuple[int, float, float]], closed: int | None = None
) -> InsightPart:
    told = tuple(InsightPoint(NOW_US + n * HOUR_US, seen, usual, None, None) for n, seen, usual in points)
    off = min(points, key=lambda each: each[1] - each[2])
    return InsightPart(
        metric,
        NOW_US,
        None if closed is None else NOW_US + closed * HOUR_US,
        direction,
        NOW_US + off[0] * HOUR_US,
        off[1],
        off[2],
        0.0,
        0.0,
        5.0,
        told,
    )


HOURS: Final = [(-1, 90.0, 100.0), (0, 10.0, 100.0), (1, 104.0, 100.0), (2, 30.0, 100.0), (3, 99.0, 100.0)]


def test_the_hours_of_a_part_that_were_off_are_asked_about() -> None:
    its = part("users", "below", HOURS, closed=3)
    found = slices.question(Insight(NOW_US, None, "high", 1.0, (its,)), "UTC", BOUGHT)
    assert found is not None
    assert found.parts == (SlicedPart("users", (NOW_US, NOW_US + 2 * HOUR_US), 200.0),)
    many = [(n, 10.0 - n / 100, 100.0) for n in range(90)]
    found = slices.question(Insight(NOW_US, None, "high", 1.0, (part("users", "below", many),)), "UTC", BOUGHT)
    assert found is not None
    assert [(hour - NOW_US) // HOUR_US for hour in found.parts[0].hours_us] == [*range(78, 90)]


def test_missing_money_is_that_of_missing_conversions_or_else_of_missing_users() -> None:
    usual = (Money("EUR", 20.0), Money("GBP", 0.5))
    lost = part("conversions", "below", HOURS, closed=3)
    users = part("users", "below", HOURS)
    of = [
        Insight(NOW_US, None, "high", 1.0, parts)
        for parts in ((users, lost), (users,), (part("users", "above", HOURS),))
    ]
    missing = 90 - 4 + 70
    assert slices.missing(of[0], usual, 0.1) == (Money("EUR", 20.0 * missing), Money("GBP", 0.5 * missing))
    assert [each.amount for each in slices.missing(of[1], usual, 0.1)] == pytest.approx(
        [2.0 * (missing + 1), 0.05 * (missing + 1)]
    )
    assert slices.missing(of[2], usual, 0.1) == ()
