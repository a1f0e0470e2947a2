"""Groups customers by K-means, names the groups, and keeps the names from one fit to the next."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.spatial import distance

from services.customers.domain.groups import Customer, Groups, group_of
from services.customers.domain.repeats import Column, Counts
from services.customers.domain.segments import SEGMENTS

_MOST_GROUPS: Final = 8
_LEAST_GROUPS: Final = 3
_LEAST_CUSTOMERS: Final = 30
_STARTS: Final = 20
_ROUNDS: Final = 100
_RESAMPLES: Final = 5
_STABLE: Final = 0.8
_UNSTABLE: Final = 0.5
"""The adjusted Rand index in resamples from which groups are stable, and below which they are given up."""
_CLEARLY: Final = 1.05
"""The centres of before are kept while their loss is at most this many times the least."""
_SAMPLED: Final = 1_000
"""Customers by which the number of groups is chosen, if there are more."""
_STARTED: Final = 50_000
"""Customers by which the centres are found, if there are more; they then move to the means of all."""
_AT_ONCE: Final = 1 << 16
"""Customers that are looked at together, so that memory does not grow with them."""
_STAYING: Final = 0.5
"""The share of a group's customers who must stay in it for the group to keep its name."""

_Places: TypeAlias = npt.NDArray[np.float64]


class _Found(NamedTuple):
    centres: _Places
    labels: Counts
    loss: float


def grouped(
    customers: Sequence[Customer] | _Places, segments: npt.ArrayLike, before: Groups | None, seed: int
) -> Groups | None:
    """Groups customers; None if fewer than 30, or all are alike.

    The number of groups, 3 to 8, is the one of the best silhouette among those whose groups are stable in resamples, or
    the most stable one. The number of `before` is kept as long as its groups are not unstable, and so are its centres,
    which move to the means of their customers, unless others are clearly better.

    A group has the name of the group before that it matches best (Hungarian method on the distance of centres), if half
    of that group's customers are in it. Else it has a name of a segment, by how many of its customers are in that
    segment, or `Group N` if none is left.

    Args:
        customers: what they are grouped by, a row each.
        segments: the place in `SEGMENTS` of each one's segment.
        before: the groups of the fit before.
        seed: of starts and resamples; the same seed gives the same bits.
    """
    if len(customers) < _LEAST_CUSTOMERS:
        return None
    logs = np.log1p(np.maximum(np.array(customers, dtype=float), 0))
    means, scales = logs.mean(axis=0), logs.std(axis=0)
    scales = np.where(scales > 0, scales, 1.0)
    places = (logs - means) / scales
    most = min(_MOST_GROUPS, len(np.unique(places, axis=0)) - 1)
    if most < _LEAST_GROUPS:
        return None
    chance = np.random.default_rng(seed)
    sample = places if len(places) <= _SAMPLED else places[chance.choice(len(places), _SAMPLED, replace=False)]
    count, silhouette, stability = _chosen(sample, most, before, chance)
    some = places if len(places) <= _STARTED else places[chance.choice(len(places), _STARTED, replace=False)]
    found = _means(some, count, chance)
    if some is not places:
        found = _run(places, found.centres)
    if before and len(before.names) == count:
        kept = _run(places, (_logs(before) - means) / scales)
        found = kept if kept.loss <= found.loss * _CLEARLY else found
    names = _names(found, np.asarray(customers, dtype=float), np.asarray(segments), before, (means, scales))
    return Groups(
        _floats(means),
        _floats(scales),
        tuple(map(_floats, found.centres)),
        names,
        tuple(int((found.labels == number).sum()) for number in range(count)),
        silhouette,
        stability,
    )


def _chosen(places: _Places, most: int, before: Groups | None, chance: np.random.Generator) -> tuple[int, float, float]:
    """The number of groups, with their silhouette and stability."""
    if before and _LEAST_GROUPS <= len(before.names) <= most:
        judged = _judged(places, len(before.names), chance)
        if judged[2] >= _UNSTABLE:
            return judged
    tried = [_judged(places, count, chance) for count in range(_LEAST_GROUPS, most + 1)]
    stable = [each for each in tried if each[2] >= _STABLE]
    return max(stable, key=lambda each: each[1]) if stable else max(tried, key=lambda each: each[2])


def _judged(places: _Places, count: int, chance: np.random.Generator) -> tuple[int, float, float]:
    whole = _means(places, count, chance)
    agreed = []
    for _ in range(_RESAMPLES):
        part = _means(places[chance.integers(0, len(places), len(places))], count, chance)
        agreed.append(_agreement(whole.labels, _nearest(places, part.centres)))
    return count, _silhouette(places, whole.labels), float(np.mean(agreed))


def _means(places: _Places, count: int, chance: np.random.Generator) -> _Found:
    """The best of 20 runs of K-means, each started by K-means++."""
    return min((_run(places, _spread(places, count, chance)) for _ in range(_STARTS)), key=lambda found: found.loss)


def _spread(places: _Places, count: int, chance: np.random.Generator) -> _Places:
    centres = places[[chance.integers(len(places))]]
    while len(centres) < count:
        away = distance.cdist(places, centres, "sqeuclidean").min(axis=1)
        total = away.sum()
        drawn = chance.choice(len(places), p=away / total) if total > 0 else chance.integers(len(places))
        centres = np.vstack([centres, places[drawn]])
    return centres


def _run(places: _Places, centres: _Places) -> _Found:
    labels = _nearest(places, centres)
    for _ in range(_ROUNDS):
        counts, sums = _sums(places, labels, len(centres))
        moved = np.where(counts[:, np.newaxis] > 0, sums / np.maximum(counts, 1)[:, np.newaxis], centres)
        again = _nearest(places, moved)
        centres = moved
        if (again == labels).all():
            break
        labels = again
    return _Found(centres, labels, float(((places - centres[labels]) ** 2).sum()))


def _sums(places: _Places, labels: Counts, count: int) -> tuple[Column, _Places]:
    """How many places have each label, and their sums."""
    counts, sums = np.zeros(count), np.zeros((count, places.shape[1]))
    for start in range(0, len(places), _AT_ONCE):
        inside = np.eye(count)[labels[start : start + _AT_ONCE]]
        counts += inside.sum(axis=0)
        sums += inside.T @ places[start : start + _AT_ONCE]
    return counts, sums


def _nearest(places: _Places, centres: _Places) -> Counts:
    some = (places[start : start + _AT_ONCE] for start in range(0, len(places), _AT_ONCE))
    return np.concatenate([distance.cdist(each, centres, "sqeuclidean").argmin(axis=1) for each in some])


def _silhouette(places: _Places, labels: Counts) -> float:
    """The mean over customers of (b - a) / max(a, b): a the mean distance in the group, b to the nearest other."""
    used = np.unique(labels)
    if len(used) < 2:
        return -1.0
    apart = distance.cdist(places, places)
    sums = np.stack([apart[:, labels == each].sum(axis=1) for each in used], axis=1)
    counts = np.array([(labels == each).sum() for each in used])
    own = np.searchsorted(used, labels)
    rows = np.arange(len(places))
    inside = sums[rows, own] / np.maximum(counts[own] - 1, 1)
    means = sums / counts
    means[rows, own] = np.inf
    nearest = means.min(axis=1)
    value = np.where(counts[own] > 1, (nearest - inside) / np.maximum(np.maximum(nearest, inside), 1e-12), 0.0)
    return float(value.mean())


def _agreement(one: Counts, other: Counts) -> float:
    """The adjusted Rand index of two groupings (Hubert and Arabie, 1985)."""
    table = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(table, (one, other), 1)
    pairs, rows, columns = (
        float((each * (each - 1) / 2).sum()) for each in (table, table.sum(axis=1), table.sum(axis=0))
    )
    by_chance = rows * columns / (one.size * (one.size - 1) / 2)
    most = (rows + columns) / 2
    return (pairs - by_chance) / (most - by_chance) if most > by_chance else 1.0


def _names(
    found: _Found,
    customers: _Places,
    segments: Counts,
    before: Groups | None,
    scaler: tuple[Column, Column],
) -> tuple[str, ...]:
    names = [""] * len(found.centres)
    if before:
        means, scales = scaler
        of = {name: number for number, name in enumerate(before.names)}
        was = np.fromiter((of[group_of(before, Customer(*each.tolist()))] for each in customers), np.uint8)
        apart = distance.cdist(found.centres, (_logs(before) - means) / scales)
        for new, old in zip(*optimize.linear_sum_assignment(apart), strict=True):
            members = was == old
            if members.any() and (found.labels[members] == new).mean() >= _STAYING:
                names[new] = before.names[old]
    free = [name for name in SEGMENTS if name not in names]
    open_places = [number for number, name in enumerate(names) if not name]
    inside = [segments[found.labels == number] for number in open_places]
    overlap = np.array([[float((each == SEGMENTS.index(name)).sum()) for name in free] for each in inside]).reshape(
        len(open_places), len(free)
    )
    for row, column in zip(*optimize.linear_sum_assignment(-overlap), strict=True):
        names[open_places[row]] = free[column]
    taken = set(filter(None, names)) | set(before.names if before else ())
    for number, name in enumerate(names):
        if not name:
            names[number] = next(each for each in map("Group {}".format, range(1, 99)) if each not in taken)
            taken.add(names[number])
    return tuple(names)


def _logs(of: Groups) -> _Places:
    """The centres before they were standardised."""
    found: _Places = np.array(of.centres) * np.array(of.scales) + np.array(of.means)
    return found


def _floats(of: Column) -> tuple[float, ...]:
    return tuple(float(each) for each in of)
