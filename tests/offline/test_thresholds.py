"""Thresholds that some users choose and others measure."""

from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline.training import thresholds
from offline.training.metrics import Floats
from offline.training.table import AT_EVENTS, Snapshot, Table, table
from offline.training.thresholds import Reached
from services.scoring.domain.inputs import names_of

WIDTH = len(names_of(()))


def asked(is_true: list[bool]) -> Table:
    """A snapshot of each user."""
    return table(
        Snapshot(f"user-{at}", AT_EVENTS, at, 0, 0.0, true, 0.0, [0.0] * WIDTH, []) for at, true in enumerate(is_true)
    )


def chooses(user: str) -> bool:
    return crc32(f"thresholds:{user}".encode()) % 2 == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=40, max_size=120))
def test_each_is_the_best_that_reaches_its_aim_on_half_and_is_measured_on_the_others(
    drawn: list[tuple[bool, int]],
) -> None:
    rows = asked([true for true, _ in drawn])
    said = np.array([(score + 4 * true) / 25 for true, score in drawn])
    mask = np.array([chooses(user) for user in rows.users])
    for each in thresholds.reached(said, rows):
        known = [counted(said[mask], rows.is_true[mask], at) for at in sorted(set(said[mask]), reverse=True)]
        best: float | None
        if each.aim.startswith("recall"):
            wanted = float(each.aim.split()[1].strip("%")) / 100
            best = next(at for at, recall, _, _ in known if recall >= wanted - 1e-12)
        else:
            best = next((at for at, _, precision, found in known[::-1] if precision >= 0.84 and found >= 10), None)
        assert each.threshold == best
        if each.threshold is not None:
            _, recall, precision, _ = counted(said[~mask], rows.is_true[~mask], each.threshold)
            assert each.recall is not None
            assert each.precision is not None
            assert (each.recall.value, each.precision.value) == pytest.approx((recall, precision))


def counted(said: Floats, is_true: Floats, at: float) -> tuple[float, float, float, int]:
    """The threshold, recall, precision, and for how many at it or above it came true."""
    taken = [true for chance, true in zip(said, is_true, strict=True) if chance >= at]
    return at, sum(taken) / max(1, is_true.sum()), sum(taken) / max(1, len(taken)), sum(taken)


def test_an_aim_out_of_reach_says_so_and_the_curve_stays() -> None:
    random = np.random.default_rng(1)
    aims = thresholds.reached(random.random(400), asked((random.random(400) < 0.2).tolist()))
    assert [each.aim for each in aims][-2:] == ["recall 90% (critical)", "precision 84% (high)"]
    assert aims[-1] == Reached("precision 84% (high)", None)
    assert aims[-1].cells()[1] == "not reached"
    assert all(each.share is not None and each.share.low <= each.share.value <= each.share.high for each in aims[:-1])


def test_one_answer_has_no_thresholds() -> None:
    assert thresholds.reached(np.linspace(0, 1, 30), asked([False] * 30)) == []
