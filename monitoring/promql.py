"""PromQL as values: expressions over the registry's metrics that know the labels of their series.

Mistakes that would show as an empty panel fail when the expression is built: a label the metric does not have, a rate
of a gauge, two sides of a division that do not match.
"""

from typing import Final, NamedTuple

from mesh.observability.registry import Kind, Metric

TARGET_LABELS: Final = frozenset({"namespace", "pod", "instance", "job"})
"""The labels Prometheus adds, which identify the process that reported a series."""

SELF_REPORTED: Final = frozenset({"up", "process_resident_memory_bytes", "process_cpu_seconds_total"})
"""Metrics that Prometheus and its client library report of every process, besides the registry."""


class WrongExpressionError(ValueError):
    """An expression that cannot mean what was intended."""


class Match(NamedTuple):
    """A matcher of a label: an operator of PromQL and its text."""

    operator: str
    text: str


def like(pattern: str) -> Match:
    """Matches whole values by a regular expression; `.*` also matches an absent label."""
    return Match("=~", pattern)


def unlike(pattern: str) -> Match:
    """Matches whole values that the regular expression does not match."""
    return Match("!~", pattern)


class Vector(NamedTuple):
    """An expression for current series; `labels` are all labels they may have."""

    text: str
    labels: frozenset[str]

    def __truediv__(self, other: "Vector") -> "Vector":
        """Series divided by those with the same labels; absent if either is."""
        return self._with("/", other)

    def or_else(self, other: "Vector") -> "Vector":
        """These series, and those of the others with different labels."""
        return self._with("or", other)

    def unless(self, other: "Vector") -> "Vector":
        """These series without those whose labels the others have too."""
        return self._with("unless", other)

    def where(self, other: "Vector", *labels: str) -> "Vector":
        """These series, if the others have one with the same values of some labels."""
        _listed(other, labels)
        return Vector(f"({self.text} and on ({_listed(self, labels)}) {other.text})", self.labels)

    def by_number(self, operator: str, number: float) -> "Vector":
        """Compared or combined with a number: `> 5` keeps those above, `* 100` multiplies."""
        return Vector(f"({self.text} {operator} {number:.12g})", self.labels)

    def from_now(self) -> "Vector":
        """Times in Unix seconds, as seconds from now."""
        return Vector(f"({self.text} - time())", self.labels)

    def _with(self, operator: str, other: "Vector") -> "Vector":
        if self.labels != other.labels:
            message = f"{sorted(self.labels)} {operator} {sorted(other.labels)}: they never match."
            raise WrongExpressionError(message)
        return Vector(f"({self.text} {operator} {other.text})", self.labels)


def gauge(metric: Metric, **matches: str | Match) -> Vector:
    """The last value of a gauge."""
    return _selected(metric, Kind.GAUGE, "", matches)


def reported(name: str, **matches: str | Match) -> Vector:
    """A metric of `SELF_REPORTED`."""
    if name not in SELF_REPORTED:
        message = f"No process reports {name}."
        raise WrongExpressionError(message)
    return Vector(name + _matched(matches, TARGET_LABELS), TARGET_LABELS)


def rate(metric: Metric, window: str, **matches: str | Match) -> Vector:
    """How fast a counter grew per second, over a window such as `5m`."""
    return _over("rate", _selected(metric, Kind.COUNTER, "_total", matches), window)


def grown(metric: Metric, window: str, **matches: str | Match) -> Vector:
    """How much a counter grew within a window, including the first count of a process.

    `increase` alone needs two values of a series, and a counter has none before it is first counted.
    """
    count = _selected(metric, Kind.COUNTER, "_total", matches)
    before = Vector(f"{count.text} offset {window}", count.labels)
    return _over("increase", count, window).where(before, *sorted(count.labels)).or_else(count)


def share(part: Vector, whole: Vector) -> Vector:
    """A part of a whole, 0 to 1; 0 if the part is not reported, NaN if the whole is 0."""
    return part.or_else(whole.by_number("*", 0)) / whole


def per_second(name: str, window: str, **matches: str | Match) -> Vector:
    """How fast a counter of `SELF_REPORTED` grew per second."""
    return _over("rate", reported(name, **matches), window)


def runs(metric: Metric, window: str, **matches: str | Match) -> Vector:
    """How many values per second were added to a histogram."""
    return _over("rate", _selected(metric, Kind.HISTOGRAM, "_count", matches), window)


def time_spent(metric: Metric, window: str, **matches: str | Match) -> Vector:
    """The sum of a histogram's values per second."""
    return _over("rate", _selected(metric, Kind.HISTOGRAM, "_sum", matches), window)


def quantile(below: float, metric: Metric, window: str, *by: str, **matches: str | Match) -> Vector:
    """A quantile, 0 to 1, of a histogram by labels, over all processes."""
    grouped = buckets(metric, window, *by, **matches)
    return Vector(f"histogram_quantile({below:.12g}, {grouped.text})", grouped.labels - {"le"})


def buckets(metric: Metric, window: str, *by: str, **matches: str | Match) -> Vector:
    """How fast each bucket of a histogram grew per second; `le` is its upper bound."""
    selected = _selected(metric, Kind.HISTOGRAM, "_bucket", matches)
    bounded = Vector(selected.text, selected.labels | {"le"})
    return summed(_over("rate", bounded, window), "le", *by)


def seen_within(vector: Vector, window: str) -> Vector:
    """Series that existed within a window, with their last values."""
    return _over("last_over_time", vector, window)


def summed(vector: Vector, *by: str) -> Vector:
    """The sum over series, by labels."""
    return _aggregated("sum", vector, by)


def largest(vector: Vector, *by: str) -> Vector:
    """The maximum over series, by labels."""
    return _aggregated("max", vector, by)


def smallest(vector: Vector, *by: str) -> Vector:
    """The minimum over series, by labels."""
    return _aggregated("min", vector, by)


def counted(vector: Vector, *by: str) -> Vector:
    """The number of series, by labels; nothing without any."""
    return _aggregated("count", vector, by)


def _aggregated(name: str, vector: Vector, by: tuple[str, ...]) -> Vector:
    if not by:
        return Vector(f"{name}({vector.text})", frozenset())
    return Vector(f"{name} by ({_listed(vector, by)}) ({vector.text})", frozenset(by))


def _listed(vector: Vector, labels: tuple[str, ...]) -> str:
    missing = set(labels) - vector.labels
    if missing:
        message = f"{vector.text} has no label {', '.join(sorted(missing))}."
        raise WrongExpressionError(message)
    return ", ".join(labels)


def _over(name: str, vector: Vector, window: str) -> Vector:
    return Vector(f"{name}({vector.text}[{window}])", vector.labels)


def _selected(metric: Metric, kind: Kind, suffix: str, matches: dict[str, str | Match]) -> Vector:
    if metric.kind is not kind:
        message = f"{metric.name} is a {metric.kind.value}, not a {kind.value}."
        raise WrongExpressionError(message)
    labels = TARGET_LABELS | set(metric.labels)
    return Vector(metric.name + suffix + _matched(matches, labels), labels)


def _matched(matches: dict[str, str | Match], labels: frozenset[str]) -> str:
    unknown = set(matches) - labels
    if unknown:
        message = f"There is no label {', '.join(sorted(unknown))}."
        raise WrongExpressionError(message)
    whole = {name: match if isinstance(match, Match) else Match("=", match) for name, match in matches.items()}
    listed = ", ".join(f'{name}{match.operator}"{match.text}"' for name, match in whole.items())
    return f"{{{listed}}}" if listed else ""
