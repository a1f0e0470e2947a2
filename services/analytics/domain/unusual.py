"""Judges a metric bucket by bucket: what it expects, how far off a bucket is, and whether that is an incident.

Only what came before counts. Expected is the median of the same time of the week over the last eight weeks, once three
of them are known, and the median of the last 2,000 buckets until then. How far off a bucket is, is told in spreads: the
distance between the quartiles over 1.349, which for normal noise is the standard deviation, and at least three tenths
of the standard deviation, so that rare spikes of a calm metric are not all surprising. Counts are judged on a scale on
which the noise of a negative binomial distribution is the same for all sizes (Anscombe, 1948): that of chance, and 5 %
more from bucket to bucket.
"""

import bisect
import math
from collections import defaultdict, deque
from enum import Enum
from typing import Final, NamedTuple

_WINDOW_BUCKETS: Final = 2_000
LEARNING_BUCKETS: Final = 50
"""So many are learned from only, and so many again once the season is known."""
WEEKS: Final = 8
"""So many are looked back on for the season."""
WEEKS_OF_SEASON: Final = 3
"""Once so many have the same time of the week, the season is known."""
_NORMAL_QUARTILES: Final = 1.349
_SHARE_OF_DEVIATION: Final = 0.3
_SHARE_OF_LEVEL: Final = 0.001
_SMALLEST_SPREAD: Final = 1e-9
_CHANCE: Final = 1.0
_DISPERSION: Final = 0.05**2
_OFFSET: Final = 3 / 8
# One bucket this far off is an incident, and so are some in a row that are this far off on average.
_ONE: Final = 6.5
_ROW: Final = 6
_ROW_MEAN: Final = 2.75
# Where the season is known the rest is nearly normal: two of three buckets are enough.
_TWO_OF_THREE: Final = 2.75
# There, small shifts that last add up: beyond the first, all that is more than the second counts (CUSUM; Page, 1954).
_SUM: Final = 12.0
_SUM_SLACK: Final = 0.75
_QUIET_BUCKETS: Final = 3
# A metric that has had incidents must be further off for the next one; that fades.
_PER_INCIDENT: Final = 0.5
_FADES_OVER_BUCKETS: Final = 1_500


class Kind(Enum):
    """What a metric counts."""

    COUNT = "count"
    LEVEL = "level"


class Judgement(NamedTuple):
    """What is said of a bucket.

    `expected` and `spread` are in the metric's unit, `spread` around the expected value; `lower` and `upper` are the
    ends of what is usual: of two in three buckets outside on one side, an incident opens once the season is known. All
    are NaN while too little is known (`is_learning`). `off` is the distance in spreads, positive above. `opens` and
    `is_open` tell of incidents.
    """

    expected: float
    lower: float
    upper: float
    spread: float
    off: float
    is_learning: bool
    knows_season: bool
    opens: bool
    is_open: bool


class Watch:
    """Watches one metric, whose buckets come in order of time."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._values = _Window()
        self._rests = _Window()
        self._slots: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=WEEKS))
        self._last: deque[float] = deque(maxlen=_ROW)
        self._above = self._below = 0.0
        self._incidents = 0.0
        self._is_open = False
        self._quiet_count = 0

    def judge(self, value: float, slot: int) -> Judgement:
        """What is to be said of the next bucket.

        Args:
            value: finite; of counts, at least 0.
            slot: the bucket's place in the week, the same every week.
        """
        found = _scaled(self._kind, value)
        history = self._slots[slot]
        season = sorted(history)[len(history) // 2] if len(history) >= WEEKS_OF_SEASON else math.nan
        knows_season = not math.isnan(season) and len(self._rests) >= LEARNING_BUCKETS
        window, base = (self._rests, season) if knows_season else (self._values, 0.0)
        is_learning = len(window) < LEARNING_BUCKETS
        expected, spread, off = math.nan, math.nan, 0.0
        opens = False
        if not is_learning:
            expected = base + window.quantile(0.5)
            spread = self._spread(window, expected)
            off = (found - expected) / spread
            opens = self._follow(off, knows_season=knows_season)
        self._values.add(found)
        if not math.isnan(season):
            self._rests.add(found - season)
        history.append(found)
        self._incidents *= math.exp(-1 / _FADES_OVER_BUCKETS)
        return Judgement(
            _unscaled(self._kind, expected),
            _unscaled(self._kind, expected - _TWO_OF_THREE * spread),
            _unscaled(self._kind, expected + _TWO_OF_THREE * spread),
            (_unscaled(self._kind, expected + spread) - _unscaled(self._kind, expected - spread)) / 2,
            off,
            is_learning,
            knows_season,
            opens,
            self._is_open,
        )

    def _spread(self, window: "_Window", expected: float) -> float:
        quartiles = (window.quantile(0.75) - window.quantile(0.25)) / _NORMAL_QUARTILES
        least = _CHANCE if self._kind is Kind.COUNT else max(_SMALLEST_SPREAD, abs(expected) * _SHARE_OF_LEVEL)
        return max(quartiles, window.deviation() * _SHARE_OF_DEVIATION, least)

    def _follow(self, off: float, *, knows_season: bool) -> bool:
        """Takes a bucket's distance into account; returns whether an incident opens."""
        self._last.append(off)
        wary = 1 + _PER_INCIDENT * self._incidents
        if knows_season:
            self._above = max(0.0, self._above + off - _SUM_SLACK)
            self._below = max(0.0, self._below - off - _SUM_SLACK)
        near = [each for each in list(self._last)[-3:] if math.copysign(1, each) == math.copysign(1, off)]
        is_unusual = (
            abs(off) > _ONE * wary
            or (len(self._last) == _ROW and abs(sum(self._last)) / _ROW > _ROW_MEAN * wary)
            or (knows_season and sum(abs(each) > _TWO_OF_THREE * wary for each in near) > 1)
            or max(self._above, self._below) > _SUM * wary
        )
        if is_unusual:
            self._above = self._below = 0.0
        if self._is_open:
            self._quiet_count = 0 if is_unusual else self._quiet_count + 1
            self._is_open = self._quiet_count < _QUIET_BUCKETS
            return False
        self._is_open, self._quiet_count = is_unusual, 0
        self._incidents += is_unusual
        return is_unusual


class _Window:
    """The last values, which can be asked for quantiles."""

    def __init__(self) -> None:
        self._ordered: list[float] = []
        self._queue: deque[float] = deque()
        self._sum = self._squares = 0.0

    def __len__(self) -> int:
        return len(self._ordered)

    def add(self, value: float) -> None:
        bisect.insort(self._ordered, value)
        self._queue.append(value)
        self._sum, self._squares = self._sum + value, self._squares + value * value
        if len(self._queue) > _WINDOW_BUCKETS:
            old = self._queue.popleft()
            del self._ordered[bisect.bisect_left(self._ordered, old)]
            self._sum, self._squares = self._sum - old, self._squares - old * old

    def quantile(self, share: float) -> float:
        return self._ordered[min(len(self._ordered) - 1, int(share * len(self._ordered)))]

    def deviation(self) -> float:
        count = len(self._queue)
        return math.sqrt(max(0.0, self._squares / count - (self._sum / count) ** 2))


def _scaled(kind: Kind, value: float) -> float:
    if kind is Kind.LEVEL:
        return value
    return 2 * math.asinh(math.sqrt(_DISPERSION * (value + _OFFSET))) / math.sqrt(_DISPERSION)


def _unscaled(kind: Kind, value: float) -> float:
    if kind is Kind.LEVEL:
        return value
    return math.sinh(max(0.0, value) * math.sqrt(_DISPERSION) / 2) ** 2 / _DISPERSION - _OFFSET
