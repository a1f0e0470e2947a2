"""What an experiment found: the sample ratio first, then each arm against the control, outcome by outcome."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from comparison.sequential import Sample
from offline.experiments.comparison import Comparison, Ratio, adjusted, compare, sample_ratio
from offline.experiments.table import Experiment

Verdict = Literal["larger", "smaller", "open"]


class Finding(NamedTuple):
    """An arm against the control in one outcome.

    `comparison` is None where an arm has fewer than two units. `is_adjusted` tells that it is of outcomes adjusted by
    what was known before (CUPED), and `variance_left` is the share of the difference's variance that is left, 0 to 1
    and a little above 1 where the adjustment does not help; 1 where there is none.
    """

    outcome: str
    arm: str
    treated: Sample
    control: Sample
    comparison: Comparison | None
    is_adjusted: bool
    variance_left: float

    @property
    def verdict(self) -> Verdict:
        """What the always-valid interval says; it may be read at any time."""
        if self.comparison is None:
            return "open"
        lower, upper = self.comparison.always_valid
        return "larger" if lower > 0 else "smaller" if upper < 0 else "open"


class Analysis(NamedTuple):
    """The ratio of the arms' units, and a finding per outcome and arm, in the order of the table."""

    ratio: Ratio
    findings: Sequence[Finding]


def analyse(experiment: Experiment, shares: Mapping[str, float] | None = None, alpha: float = 0.05) -> Analysis:
    """Analyses an experiment.

    Args:
        experiment: its table.
        shares: the share of units that each arm was meant to get, of any sum; equal where it is None.
        alpha: the probability of a false interval, 0 to 1, of each comparison.
    """
    findings = []
    for name, outcome in experiment.outcomes.items():
        is_adjusted = bool(outcome.before)
        samples = outcome.samples
        if is_adjusted:
            samples = adjusted(outcome.values, outcome.before)
        for arm in experiment.counts:
            if arm == experiment.control:
                continue
            found = compare(samples[arm], samples[experiment.control], alpha)
            plain = compare(outcome.samples[arm], outcome.samples[experiment.control], alpha)
            left = (
                (found.standard_error / plain.standard_error) ** 2 if found and plain and plain.standard_error else 1.0
            )
            findings.append(Finding(name, arm, samples[arm], samples[experiment.control], found, is_adjusted, left))
    return Analysis(sample_ratio(experiment.counts, shares or dict.fromkeys(experiment.counts, 1.0)), findings)
