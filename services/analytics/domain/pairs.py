"""Which pairs of values, such as a page on a platform, explain why a metric was off where neither alone does. Pure.

A pair is told if more happened to it than to its parts. In the table of two by two of a metric, by
whether it has the one value and whether it has the other, the logarithms of the counts now over those before are
compared. The interaction, ln of the pair's ratio minus that of either value without the other plus that of neither, is
0 if the pair moved as its parts did, one of them or both (the log-linear model without interaction; Agresti,
Categorical Data Analysis, 9.1). It has to be 4 standard deviations at least, and neither value may have moved without
the other: else that value is what explains. Of the 96 pairs that are looked at at most, each of which chance alone
takes so far in 3 of 100,000 cases, that is fewer than one false pair in 300 metrics (Bonferroni).
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from services.analytics.domain import slices
from services.analytics.domain.answer import InsightSlice
from services.analytics.domain.question import SlicedPart
from services.analytics.domain.slices import Counted

_LEAST_INTERACTION: Final = 4.0
_MOST_FIELDS: Final = 4
_MOST_VALUES: Final = 4
# Of what is counted, on average.
_MOST_VALUES_EACH: Final = 1.1


class Pair(NamedTuple):
    """Two fields, and the values of each that may make up a pair."""

    fields: tuple[str, str]
    values: tuple[tuple[str, ...], tuple[str, ...]]


class Joint(NamedTuple):
    """The counts of a pair: of what has both values."""

    fields: tuple[str, str]
    values: tuple[str, str]
    now: float
    before: float


def wanted(part: SlicedPart, total: Counted, fields: Mapping[str, Sequence[Counted]]) -> list[Pair]:
    """The pairs to count, 6 of fields with four values each at most.

    A pair that explains a tenth is in two values that do, unless others made up for it. So these are looked at, the
    four of each field that contribute most, and the four fields whose first contributes most. Fields of which what is
    counted has several values, such as the pages of a user, are left out: where users do less, each value loses those
    who have others.
    """
    able = {
        field: _able(part, total, values)
        for field, values in fields.items()
        if slices.is_comparable(field, values) and _is_single(total, values)
    }
    chosen = sorted((field for field in able if able[field]), key=lambda field: (-able[field][0][0], field))
    values = {field: tuple(value for _, value in able[field]) for field in chosen[:_MOST_FIELDS]}
    return [Pair((one, other), (values[one], values[other])) for one, other in itertools.combinations(values, 2)]


def told(
    part: SlicedPart, total: Counted, fields: Mapping[str, Sequence[Counted]], joints: Sequence[Joint]
) -> tuple[InsightSlice, ...]:
    """The slices that explain a part, pairs among them, the most surprising first, five at most.

    The values of a pair that is told are not told alone: they have not moved without it.

    Args:
        part: the metric and how many were expected.
        total: the counts of the metric; a unit that has two values of a field is in both and counts here once.
        fields: by field the counts of its values.
        joints: the counts of the pairs that were wanted.
    """
    of = {(field, each.value): each for field, values in fields.items() for each in values}
    pairs = [slice_ for each in joints if (slice_ := _told(part, total, of, each)) is not None]
    of_pairs = {own for each in pairs for own in ((each.field, each.value), (each.second_field, each.second_value))}
    alone = [each for each in slices.found(part, total, fields) if (each.field, each.value) not in of_pairs]
    return slices.ranked((*pairs, *alone))


def _is_single(total: Counted, values: Sequence[Counted]) -> bool:
    """Whether what is counted has one value of a field, nearly always."""
    now, before = sum(each.now for each in values), sum(each.before for each in values)
    return now <= _MOST_VALUES_EACH * total.now and before <= _MOST_VALUES_EACH * total.before


def _able(part: SlicedPart, total: Counted, values: Sequence[Counted]) -> list[tuple[float, str]]:
    """The values of a field that may be half of a pair, with what they contribute, the largest first."""
    shares = [(slices.contribution(part, total, each), each.value) for each in values if each.value]
    return sorted((each for each in shares if each[0] >= slices.LEAST_CONTRIBUTION), key=lambda each: (-each[0], each))[
        :_MOST_VALUES
    ]


def _told(part: SlicedPart, total: Counted, of: Mapping[tuple[str, str], Counted], joint: Joint) -> InsightSlice | None:
    one, other = (of[own] for own in zip(joint.fields, joint.values, strict=True))
    both = Counted("", joint.now, joint.before)
    contributed = slices.contribution(part, total, both)
    sign = slices.sign(part, total)
    if (
        contributed < slices.LEAST_CONTRIBUTION
        or sign * _interaction(both, one, other, total) < _LEAST_INTERACTION
        or sign * slices.distance(both, total) < slices.LEAST_DISTANCE
        or any(_moved_without(both, each, total) for each in (one, other))
    ):
        return None
    (field, second_field), (value, second_value) = joint.fields, joint.values
    return InsightSlice(
        part.metric,
        field,
        value,
        joint.now,
        joint.before * part.expected / total.before,
        contributed,
        slices.surprise(joint.before / total.before, joint.now / max(total.now, 1.0)),
        second_field,
        second_value,
    )


def _interaction(both: Counted, one: Counted, other: Counted, total: Counted) -> float:
    """How far a pair moved beyond its parts, in standard deviations; half a count is added to each, as for slices."""
    cells = [
        (both.now, both.before),
        (one.now - both.now, one.before - both.before),
        (other.now - both.now, other.before - both.before),
        (total.now - one.now - other.now + both.now, total.before - one.before - other.before + both.before),
    ]
    counts = [[max(0.0, count) + 0.5 for count in cell] for cell in cells]
    pair, only_one, only_other, neither = (math.log(now / before) for now, before in counts)
    deviation = math.sqrt(sum(1 / count for cell in counts for count in cell) + len(cells) * slices.RESTLESS**2)
    return (pair - only_one - only_other + neither) / deviation


def _moved_without(both: Counted, one: Counted, total: Counted) -> bool:
    """Whether a value moved otherwise than all the rest, up or down, also without the pair."""
    rest = Counted("", one.now - both.now, one.before - both.before)
    others = Counted("", total.now - both.now, total.before - both.before)
    return abs(slices.distance(rest, others)) >= slices.LEAST_DISTANCE
