"""Sets of media time against sets of moments."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.video.domain import coverage

STRETCH = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
STRETCHES = st.lists(STRETCH, max_size=12)


def of(stretches: list[tuple[int, int]]) -> list[int]:
    boundaries: list[int] = []
    for start, end in stretches:
        boundaries = coverage.added(boundaries, start, end)
    return boundaries


def moments(boundaries: Sequence[int]) -> set[int]:
    return {moment for start, end in coverage.stretches(boundaries) for moment in range(start, end)}


def is_canonical(boundaries: list[int]) -> bool:
    return len(boundaries) % 2 == 0 and all(a < b for a, b in itertools.pairwise(boundaries))


@given(STRETCHES)
def test_the_union_is_that_of_the_moments(stretches: list[tuple[int, int]]) -> None:
    boundaries = of(stretches)
    assert is_canonical(boundaries)
    assert moments(boundaries) == {moment for start, end in stretches for moment in range(start, end)}
    assert coverage.length(boundaries) == len(moments(boundaries))


@given(STRETCHES.flatmap(lambda stretches: st.tuples(st.just(stretches), st.permutations(stretches * 2))))
def test_order_and_repeats_do_not_matter(drawn: tuple[list[tuple[int, int]], list[tuple[int, int]]]) -> None:
    stretches, shuffled = drawn
    assert of(shuffled) == of(stretches)


@given(STRETCHES, STRETCH)
def test_inside_and_outside_share_a_stretch_out(stretches: list[tuple[int, int]], stretch: tuple[int, int]) -> None:
    boundaries = of(stretches)
    inside, outside = coverage.inside(boundaries, *stretch), coverage.outside(boundaries, *stretch)
    assert is_canonical(inside)
    assert is_canonical(outside)
    assert moments(inside) == moments(boundaries) & set(range(*stretch))
    assert moments(outside) == set(range(*stretch)) - moments(boundaries)


@given(STRETCHES, STRETCHES, st.integers(0, 60))
def test_without_and_clipped(stretches: list[tuple[int, int]], others: list[tuple[int, int]], end: int) -> None:
    boundaries = of(stretches)
    assert moments(coverage.without(boundaries, of(others))) == moments(boundaries) - moments(of(others))
    clipped = coverage.clipped(boundaries, end)
    assert moments(clipped) == {each for each in moments(boundaries) if each < end or end == 0}


@given(STRETCHES, st.integers(1, 6))
def test_bounded_closes_the_narrowest_gaps(stretches: list[tuple[int, int]], limit: int) -> None:
    boundaries = of(stretches)
    bounded = coverage.bounded(boundaries, limit)
    assert is_canonical(bounded)
    assert len(bounded) // 2 == min(limit, len(boundaries) // 2)
    assert moments(bounded) >= moments(boundaries)
    kept = [b - a for a, b in itertools.pairwise(bounded)][1::2]
    closed = sorted([b - a for a, b in itertools.pairwise(boundaries)][1::2])[
        : len(boundaries) // 2 - len(bounded) // 2
    ]
    assert max(closed, default=0) <= min(kept, default=100)


def test_notable_closes_small_gaps_and_leaves_out_short_stretches() -> None:
    assert coverage.notable([0, 5, 6, 12, 30, 33], 1, 10) == [0, 12]
    assert coverage.notable([], 1, 10) == []
