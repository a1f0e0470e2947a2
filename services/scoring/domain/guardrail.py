"""When a canary is taken back without anybody asking: it fails, is slow, or says something quite different.

The scores of the users of a canary are compared with those of the others. Both are drawn by a hash, so without a reason
they are alike. How far they are apart is the population stability index over ten equal steps of the probability:

    PSI = sum of (c - l) * ln(c / l)     c, l: the shares of rows of the canary and of the live model in a step
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_STEPS: Final = 10
# A step that is empty on one side counts as half a row, so that its logarithm is finite.
_HALF_A_ROW: Final = 0.5
_NO_PROBABILITY: Final = "a probability is not between 0 and 1"


class Bounds(NamedTuple):
    """What a canary may do.

    It is judged once it ran `run_count` times, and by its scores once both have `row_count` rows.
    """

    failure_share: float = 0.01
    slowdown: float = 3.0
    psi: float = 0.25
    run_count: int = 20
    row_count: int = 2000


@dataclass
class Tally:
    """What a model did since the process began. Seconds are those of runs that did not fail."""

    run_count: int = 0
    failure_count: int = 0
    seconds: float = 0.0
    steps: list[int] = field(default_factory=lambda: [0] * _STEPS)

    def note(self, probabilities: Sequence[float], seconds: float) -> None:
        """Counts a run.

        Raises:
            ValueError: a probability is none, and the run is not counted.
        """
        if not all(0.0 <= each <= 1.0 for each in probabilities):
            raise ValueError(_NO_PROBABILITY)
        self.run_count += 1
        self.seconds += seconds
        for each in probabilities:
            self.steps[min(_STEPS - 1, int(each * _STEPS))] += 1

    def note_failure(self) -> None:
        """Counts a run that failed."""
        self.run_count += 1
        self.failure_count += 1


def fault(canary: Tally, live: Tally, bounds: Bounds) -> str:
    """Why a canary must be taken back, in a sentence; empty if nothing speaks against it."""
    if canary.run_count < bounds.run_count:
        return ""
    failed = canary.failure_count / canary.run_count
    if failed > bounds.failure_share:
        return f"It failed in {failed:.1%} of its runs; {bounds.failure_share:.1%} are allowed."
    slower = _mean(canary) / _mean(live) if _mean(live) else 0.0
    if slower > bounds.slowdown:
        return f"Its runs take {slower:.1f} times as long as those of the live model; {bounds.slowdown:g} are allowed."
    if min(sum(canary.steps), sum(live.steps)) >= bounds.row_count:
        apart = psi(canary.steps, live.steps)
        if apart > bounds.psi:
            return f"Its scores differ from those of the live model by a PSI of {apart:.2f}; {bounds.psi:g} is allowed."
    return ""


def psi(some: Sequence[int], others: Sequence[int]) -> float:
    """The population stability index of two histograms with the same steps, 0 for equal shares; neither is empty."""
    shares = [[max(count, _HALF_A_ROW) / sum(counts) for count in counts] for counts in (some, others)]
    return math.fsum((one - other) * math.log(one / other) for one, other in zip(*shares, strict=True))


def _mean(of: Tally) -> float:
    good = of.run_count - of.failure_count
    return of.seconds / good if good else 0.0
