"""Boosted trees as functions of few features each, with the same sum.

Many trees ask the same few features, each at other bounds. Their branches are added up before they are explained:
a table of all their bounds is looked up once, however many branches it holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np

from offline.training.additive import Box, Floats, Leaf, bounds_of, leaves, sides, span

SMALL_CELLS: Final = 8
"""Of a branch, at most: three conditions. A tree is divided into such branches, or single leaves."""
MOST_CELLS: Final = 64
"""Of a joined table, at most. With more there are fewer tables, which no longer fit into the caches."""

_Bounds = Mapping[int, Floats]
"""The bounds of each feature, ascending, by the features in ascending order."""


class Branch(NamedTuple):
    """The leaves below a node, or a sum of such, as a function of the features on the paths to them; in logits."""

    features: tuple[int, ...]
    """Ascending."""
    bounds: tuple[Floats, ...]
    """For each of these features, ascending; see `offline.training.additive.Steps`."""
    values: Floats
    """One axis per feature, one place per step; 0 where no leaf of the branch is."""

    def over(self, bounds: _Bounds) -> Floats:
        """The values over the bounds of more: those of its own features and others. Axes of others have length 1."""
        own = dict(zip(self.features, self.bounds, strict=True))
        steps = (np.searchsorted(own[each], np.append(bounds[each], np.inf), side="left") for each in self.features)
        shape = [len(its) + 1 if feature in own else 1 for feature, its in bounds.items()]
        return self.values[np.ix_(*steps)].reshape(shape)


def branches(nodes: Any, most_cells: int = SMALL_CELLS) -> Iterator[Branch]:  # noqa: ANN401 - a structured array
    """A tree as functions that sum to it: of branches with at most so many cells, or of single leaves."""
    waiting: list[tuple[int, Box]] = [(0, {})]
    while waiting:
        at, box = waiting.pop()
        branch = _branch([*leaves(nodes, at, box)])
        if nodes[at]["is_leaf"] or branch.values.size <= most_cells:
            yield branch
        else:
            waiting += sides(nodes[at], box)


def joined(apart: Iterable[Branch], most_cells: int = MOST_CELLS) -> Iterator[Branch]:
    """Fewer functions with the same sum, of at most so many cells unless a branch alone has more.

    Branch by branch, those of most features first, each joins the function whose cost it raises least, unless it costs
    less alone.
    """
    groups: list[tuple[_Bounds, list[Branch]]] = []
    for branch in sorted(apart, key=_order):
        alone: _Bounds = dict(zip(branch.features, branch.bounds, strict=True))
        least, best, wider = (_work(alone), 0), len(groups), alone
        for place, (bounds, _) in enumerate(groups):
            if bounds.keys().isdisjoint(alone):
                continue
            both = _union(bounds, alone)
            cost = _work(both) - _work(bounds), _cells(both)
            if cost < least and cost[1] <= most_cells:
                least, best, wider = cost, place, both
        if best == len(groups):
            groups.append((alone, [branch]))
        else:
            groups[best] = wider, [*groups[best][1], branch]
    for bounds, parts in groups:
        values = np.zeros([len(each) + 1 for each in bounds.values()])
        for part in parts:
            values += part.over(bounds)
        yield Branch(tuple(bounds), tuple(bounds.values()), values)


def _branch(found: list[Leaf]) -> Branch:
    features = tuple(sorted({feature for leaf in found for feature in leaf.box}))
    bounds = tuple(bounds_of(feature, found) for feature in features)
    values = np.zeros([len(each) + 1 for each in bounds])
    for leaf in found:
        values[tuple(span(each, leaf, feature) for feature, each in zip(features, bounds, strict=True))] += leaf.value
    return Branch(features, bounds, values)


def _order(branch: Branch) -> tuple[int, tuple[int, ...], list[list[float]]]:
    return -len(branch.features), branch.features, [each.tolist() for each in branch.bounds]


def _union(one: _Bounds, other: _Bounds) -> _Bounds:
    both = {each: np.union1d(one[each], bounds) for each, bounds in other.items() if each in one}
    return dict(sorted({**one, **other, **both}.items()))


def _work(bounds: _Bounds) -> int:
    """What looking up a row costs: the comparisons, of halves each, and a value per feature."""
    return sum(len(each).bit_length() + 1 for each in bounds.values())


def _cells(bounds: _Bounds) -> int:
    return prod(len(each) + 1 for each in bounds.values())
