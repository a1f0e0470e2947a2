"""Groups by K-means: what is apart is found, any order gives the same, and names last from fit to fit."""

import numpy as np
import pytest

from offline.customers import grouping
from offline.customers.grouping import grouped
from services.customers.domain.groups import Customer, Groups, group_of
from services.customers.domain.segments import SEGMENTS

KINDS = (("Champions", 5.0, 40.0, 90.0), ("New", 8.0, 1.3, 25.0), ("Hibernating", 300.0, 2.0, 30.0),
         ("Can't Lose", 250.0, 35.0, 120.0))  # fmt: skip


def drawn(each: int, seed: int, spread: float = 0.25) -> tuple[list[Customer], list[str]]:
    """Customers of four kinds, by the segment that each kind is in."""
    chance = np.random.default_rng(seed)
    customers, segments = [], []
    for name, *means in KINDS:
        for values in np.exp(np.log(means) + chance.normal(0, spread, (each, 3))):
            customers.append(Customer(*(float(value) for value in values)))
            segments.append(name)
    return customers, segments


CUSTOMERS, KIND_OF = drawn(40, seed=1)
INSIDE = [SEGMENTS.index(name) for name in KIND_OF]
FOUND = grouped(CUSTOMERS, INSIDE, None, seed=1)


def known() -> Groups:
    assert FOUND is not None
    return FOUND


def test_kinds_that_are_apart_are_found_and_named() -> None:
    found = known()
    assert set(found.names) == {name for name, *_ in KINDS}
    assert found.silhouette > 0.5
    assert found.stability > 0.95
    assert sum(found.counts) == len(CUSTOMERS)
    assert [group_of(found, each) for each in CUSTOMERS] == KIND_OF


def test_names_last_in_resamples() -> None:
    chance = np.random.default_rng(7)
    stable, tries = 0, 20
    for number in range(tries):
        places = chance.integers(0, len(CUSTOMERS), len(CUSTOMERS))
        again = grouped([CUSTOMERS[at] for at in places], [INSIDE[at] for at in places], known(), seed=number)
        assert again is not None
        same = [group_of(again, each) == group_of(known(), each) for each in CUSTOMERS]
        stable += set(again.names) == set(known().names) and float(np.mean(same)) >= 0.95
    assert stable / tries >= 0.95


def test_a_kind_that_comes_gets_a_name_of_its_own_and_the_others_keep_theirs() -> None:
    more = [*CUSTOMERS, *(each._replace(money=each.money * 400) for each in CUSTOMERS[:40])]
    found = grouped(
        more, [*INSIDE, *[SEGMENTS.index("Loyal")] * 40], known()._replace(names=("a", "b", "c", "d")), seed=1
    )
    assert found is not None
    assert len(set(found.names)) == len(found.names)
    assert len({"a", "b", "c", "d"} & set(found.names)) >= 3


def test_too_few_or_all_alike_are_no_groups() -> None:
    assert grouped(CUSTOMERS[:20], INSIDE[:20], None, seed=1) is None
    assert grouped([CUSTOMERS[0]] * 50, [0] * 50, None, seed=1) is None


@pytest.mark.parametrize("values", [(-1.0, 1.0, 0.0), (0.0, 1e9, 1e12)])
def test_any_customer_is_in_one_group(values: tuple[float, float, float]) -> None:
    assert group_of(known(), Customer(*values)) in SEGMENTS


def test_many_customers_are_grouped_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_STARTED", 100)
    monkeypatch.setattr(grouping, "_AT_ONCE", 32)
    found = grouped(CUSTOMERS, INSIDE, None, seed=1)
    assert found is not None
    for name, count, centre in zip(known().names, known().counts, known().centres, strict=True):
        place = found.names.index(name)
        assert found.counts[place] == count
        assert found.centres[place] == pytest.approx(centre, abs=1e-9)
