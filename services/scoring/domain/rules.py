"""The transparent rules: conditions, weights and reasons.

A rule that applies gives a probability of leaving: its weight times its strength (0 to 100) over 100. Most rest on one
type of signal; of several active signals of a type the strongest counts, so that one more error never lowers the risk.
Rules are independent causes: together they give 1 - prod(1 - p), the noisy-or.

The weights are judgements, not measurements; the version changes with them. Repeated failures weigh enough that three
failed attempts in one place reach the trigger of 75 points whatever the model says. A model may have learned that a
rule means less or more among its users (`weighed`).
"""

from collections.abc import Mapping, Sequence
from math import log1p
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.scoring.domain.history import Signal
from services.scoring.domain.reasons import aged, reason
from services.scoring.domain.schema import FEATURES, SignalType

RULES_VERSION: Final = "rules-2"

WEIGHTS: Final = {
    SignalType.REPEATED_FAILURES: 0.96,
    SignalType.FORM_ERRORS: 0.6,
    SignalType.RAGE_CLICKS: 0.6,
    SignalType.HELP_SEEKING: 0.5,
    SignalType.ENGAGEMENT_DROP: 0.5,
    SignalType.FORM_ABANDONMENT: 0.45,
    SignalType.ERROR_CLICK: 0.4,
    SignalType.PAGE_REFRESHES: 0.35,
    SignalType.REPEATED_RECALCULATION: 0.35,
    SignalType.QUICK_BACKS: 0.3,
    SignalType.LONG_TIME_ON_PAGE: 0.3,
    SignalType.RAPID_NAVIGATION: 0.25,
    SignalType.DEAD_CLICK: 0.2,
}
_WEIGHT_OF: Final = [WEIGHTS.get(kind, 0.0) for kind in SignalType]
_NAME_OF: Final = [kind.name.lower() for kind in SignalType]
_FAILURES: Final = frozenset({SignalType.REPEATED_FAILURES.name.lower(), SignalType.FORM_ERRORS.name.lower()})

SCATTERED_ERRORS: Final = "scattered_errors"
SCATTERED_ERRORS_WEIGHT: Final = 0.35
SCATTERED_ERRORS_FROM: Final = 3
FORMS_LEFT: Final = "forms_left"
FORMS_LEFT_WEIGHT: Final = 0.3
FORMS_LEFT_FROM: Final = 2

NAMES: Final = (*(kind.name.lower() for kind in WEIGHTS), SCATTERED_ERRORS, FORMS_LEFT)
"""All rules."""

_ERROR_COUNT: Final = FEATURES.index("error_count")
_FORM_ABANDONS: Final = FEATURES.index("form_abandons")


class Finding(NamedTuple):
    """A rule that applies: its strength, 0 to 100, the probability it gives, and what was said when it was found."""

    name: str
    strength: float
    probability: float
    said: str
    age_seconds: float = 0.0

    @property
    def reason(self) -> str:
        """The reason in words, with its age."""
        return aged(self.said, self.age_seconds)


def find(active_signals: Sequence[Signal], values: Sequence[float], at_us: int = 0) -> list[Finding]:
    """The rules that apply: first those over signals in the order of their types, then those over features.

    Args:
        active_signals: the signals that count.
        values: the features.
        at_us: when this is asked, in Unix microseconds; without it, signals are told without their age.
    """
    findings = [
        Finding(
            _NAME_OF[signal.type],
            signal.strength,
            _WEIGHT_OF[signal.type] * signal.strength / 100.0,
            signal.reason,
            max(0.0, (at_us - signal.time_us) / 1e6),
        )
        for signal in _strongest(active_signals)
    ]
    if values[_ERROR_COUNT] >= SCATTERED_ERRORS_FROM:
        _add_scattered_errors(findings, values[_ERROR_COUNT])
    if values[_FORM_ABANDONS] >= FORMS_LEFT_FROM:
        count = values[_FORM_ABANDONS]
        strength = 100.0 * (1.0 - 0.7 ** (count - 1.0))
        said = reason("form_abandons", count)
        findings.append(Finding(FORMS_LEFT, strength, FORMS_LEFT_WEIGHT * strength / 100.0, said))
    return findings


def may_apply(columns: npt.NDArray[np.float64]) -> list[bool]:
    """For each row, whether a rule over features alone applies; lets the hot path skip calm users.

    Args:
        columns: the features of many rows, one column per row.
    """
    applies = (columns[_ERROR_COUNT] >= SCATTERED_ERRORS_FROM) | (columns[_FORM_ABANDONS] >= FORMS_LEFT_FROM)
    may: list[bool] = applies.tolist()
    return may


def probability(findings: Sequence[Finding]) -> float:
    """The noisy-or of the findings; 0 for none."""
    staying = 1.0
    for finding in findings:
        staying *= 1.0 - finding.probability
    return 1.0 - staying


def doubts(findings: Sequence[Finding]) -> list[float]:
    """By rule, in the order of `NAMES`, -log(1 - p), which sum to that of `probability`; 0 if it does not apply."""
    by_name = {finding.name: -log1p(-finding.probability) for finding in findings}
    return [by_name.get(name, 0.0) for name in NAMES]


def weighed(findings: Sequence[Finding], weights: Mapping[str, float]) -> Sequence[Finding]:
    """The findings as rules with learned weights give them: 1 - (1 - p) ** weight for each p as shipped.

    Args:
        findings: those of `find`.
        weights: 0 or more, by the name of the rule; 1 for those that are not named.
    """
    if not weights:
        return findings
    return [
        finding._replace(probability=1.0 - (1.0 - finding.probability) ** weights[finding.name])
        if finding.name in weights
        else finding
        for finding in findings
    ]


def _strongest(active_signals: Sequence[Signal]) -> list[Signal]:
    best: dict[int, Signal] = {}
    for signal in active_signals:
        if signal.type >= len(_WEIGHT_OF) or not _WEIGHT_OF[signal.type]:
            continue
        known = best.get(signal.type)
        if known is None or (signal.strength, signal.time_us) >= (known.strength, known.time_us):
            best[signal.type] = signal
    return [best[kind] for kind in sorted(best)]


def _add_scattered_errors(findings: list[Finding], count: float) -> None:
    """Adds a finding for many errors without an active signal: in different places, or overcome in one.

    Errors and signals of failure are one cause, so this rule only adds the difference up to its own probability, and
    nothing if they weigh more. Thus one more signal never lowers the risk.
    """
    strength = 100.0 * (1.0 - 0.8**count)
    likelihood = SCATTERED_ERRORS_WEIGHT * strength / 100.0
    of_failures = probability([finding for finding in findings if finding.name in _FAILURES])
    if of_failures >= likelihood:
        return
    missing = 1.0 - (1.0 - likelihood) / (1.0 - of_failures)
    said = reason("error_count", count)
    findings.append(Finding(SCATTERED_ERRORS, strength * missing / likelihood, missing, said))
