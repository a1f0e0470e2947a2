"""Pairs of values that explain an incident: one that was put in is told, and nothing else is."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.domain import pairs
from services.analytics.domain.answer import InsightSlice
from services.analytics.domain.pairs import Joint
from services.analytics.domain.question import SlicedPart
from services.analytics.domain.slices import MOST_TOLD, Counted

CASES: Final = 100
USERS: Final = 5_000
FIELDS: Final = {"country": 5, "device_class": 3, "page": 8, "platform": 3}
Cause = Mapping[str, int]


class Drawn:
    """Users of an hour and of four weeks, who have one value of each field; causes take most of whom they are about."""

    def __init__(self, chance: np.random.Generator) -> None:
        size = USERS * 5
        shares = {field: chance.dirichlet(np.full(count, 4.0)) for field, count in FIELDS.items()}
        self._chance = chance
        self._values = {field: chance.choice(FIELDS[field], size, p=its) for field, its in shares.items()}
        self._is_now = np.arange(size) < USERS
        # Hours differ by more than chance.
        self._is_here = chance.random(size) < np.where(self._is_now, chance.uniform(0.9, 1), chance.uniform(0.9, 1))

    def share(self, cause: Cause) -> float:
        return float(np.mean(self._of(cause)))

    def hit(self, cause: Cause, kept: float = 0.2) -> None:
        self._is_here &= ~(self._of(cause) & self._is_now & (self._chance.random(USERS * 5) >= kept))

    def counted(self, of: Cause) -> tuple[float, float]:
        its = self._of(of) & self._is_here
        return float(np.sum(its & self._is_now)), float(np.sum(its & ~self._is_now))

    def told(self) -> Sequence[InsightSlice]:
        fields = {
            field: [Counted(str(value), *self.counted({field: value})) for value in range(count)]
            for field, count in FIELDS.items()
        }
        total = Counted("", *self.counted({}))
        part = SlicedPart("users", (0,), total.before / 4)
        joints = [
            Joint(pair.fields, (one, other), *self.counted(dict(zip(pair.fields, (int(one), int(other)), strict=True))))
            for pair in pairs.wanted(part, total, fields)
            for one in pair.values[0]
            for other in pair.values[1]
        ]
        return pairs.told(part, total, fields, joints)

    def _of(self, cause: Cause) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        every = np.ones(USERS * 5, dtype=bool)
        for field, value in cause.items():
            every &= self._values[field] == value
        return every


def drawn_pair(chance: np.random.Generator, of: Drawn) -> Cause | None:
    """Two values that are a tenth of all together, and neither of which is most of the other."""
    able = [
        cause
        for one, other in [("country", "page"), ("country", "platform"), ("device_class", "page"), ("page", "platform")]
        for first in range(FIELDS[one])
        for second in range(FIELDS[other])
        if of.share(cause := {one: first, other: second}) > 0.08
        and of.share(cause) < 0.7 * min(of.share({one: first}), of.share({other: second}))
    ]
    return able[chance.integers(len(able))] if able else None


def named(of: InsightSlice) -> Cause:
    second = {of.second_field: int(of.second_value)} if of.second_field else {}
    return {of.field: int(of.value)} | second


def test_a_pair_that_was_put_in_is_told_first_and_its_values_are_not() -> None:
    chance = np.random.default_rng(3)
    cases = first = beside = 0
    while cases < CASES:
        of = Drawn(chance)
        cause = drawn_pair(chance, of)
        if cause is None:
            continue
        cases += 1
        of.hit(cause)
        told = of.told()
        first += bool(told) and named(told[0]) == cause
        beside += any(named(each) != cause for each in told)
    assert first >= 0.95 * CASES
    assert beside <= 0.05 * CASES


def test_noise_one_cause_and_two_that_do_not_meet_are_explained_without_pairs() -> None:
    chance = np.random.default_rng(4)
    told_pairs = dict.fromkeys(("noise", "one", "two"), 0)
    found = dict.fromkeys(("one", "two"), 0)
    for _ in range(CASES):
        for kind in told_pairs:
            of = Drawn(chance)
            causes: list[Cause] = {"noise": [], "one": [{"page": 1}], "two": [{"page": 1}, {"country": 2}]}[kind]  # type: ignore[assignment]
            if any(of.share(each) < 0.1 for each in causes):
                continue
            for each in causes:
                of.hit(each, kept=0.4)
            told = of.told()
            told_pairs[kind] += any(each.second_field for each in told)
            if causes:
                found[kind] += causes[0] in map(named, told)
    # One in a hundred is what the rule allows.
    assert all(count <= 0.02 * CASES for count in told_pairs.values()), told_pairs
    assert all(found.values())


def summed(of: Sequence[Counted]) -> tuple[float, float]:
    return sum(each.now for each in of), sum(each.before for each in of)


def test_fields_of_which_a_user_has_several_values_make_no_pairs() -> None:
    total, part = Counted("", 500.0, 4_000.0), SlicedPart("users", (0,), 1_000.0)
    fields = {
        "page": [Counted(each, 400.0, 3_500.0) for each in ("/a", "/b")],
        "platform": [Counted("web", 250.0, 2_000.0), Counted("mobile", 250.0, 2_000.0)],
        "country": [Counted("DE", 100.0, 3_000.0), Counted("AT", 400.0, 1_000.0)],
    }
    assert [each.fields for each in pairs.wanted(part, total, fields)] == [("country", "platform")]


counts = st.integers(0, 5_000).map(float)


@given(st.lists(st.tuples(counts, counts), min_size=8, max_size=8), st.floats(1, 20_000))
def test_any_counts_give_bounded_pairs_of_what_was_wanted(cells: list[tuple[float, float]], expected: float) -> None:
    both = {(f"p{at // 2}", f"c{at % 2}"): Counted("", now, before) for at, (now, before) in enumerate(cells)}
    fields = {
        field: [
            Counted(value, *summed([each for own, each in both.items() if own[side] == value]))
            for value in sorted({own[side] for own in both})
        ]
        for side, field in enumerate(("page", "country"))
    }
    total = Counted("", *summed([*both.values()]))
    part = SlicedPart("users", (0,), expected)
    wanted = pairs.wanted(part, total, fields)
    joints = [
        Joint(pair.fields, (one, other), *both[own][1:])
        for pair in wanted
        for one in pair.values[0]
        for other in pair.values[1]
        for own in [(one, other) if pair.fields[0] == "page" else (other, one)]
    ]
    told = pairs.told(part, total, fields, joints)
    assert len(told) <= MOST_TOLD
    assert [*told] == sorted(told, key=lambda each: -each.surprise)
    assert all(each.contribution >= 0.1 and 0 <= each.surprise <= np.log(2) / 2 + 1e-9 for each in told)
    assert all(each.second_value for each in told if each.second_field)
