"""The rules: which apply, how strongly, and that more trouble is never less risk."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.scoring.domain import rules
from services.scoring.domain.history import Signal
from services.scoring.domain.schema import SignalType
from tests.builders import NOW_US
from tests.scoring.builders import signal, values

STRENGTHS = st.floats(0.0, 100.0)
SIGNALS = st.builds(signal, st.sampled_from(list(SignalType)), STRENGTHS, st.integers(NOW_US, NOW_US + 10**9))


def test_no_rule_applies_to_a_calm_user() -> None:
    assert rules.find([], values()) == []
    assert rules.probability([]) == 0.0


def test_a_rule_weighs_its_signal_and_repeats_its_reason() -> None:
    (finding,) = rules.find([signal(SignalType.HELP_SEEKING, 75.0, reason="2 requests for help")], values())
    assert finding == rules.Finding("help_seeking", 75.0, 0.5 * 0.75, "2 requests for help")


def test_an_older_signal_is_told_with_its_age() -> None:
    (finding,) = rules.find([signal()], values(), NOW_US + 720 * 1_000_000)
    assert finding.reason.endswith(", 12 minutes ago")


def test_rules_together_are_a_noisy_or() -> None:
    signals = [signal(SignalType.HELP_SEEKING, 75.0), signal(SignalType.FORM_ERRORS, 78.4)]
    expected = 1 - (1 - 0.5 * 0.75) * (1 - 0.6 * 0.784)
    assert rules.probability(rules.find(signals, values())) == pytest.approx(expected)


def test_every_type_of_signal_has_a_weight() -> None:
    assert set(rules.WEIGHTS) == set(SignalType) - {SignalType.UNSPECIFIED}


def test_a_type_not_known_yet_says_nothing() -> None:
    signals = [signal(), signal()]
    unknown = type(signals[0])(99, 100.0, NOW_US, "", b"")
    assert rules.find([unknown, signal(SignalType.UNSPECIFIED, 100.0)], values()) == []


def test_the_strongest_of_a_type_counts_once() -> None:
    signals = [signal(strength=64.0), signal(strength=87.0, reason="most"), signal(strength=64.0, time_us=NOW_US + 5)]
    (finding,) = rules.find(signals, values())
    assert (finding.strength, finding.reason) == (87.0, "most")


def test_scattered_errors_apply_if_no_signal_does() -> None:
    assert [f.name for f in rules.find([], values(error_count=3.0))] == ["scattered_errors"]
    assert rules.find([], values(error_count=2.0)) == []
    assert [f.name for f in rules.find([signal()], values(error_count=3.0))] == ["repeated_failures"]


def test_a_second_abandoned_form_is_a_finding() -> None:
    assert rules.find([], values(form_abandons=1.0)) == []
    assert [f.name for f in rules.find([], values(form_abandons=2.0))] == ["forms_left"]


@given(st.lists(SIGNALS, max_size=6), SIGNALS, st.integers(0, 64))
@example([signal(SignalType.FORM_ERRORS, 2.0)], signal(SignalType.FORM_ERRORS, 56.0), 13)
def test_one_more_signal_is_never_less_risk(signals: list[Signal], more: Signal, errors: int) -> None:
    seen = values(error_count=float(errors))
    before, after = rules.find(signals, seen), rules.find([*signals, more], seen)
    assert rules.probability(after) >= rules.probability(before) - 1e-12


@given(st.lists(SIGNALS, max_size=6), st.integers(0, 63), st.integers(0, 63))
def test_one_more_error_is_never_less_risk(signals: list[Signal], errors: int, abandons: int) -> None:
    before = rules.find(signals, values(error_count=float(errors), form_abandons=float(abandons)))
    after = rules.find(signals, values(error_count=errors + 1.0, form_abandons=abandons + 1.0))
    assert rules.probability(after) >= rules.probability(before) - 1e-12


@given(st.integers(0, 64), st.integers(0, 64))
def test_who_is_passed_by_would_have_said_nothing(errors: int, abandons: int) -> None:
    seen = values(error_count=float(errors), form_abandons=float(abandons))
    assert rules.may_apply(np.array([seen]).T) == [bool(rules.find([], seen))]


@pytest.mark.parametrize(("count", "text"), [(3, "3 errors"), (63, "63 errors"), (64, "64 or more errors")])
def test_a_count_that_stops_is_said_to_be_so_many_or_more(count: int, text: str) -> None:
    (finding,) = rules.find([], values(error_count=count))
    assert finding.reason == f"{text} within 30 minutes"
    (left,) = rules.find([], values(form_abandons=count))
    assert left.reason == f"Forms begun and left {text.removesuffix(' errors')} times within 30 minutes"
