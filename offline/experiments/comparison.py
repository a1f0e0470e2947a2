"""Two arms of an experiment compared, valid at one look (Welch) and however often one looks."""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from comparison import sequential, sums
from comparison.sequential import EVERYTHING, Interval, Sample, around
from comparison.sums import Sums

Column: TypeAlias = npt.NDArray[np.float64]


class Comparison(NamedTuple):
    """An arm less the control, in units of the outcome.

    `interval` and `p_value` hold for one look, planned before the start; `always_valid` holds for every look from the
    first on. `relative` is `difference` divided by the control's mean, with `relative_interval` for one look: NaN and
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

    For one look: Welch's t-test with Satterthwaite's degrees of freedom. For every look: the interval of running
    experiments. The relative difference is by the delta method (as in Deng, Knoblich and Lu, 2018).
    """
    if min(arm.size, control.size) < 2:
        return None
    parts = arm.variance / arm.size, control.variance / control.size
    difference, variance = arm.mean - control.mean, sum(parts)
    error = math.sqrt(variance)
    if not error:  # every unit of an arm is alike: there is no noise to compare with
        p_value, half = float(difference == 0), 0.0
    else:
        shares = (part / variance for part in parts)  # first, as squares of what is tiny are 0
        freedom = 1 / sum(share**2 / (each.size - 1) for share, each in zip(shares, (arm, control), strict=True))
        p_value = float(2 * stats.t.sf(abs(difference) / error, freedom))
        half = float(stats.t.isf(alpha / 2, freedom)) * error
    relative, relative_interval = _relative(arm, control, parts, alpha)
    return Comparison(
        difference,
        error,
        p_value,
        around(difference, half),
        sequential.interval(arm, control, alpha),
        relative,
        relative_interval,
    )


def adjusted(outcomes: Mapping[str, Column], before: Mapping[str, Column]) -> Mapping[str, Sample]:
    """Each arm's outcomes less what was known before the experiment: CUPED (Deng, Xu, Kohavi and Walker, 2013).

    Args:
        outcomes: one value per unit, by arm.
        before: of the same units in the same order: something measured before the experiment, which no arm can have
            changed.

    One coefficient for all arms, so that the difference of means stays unbiased; a constant `before` changes nothing.
    """
    outcome_mean, before_mean = (float(np.concatenate(list(of.values())).mean()) for of in (outcomes, before))
    centred = {arm: (of - outcome_mean, before[arm] - before_mean) for arm, of in outcomes.items()}  # keeps precision
    samples = sums.adjusted({arm: _sums(*columns) for arm, columns in centred.items()})
    return {arm: each._replace(mean=each.mean + outcome_mean) for arm, each in samples.items()}


def _sums(x: Column, b: Column) -> Sums:
    units = float(x.size)
    return Sums(units, float(x.sum()), float(x @ x), units, float(x.sum()), float(b.sum()), float(b @ b), float(x @ b))


class Ratio(NamedTuple):
    """How well the numbers of units fit the wanted shares: p-values for one look and for every look, 0 to 1."""

    p_value: float
    always_valid_p_value: float


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float]) -> Ratio:
    """The check that the assignment did what it was told.

    For one look: Pearson's chi-squared test. For every look: that of running experiments.

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
    p_value = float(stats.chisquare(observed, wanted * total).pvalue)
    return Ratio(p_value, sequential.ratio_p_value(counts, shares))


def _relative(arm: Sample, control: Sample, parts: tuple[float, float], alpha: float) -> tuple[float, Interval]:
    if not control.mean:
        return math.nan, EVERYTHING
    ratio = arm.mean / control.mean
    error = math.hypot(math.sqrt(parts[0]), ratio * math.sqrt(parts[1])) / abs(control.mean)
    if not math.isfinite(error):  # the control's mean is 0 but for the last digits
        return math.nan, EVERYTHING
    return ratio - 1, around(ratio - 1, float(stats.norm.isf(alpha / 2)) * error)
