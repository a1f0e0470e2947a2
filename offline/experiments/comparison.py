"""Two arms of an experiment compared, valid at one look (Welch) and however often one looks."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special, stats

_TUNED_FOR_UNITS: Final = 5_000
"""The number of units of both arms at which the always-valid interval is tightest; GrowthBook's default."""

_RATIO_CONCENTRATION: Final = 1_000
"""How many units' worth of belief the alternative puts on the wanted shares, as for the lift of help."""

Column: TypeAlias = npt.NDArray[np.float64]


class Sample(NamedTuple):
    """One arm's outcome: the number of its units, their mean, and the variance of one unit (divisor n - 1)."""

    size: int
    mean: float
    variance: float


class Interval(NamedTuple):
    """From `lower` to `upper`, both may be infinite."""

    lower: float
    upper: float


EVERYTHING: Final = Interval(-math.inf, math.inf)


class Comparison(NamedTuple):
    """An arm less the control, in units of the outcome.

    `interval` and `p_value` hold for one look, planned before the start; `always_valid` holds for every look from the
    first on. `relative` is `difference` per mean of the control, with `relative_interval` for one look: both NaN and
    everything where the control's mean is 0, or as good as.
    """

    difference: float
    standard_error: float
    p_value: float
    interval: Interval
    always_valid: Interval
    relative: float
    relative_interval: Interval


def sample(outcome: Column) -> Sample:
    """An arm's outcome, one value per unit. A single unit's variance is NaN; none give a mean of NaN."""
    if not outcome.size:
        return Sample(0, math.nan, math.nan)
    variance = float(outcome.var(ddof=1)) if outcome.size > 1 else math.nan
    return Sample(outcome.size, float(outcome.mean()), variance)


def compare(arm: Sample, control: Sample, alpha: float = 0.05) -> Comparison | None:
    """The difference of two means; None where an arm has fewer than two units.

    For one look: Welch's t-test with Satterthwaite's degrees of freedom. For every look: the asymptotic confidence
    sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021, arXiv 2103.06476, equation 9), as GrowthBook's
    sequential test. The relative difference is by the delta method (as in Deng, Knoblich and Lu, 2018).
    """
    if min(arm.size, control.size) < 2:
        return None
    parts = arm.variance / arm.size, control.variance / control.size
    difference, variance = arm.mean - control.mean, sum(parts)
    error = math.sqrt(variance)
    if not error:  # every unit of an arm is alike: there is no noise to compare with
        p_value, half, always_half = float(difference == 0), 0.0, math.inf
    else:
        shares = (part / variance for part in parts)  # first, as squares of what is tiny are 0
        freedom = 1 / sum(share**2 / (each.size - 1) for share, each in zip(shares, (arm, control), strict=True))
        p_value = float(2 * stats.t.sf(abs(difference) / error, freedom))
        half = float(stats.t.isf(alpha / 2, freedom)) * error
        always_half = _always_valid_half_width(variance, arm.size + control.size, alpha)
    relative, relative_interval = _relative(arm, control, parts, alpha)
    return Comparison(
        difference,
        error,
        p_value,
        _around(difference, half),
        _around(difference, always_half),
        relative,
        relative_interval,
    )


def adjusted(outcomes: Mapping[str, Column], before: Mapping[str, Column]) -> Mapping[str, Column]:
    """Each arm's outcomes less what was known before the experiment: CUPED (Deng, Xu, Kohavi and Walker, 2013).

    Args:
        outcomes: one value per unit, by arm.
        before: of the same units in the same order: something measured before the experiment, which no arm can have
            changed.

    One coefficient for all arms, cov(outcome, before) / var(before) within arms: the difference of means stays
    unbiased. The means over all units stay as they were. A constant `before` changes nothing.
    """
    spread = shared = 0.0
    for arm, outcome in outcomes.items():
        centred = before[arm] - before[arm].mean() if before[arm].size else before[arm]
        spread += float(centred @ centred)
        shared += float(centred @ outcome)
    coefficient = shared / spread if spread else 0.0
    mean = float(np.concatenate(list(before.values())).mean())
    return {arm: outcome - coefficient * (before[arm] - mean) for arm, outcome in outcomes.items()}


class Ratio(NamedTuple):
    """How well the numbers of units fit the wanted shares: p-values for one look and for every look, 0 to 1."""

    p_value: float
    always_valid_p_value: float


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float]) -> Ratio:
    """The check that the assignment did what it was told.

    For one look: Pearson's chi-squared test. For every look: 1 over the Bayes factor of Lindon and Malek (2020, arXiv
    2011.03567), a Dirichlet-multinomial around the wanted shares against the multinomial with just these.

    Args:
        counts: units per arm.
        shares: the share wanted for each of the same arms, above 0, of any sum.
    """
    observed = np.array(list(counts.values()), dtype=float)
    wanted = np.array([shares[arm] for arm in counts], dtype=float)
    wanted /= wanted.sum()
    total = observed.sum()
    if not total or len(counts) < 2:
        return Ratio(1.0, 1.0)
    believed = _RATIO_CONCENTRATION * wanted
    log_mixture = (
        special.gammaln(believed.sum())
        - special.gammaln(believed.sum() + total)
        + (special.gammaln(believed + observed) - special.gammaln(believed)).sum()
    )
    log_wanted = float(observed @ np.log(wanted))
    p_value = float(stats.chisquare(observed, wanted * total).pvalue)
    return Ratio(p_value, math.exp(min(0.0, log_wanted - float(log_mixture))))


def _relative(arm: Sample, control: Sample, parts: tuple[float, float], alpha: float) -> tuple[float, Interval]:
    if not control.mean:
        return math.nan, EVERYTHING
    ratio = arm.mean / control.mean
    error = math.hypot(math.sqrt(parts[0]), ratio * math.sqrt(parts[1])) / abs(control.mean)
    if not math.isfinite(error):  # the control's mean is 0 but for the last digits
        return math.nan, EVERYTHING
    return ratio - 1, _around(ratio - 1, float(stats.norm.isf(alpha / 2)) * error)


def _always_valid_half_width(variance: float, units: int, alpha: float) -> float:
    log_alpha = -2 * math.log(alpha)
    spread = units * (log_alpha + math.log1p(log_alpha)) / _TUNED_FOR_UNITS
    return math.sqrt(variance * 2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / alpha))


def _around(middle: float, half: float) -> Interval:
    return Interval(middle - half, middle + half)
