"""Rules whose weights a model has learned: how they are read, and what scoring makes of them."""

import asyncio
import json
import math
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.state.memory import MemoryState
from services.scoring import translation
from services.scoring.adapters import learned_rules
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain import rules
from services.scoring.domain.learning import AS_SHIPPED, LearnedRules
from services.scoring.domain.schema import SignalType
from services.scoring.domain.stages import EVERYBODY
from services.scoring.ports import Card, Served, Serving
from services.scoring.states import JOURNALS
from services.scoring.usecases import Scoring
from tests.builders import NOW_US
from tests.scoring.builders import MODELS, Fixed, OneTerm, batch, rows, signal, values

GOLDEN: Final = Path(__file__).parent / "golden" / "rules-1.json"
FAILURES: Final = ("repeated_failures", "form_errors")
WEIGHTS: Final = st.dictionaries(st.sampled_from(rules.NAMES), st.floats(0.0, 5.0)).filter(
    lambda found: found.get("scattered_errors", 1.0) <= min(found.get(name, 1.0) for name in FAILURES)
)
SIGNALS: Final = st.builds(signal, st.sampled_from(list(SignalType)[1:]), st.floats(0.0, 100.0))
TROUBLE: Final = [signal(SignalType.RAGE_CLICKS, 90.0), signal(SignalType.HELP_SEEKING, 75.0)]


class Taught(OneTerm):
    """A model that learned about the rules."""

    def __init__(self, learned: LearnedRules, version: str = "taught-1") -> None:
        of = OneTerm.card
        self.card = Card(version, "nothing", NOW_US, of.schema_version, "# A card", own_users=99, rules=learned)


def test_the_first_format_is_read_and_rules_of_later_are_left_out() -> None:
    found = learned_rules.read(GOLDEN.read_bytes(), "m-1")
    assert found == LearnedRules({"rage_clicks": 0.0421, "help_seeking": 1.6304}, is_in_probability=True)
    again = json.loads(GOLDEN.read_text())
    del again["weights"]["a_rule_of_later"]
    assert json.loads(msgspec.json.encode(learned_rules.written(found))) == again


@pytest.mark.parametrize(
    "members",
    [
        {"format": 2},
        {"rules_version": "rules-1"},
        {"weights": {"rage_clicks": -0.1}},
        {"weights": {"rage_clicks": 1e9}},
        {"weights": {"rage_clicks": "1"}},
        {"weights": None},
        {"is_in_probability": "yes"},
    ],
)
def test_what_cannot_be_used_leaves_the_model_in_service_with_rules_as_shipped(
    members: dict[str, Any], tmp_path: Path
) -> None:
    live = ModelDirectory(MODELS).live().card.version
    shutil.copytree(MODELS, tmp_path / "models")
    file = tmp_path / "models" / live / "model.json"
    described = json.loads(file.read_text())
    for part, expected in ((json.loads(GOLDEN.read_text()), 2), (json.loads(GOLDEN.read_text()) | members, 0)):
        file.write_text(json.dumps(described | {"rules": part}))
        card = ModelDirectory(tmp_path / "models", tmp_path / "models").live().card
        assert (card.version, len(card.rules.weights)) == (live, expected)


def test_a_model_of_before_has_rules_as_shipped() -> None:
    assert ModelDirectory(MODELS).live().card.rules == AS_SHIPPED


@given(st.lists(SIGNALS, max_size=5), WEIGHTS, SIGNALS, st.integers(0, 6))
def test_one_trouble_more_never_lowers_the_risk(
    signals: list[Any], weights: dict[str, float], more: Any, errors: int
) -> None:
    def risk(found: list[Any], count: int) -> float:
        return rules.probability(rules.weighed(rules.find(found, values(error_count=float(count))), weights))

    assert risk([*signals, more], errors) >= risk(signals, errors) - 1e-9
    assert risk(signals, errors + 1) >= risk(signals, errors) - 1e-9


@given(st.lists(SIGNALS, max_size=5), WEIGHTS, st.sampled_from(rules.NAMES), st.floats(0.0, 5.0))
def test_more_weight_is_never_less_risk(signals: list[Any], weights: dict[str, float], name: str, more: float) -> None:
    findings = rules.find(signals, values(error_count=4.0, form_abandons=2.0))
    heavier = weights | {name: weights.get(name, 1.0) + more}
    less, greater = (rules.probability(rules.weighed(findings, each)) for each in (weights, heavier))
    assert greater >= less - 1e-12


@given(st.lists(SIGNALS, max_size=5))
def test_the_doubts_of_rules_sum_to_that_of_all(signals: list[Any]) -> None:
    findings = rules.find(signals, values(error_count=4.0, form_abandons=2.0))
    assert 1.0 - math.exp(-sum(rules.doubts(findings))) == pytest.approx(rules.probability(findings))


def assessed(learned: LearnedRules) -> Any:
    async def both() -> Any:
        scoring = Scoring(Fixed(Taught(learned)), MemoryState())
        answer = await scoring.assess(rows(["ada"], [NOW_US], [values()], {0: TROUBLE}), batch(1))
        return answer.assessments[0], await scoring.read("ada")

    return asyncio.run(both())


def test_scoring_weighs_rules_as_the_model_learned_and_explains_it_so() -> None:
    weights = {"rage_clicks": 0.25, "help_seeking": 2.0}
    answer, read = assessed(LearnedRules(weights, is_in_probability=False))
    rage, help_ = 1.0 - 0.6 * 0.9, 1.0 - 0.5 * 0.75
    assert answer.risk.rule_score == pytest.approx(100.0 * (1.0 - rage**0.25 * help_**2.0))
    assert read.explained.assessment.risk == answer.risk
    assert sum(part.points for part in read.explained.contributions) == pytest.approx(answer.risk.score)
    assert read.journal.rule_weights == weights
    assert JOURNALS.decode(JOURNALS.encode(read.journal)) == read.journal
    message = translation.risk_message("ada", read, "rules-2")
    assert message.struggle.score == pytest.approx(answer.risk.rule_score)


def test_a_habit_that_means_nothing_here_does_not_alarm() -> None:
    shipped, _ = assessed(AS_SHIPPED)
    learned, _ = assessed(LearnedRules({"rage_clicks": 0.0, "help_seeking": 0.0}, is_in_probability=False))
    assert shipped.risk.score > 70.0
    assert learned.risk.score == pytest.approx(learned.risk.model_score)


@pytest.mark.parametrize("is_in", [False, True])
def test_the_probability_is_told_with_the_rules_only_where_they_belong_to_it(*, is_in: bool) -> None:
    answer, read = assessed(LearnedRules({"rage_clicks": 0.5}, is_in_probability=is_in))
    told = translation.risk_message("ada", read, "rules-2").exit_risk.probability.value
    assert told == pytest.approx((answer.risk.score if is_in else answer.risk.model_score) / 100.0)


def test_a_shadow_is_compared_by_the_rules_as_it_learned_them() -> None:
    shadow = Taught(LearnedRules({"rage_clicks": 0.0, "help_seeking": 0.0}, is_in_probability=False), "shadow")
    live = Taught(LearnedRules({"rage_clicks": 3.0}, is_in_probability=False), "live")

    class Both:
        def served(self) -> Served:
            return Served({EVERYBODY: Serving(live, shadow=shadow)})

    scoring = Scoring(Both(), MemoryState())
    answer = asyncio.run(scoring.assess(rows(["ada"], [NOW_US], [values()], {0: TROUBLE}), batch(1)))
    ((risk, score),) = answer.shadowed
    assert score == pytest.approx(risk.model_score)
    assert risk.score > score
