"""One assessment: the user's journal before, the features and signals after some events, the journal after."""

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from services.scoring.domain import explanation, history, risk, rules
from services.scoring.domain.explanation import Contribution
from services.scoring.domain.history import Journal, Settled, Signal
from services.scoring.domain.inputs import names_of
from services.scoring.domain.risk import COUNT_LIMIT, Risk
from services.scoring.domain.rules import Finding
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES, SCHEMA_VERSION, Level

_VALUES: Final = struct.Struct(f"<{FEATURE_COUNT}d")
_VALUE_SIZE: Final = 8
_TERM_SIZE: Final = 4
_TERMS_SIZE: Final = _TERM_SIZE * (FEATURE_COUNT + 1)


class Columns(NamedTuple):
    """The input of an assessment, row by row.

    `packed_values` and `packed_terms` hold all rows one after the other: 64-bit floats, one per name; and 32-bit
    floats, the model's baseline and then one per name; little-endian. The first names are the 13 features. `may_apply`
    says whether a rule over features alone may apply. `found` has the new signals by row, `settled` the signals that
    ended with a row; a signal may be in both. `use_counts` is how many things that the user did a row stands for.
    `rule_weights` are those that the model learned, by the name of the rule; see `rules.weighed`.
    """

    event_times_us: Sequence[int]
    names: tuple[str, ...]
    packed_values: bytes
    may_apply: Sequence[bool]
    probabilities: Sequence[float]
    packed_terms: bytes
    found: Mapping[int, Sequence[Signal]]
    settled: Mapping[int, Collection[Settled]]
    use_counts: Sequence[int]
    rule_weights: Mapping[str, float] = {}


class Assessment(NamedTuple):
    """The result for one row; without indicators at a low level, and with 0 for the latest signal if none counts.

    `findings` are those of the rules as shipped.
    """

    risk: Risk
    strong_signal_count: int
    indicators: Sequence[Contribution]
    latest_signal_us: int = 0
    findings: Sequence[Finding] = ()


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
        features_at = row * len(columns.names) * _VALUE_SIZE
        findings = rules.find(active, _VALUES.unpack_from(columns.packed_values, features_at), at_us)
    if journal.use_count < COUNT_LIMIT:
        journal.use_count = min(COUNT_LIMIT, journal.use_count + columns.use_counts[row])
    weights = columns.rule_weights
    if weights or journal.rule_weights:
        journal.rule_weights = {each.name: weights[each.name] for each in findings if each.name in weights}
    weighed = rules.weighed(findings, weights)
    judged = risk.assess(weighed, columns.probabilities[row], journal.use_count)
    history.note(journal, at_us, judged.score, judged.level)
    if judged.level is Level.LOW:
        if not active:
            return Assessment(judged, 0, (), 0, findings)
        return Assessment(judged, history.strong_count(active), (), history.latest_us(active), findings)
    packed_values, packed_terms = _row(columns, row)
    parts = explanation.contributions(
        judged, weighed, columns.names, _floats(packed_terms, "f"), _floats(packed_values, "d")
    )
    strong, latest_us = history.strong_count(active), history.latest_us(active)
    return Assessment(judged, strong, explanation.indicators(parts), latest_us, findings)


def settle(journal: Journal, columns: Columns, row: int, model_version: str) -> None:
    """Writes the input of the user's last row into the journal, so that it can be explained later."""
    journal.event_time_us = columns.event_times_us[row]
    journal.model_probability = columns.probabilities[row]
    journal.model_version = model_version
    journal.schema_version = SCHEMA_VERSION
    values, terms = _row(columns, row)
    journal.values, journal.more_values = values[: _VALUES.size], values[_VALUES.size :]
    journal.terms, journal.more_terms = terms[:_TERMS_SIZE], terms[_TERMS_SIZE:]
    journal.own_names = list(columns.names[len(names_of(())) :])


def features(journal: Journal) -> Sequence[float]:
    """The features of the last assessment, in the order of the schema; the journal must have one."""
    return _VALUES.unpack(journal.values)


def explain(journal: Journal) -> Explained:
    """The last assessment, computed again from its stored input; the journal must have one."""
    names = names_of(journal.own_names) if journal.more_values else FEATURES
    values = _floats(journal.values + journal.more_values, "d")
    terms = _floats(journal.terms + journal.more_terms, "f")
    active = history.active(journal.signals, journal.event_time_us)
    findings = rules.find(active, values, journal.event_time_us)
    weighed = rules.weighed(findings, journal.rule_weights)
    judged = risk.assess(weighed, journal.model_probability, journal.use_count)
    parts = explanation.contributions(judged, weighed, names, terms, values)
    strong, latest_us = history.strong_count(active), history.latest_us(active)
    return Explained(Assessment(judged, strong, explanation.indicators(parts), latest_us, findings), parts)


def _row(columns: Columns, row: int) -> tuple[bytes, bytes]:
    """The values and the terms of a row."""
    width = len(columns.names)
    value_size, term_size = width * _VALUE_SIZE, (width + 1) * _TERM_SIZE
    return (
        columns.packed_values[row * value_size : (row + 1) * value_size],
        columns.packed_terms[row * term_size : (row + 1) * term_size],
    )


def _floats(packed: bytes, form: str) -> Sequence[float]:
    size = _VALUE_SIZE if form == "d" else _TERM_SIZE
    return struct.unpack(f"<{len(packed) // size}{form}", packed)
