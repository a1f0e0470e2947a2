"""The contributions sum to the score, with the signs of their terms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.domain import explanation, risk
from services.scoring.domain.rules import Finding
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES
from tests.scoring.builders import values

TERMS = st.lists(st.floats(-6.0, 6.0, width=32), min_size=FEATURE_COUNT + 1, max_size=FEATURE_COUNT + 1)
FINDINGS = st.lists(
    st.builds(
        lambda strength, weight: Finding("rule", strength, weight * strength / 100, "why"),
        st.floats(0, 100),
        st.floats(0, 0.96),
    ),
    max_size=6,
)


def chance(terms: list[float]) -> float:
    return 1.0 / (1.0 + math.exp(-sum(terms)))


@given(FINDINGS, TERMS)
def test_contributions_sum_to_the_score(findings: list[Finding], terms: list[float]) -> None:
    judged = risk.assess(findings, chance(terms), 5)
    parts = explanation.contributions(judged, findings, FEATURES, terms, values())
    assert math.fsum(part.points for part in parts) == pytest.approx(judged.score, abs=1e-9)


@given(FINDINGS, TERMS)
def test_the_evidence_sums_to_what_the_rules_say(findings: list[Finding], terms: list[float]) -> None:
    judged = risk.assess(findings, chance(terms), 5)
    parts = explanation.contributions(judged, findings, FEATURES, terms, values())
    found = [part.points for part in explanation.evidence(parts, judged.rule_score)]
    assert math.fsum(found) == pytest.approx(judged.rule_score, abs=1e-9)
    assert found == sorted(found, reverse=True)


@given(FINDINGS, TERMS)
def test_a_feature_s_points_have_the_sign_of_its_term_and_stay_small(
    findings: list[Finding], terms: list[float]
) -> None:
    judged = risk.assess(findings, chance(terms), 5)
    parts = {part.name: part.points for part in explanation.contributions(judged, findings, FEATURES, terms, values())}
    for name, term in zip(FEATURES, terms[1:], strict=True):
        assert parts[name] * term >= 0.0
        assert abs(parts[name]) <= 25.0 * abs(term) + 1e-9


def test_terms_that_nearly_cancel_do_not_explode() -> None:
    terms = [-2.0, 5.0, -5.0 + 1e-9, *[0.0] * (FEATURE_COUNT - 2)]
    judged = risk.assess([], chance(terms), 5)
    parts = explanation.contributions(judged, [], FEATURES, terms, values())
    assert math.fsum(part.points for part in parts) == pytest.approx(judged.score, abs=1e-9)
    assert parts[1].points == pytest.approx(-parts[2].points, abs=1e-6)


def test_no_risk_has_no_points() -> None:
    terms = [-800.0, *[0.0] * FEATURE_COUNT]
    parts = explanation.contributions(risk.assess([], 0.0, 1), [], FEATURES, terms, values())
    assert [part.points for part in parts] == [0.0] * (FEATURE_COUNT + 1)


def test_indicators_are_the_strongest_without_what_is_usual() -> None:
    parts = [explanation.Contribution(str(points), points, "") for points in (1.5, -8.0, 0.5, 30.0, 2.0, -3.0, 4.0)]
    usual = explanation.Contribution(explanation.BASELINE, 50.0, "")
    assert [part.points for part in explanation.indicators([*parts, usual])] == [30.0, 4.0, 2.0, 1.5]
