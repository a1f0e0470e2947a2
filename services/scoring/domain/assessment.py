"""One assessment: the user's journal before, the features and signals after some events, the journal after."""

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from services.scoring.domain import explanation, history, risk, rules
from services.scoring.domain.explanation import Contribution
from services.scoring.domain.history import Journal, Settled, Signal
from services.scoring.domain.risk import COUNT_LIMIT, Risk
from services.scoring.domain.rules import Finding
from services.scoring.domain.schema import FEATURE_COUNT, SCHEMA_VERSION, Level

_VALUES: Final = struct.Struct(f"<{FEATURE_COUNT}d")
_TERMS: Final = struct.Struct(f"<{FEATURE_COUNT + 1}f")


class Columns(NamedTuple):
    """The input of an assessment, row by row.

    `packed_values` and `packed_terms` hold all rows one after the other, each as in `Journal`. `may_apply` says whether
    a rule over features alone may apply. `found` has the new signals by row, `settled` the signals that ended with a
    row; a signal may be in both. `event_counts` is the number of events of the user that a row stands for.
    """

    event_times_us: Sequence[int]
    packed_values: bytes
    may_apply: Sequence[bool]
    probabilities: Sequence[float]
    packed_terms: bytes
    found: Mapping[int, Sequence[Signal]]
    settled: Mapping[int, Collection[Settled]]
    event_counts: Sequence[int]


class Assessment(NamedTuple):
    """The result for one row; without indicators at a low level, and with 0 for the latest signal if none counts."""

    risk: Risk
    strong_signal_count: int
    indicators: Sequence[Contribution]
    latest_signal_us: int = 0


class Explained(NamedTuple):
    """The last assessment of a user, with everything that went into it."""

    assessment: Assessment
    contributions: Sequence[Contribution]


def assess(journal: Journal, columns: Columns, row: int) -> Assessment:
    """Assesses a user after the events of one row and writes it into the journal; `settle` makes it the last one."""
    at_us = columns.event_times_us[row]
    found = columns.found.get(row, ())
    settled = columns.settled.get(row, ())
    if journal.signals and settled:
        journal.signals = history.drop(journal.signals, settled)
    if journal.signals or found:
        journal.signals = history.keep(journal.signals, found, at_us)
    if found and settled:
        journal.signals = history.drop(journal.signals, settled)
    active = history.active(journal.signals, at_us) if journal.signals else ()
    findings: Sequence[Finding] = ()
    if active or columns.may_apply[row]:
        findings = rules.find(active, _VALUES.unpack_from(columns.packed_values, row * _VALUES.size), at_us)
    if journal.assessed_count < COUNT_LIMIT:
        journal.assessed_count = min(COUNT_LIMIT, journal.assessed_count + columns.event_counts[row])
    judged = risk.assess(findings, columns.probabilities[row], journal.assessed_count)
    history.note(journal, at_us, judged.score, judged.level)
    if judged.level is Level.LOW:
        if not active:
            return Assessment(judged, 0, ())
        return Assessment(judged, history.strong_count(active), (), history.latest_us(active))
    values = _VALUES.unpack_from(columns.packed_values, row * _VALUES.size)
    terms = _TERMS.unpack_from(columns.packed_terms, row * _TERMS.size)
    parts = explanation.contributions(judged, findings, terms, values)
    return Assessment(judged, history.strong_count(active), explanation.indicators(parts), history.latest_us(active))


def settle(journal: Journal, columns: Columns, row: int, model_version: str) -> None:
    """Writes the input of the user's last row into the journal, so that it can be explained later."""
    journal.event_time_us = columns.event_times_us[row]
    journal.model_probability = columns.probabilities[row]
    journal.model_version = model_version
    journal.schema_version = SCHEMA_VERSION
    journal.values = columns.packed_values[row * _VALUES.size : (row + 1) * _VALUES.size]
    journal.terms = columns.packed_terms[row * _TERMS.size : (row + 1) * _TERMS.size]


def features(journal: Journal) -> Sequence[float]:
    """The features of the last assessment, in the order of the schema; the journal must have one."""
    return _VALUES.unpack(journal.values)


def explain(journal: Journal) -> Explained:
    """The last assessment, computed again from its stored input; the journal must have one."""
    values, terms = features(journal), _TERMS.unpack(journal.terms)
    active = history.active(journal.signals, journal.event_time_us)
    findings = rules.find(active, values, journal.event_time_us)
    judged = risk.assess(findings, journal.model_probability, journal.assessed_count)
    parts = explanation.contributions(judged, findings, terms, values)
    strong, latest_us = history.strong_count(active), history.latest_us(active)
    return Explained(Assessment(judged, strong, explanation.indicators(parts), latest_us), parts)
