"""When a model tells a probability."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.scoring.v1 import models_pb2

from mesh.state.memory import MemoryState
from records.tenants import qualified
from services.scoring.domain.learning import LearnedRules, Learning, learning_of
from services.scoring.domain.schema import SignalType
from services.scoring.ports import Card, Served, Serving
from services.scoring.translation import assessment_message, risk_message
from services.scoring.usecases import Scoring
from tests.builders import NOW_US
from tests.scoring.builders import CALM, Fixed, OneTerm, batch, rows, signal, values

ROW = rows(["ada"], [NOW_US], [values(**CALM)])


class Learned(OneTerm):
    """A model that learned from so many users."""

    def __init__(self, own_users: int) -> None:
        self.card = replace(OneTerm.card, own_users=own_users, outcome="no event in the next 14 days")


@pytest.mark.parametrize(
    ("own_users", "state"),
    [
        (0, Learning.COLD_START),
        (29, Learning.COLD_START),
        (30, Learning.LEARNING),
        (999, Learning.LEARNING),
        (1000, Learning.OWN_MODEL),
    ],
)
def test_a_state_begins_at_its_bound(own_users: int, state: Learning) -> None:
    assert learning_of(own_users, is_recalibrated=False) is state


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_more_users_never_lead_back(one: int, other: int) -> None:
    fewer, more = (learning_of(users, is_recalibrated=False) for users in sorted((one, other)))
    assert fewer <= more


@given(st.integers(0, 2000))
def test_a_recalibrated_model_says_so_as_soon_as_it_tells_a_probability(own_users: int) -> None:
    state = learning_of(own_users, is_recalibrated=True)
    assert state is (Learning.RECALIBRATED if own_users >= 30 else Learning.COLD_START)


def test_states_have_the_numbers_and_names_of_the_contract() -> None:
    told = {name.removeprefix("LEARNING_STATE_"): number for name, number in models_pb2.LearningState.items() if number}
    assert told == {state.name: state.value for state in Learning}


@pytest.mark.parametrize(("own_users", "tells"), [(29, False), (30, True)])
async def test_a_probability_is_told_from_thirty_users_on(own_users: int, tells: bool) -> None:  # noqa: FBT001
    scoring = Scoring(Fixed(Learned(own_users)), MemoryState())
    await scoring.assess(ROW, batch(1))
    told = risk_message("ada", await scoring.read("ada"), "rules-2")
    assert told.exit_risk.HasField("probability") is tells
    assert told.exit_risk.own_user_count == own_users
    if tells:
        assert 100 * told.exit_risk.probability.value == pytest.approx(told.assessment.model_score)


@pytest.mark.parametrize("is_in", [False, True])
async def test_a_batch_brings_exactly_the_probability_that_is_told(*, is_in: bool) -> None:
    model = Learned(30)
    model.card = replace(model.card, rules=LearnedRules({"rage_clicks": 0.5}, is_in_probability=is_in))
    scoring = Scoring(Fixed(model), MemoryState())
    trouble = {0: [signal(strength=90.0, kind=SignalType.RAGE_CLICKS)]}
    assessed = await scoring.assess(rows(["ada"], [NOW_US], [values()], trouble), batch(1))
    (brought,) = map(assessment_message, assessed.assessments, assessed.told)
    told = risk_message("ada", await scoring.read("ada"), "rules-2")
    assert brought.probability == told.assessment.probability == told.exit_risk.probability.value
    assert 100 * brought.probability == pytest.approx(brought.score if is_in else brought.model_score)
    assert brought.score > brought.model_score + 1
    assert assessed.outcomes == {"test-1": told.exit_risk.outcome}


async def test_nothing_is_told_where_the_user_did_nothing_and_the_state_tells_on_what_they_did() -> None:
    scoring = Scoring(Fixed(Learned(30)), MemoryState())

    async def told(sequence: int, use_count: int) -> tuple[float | None, float | None]:
        (brought,) = (await scoring.assess(ROW._replace(use_counts=[use_count]), batch(sequence))).told
        return brought, (await scoring.read("ada")).told

    assert await told(1, 0) == (None, None)
    brought, read = await told(2, 1)
    assert brought is not None
    assert brought == read
    assert await told(3, 0) == (None, read)  # a system's event does not make the model unsay it


async def test_of_two_models_each_tells_its_own(served_by_two: Scoring) -> None:
    ids = ["ada", qualified("acme", "ann")]
    assessed = await served_by_two.assess(rows(ids, [NOW_US] * 2, [values()] * 2), batch(1))
    told = dict(zip(ids, assessed.told, strict=True))
    assert told["ada"] is None
    assert 100 * (told[ids[1]] or 0.0) == pytest.approx(assessed.assessments[1].risk.model_score)
    assert assessed.outcomes == {"own": "never returns"}
    for user_id in ids:
        assert (await served_by_two.read(user_id)).told == told[user_id]


@pytest.fixture
def served_by_two() -> Scoring:
    """A model that has learned too little for most, and one of a tenant's own."""
    one, own = Learned(29), Learned(30)
    one.card = replace(one.card, version="live", outcome="")
    own.card = replace(own.card, version="own", outcome="never returns")

    class Both:
        def served(self) -> Served:
            return Served({"": Serving(one), "acme": Serving(own)})

    return Scoring(Both(), MemoryState())


async def test_a_model_out_of_service_tells_nothing_of_its_outcome() -> None:
    models = Fixed(Learned(30))
    scoring = Scoring(models, MemoryState())
    await scoring.assess(ROW, batch(1))
    models.model = Learned(30)
    models.model.card = replace(models.model.card, version="test-2")
    told = risk_message("ada", await scoring.read("ada"), "rules-2")
    assert not told.exit_risk.HasField("probability")
    assert told.exit_risk.learning_state == models_pb2.LEARNING_STATE_UNSPECIFIED
    assert told.struggle.score == told.assessment.rule_score


def test_the_card_of_a_canary_is_found() -> None:
    canary = Learned(40)
    canary.card = Card("next", "own", 0, "features-1", "", own_users=40)
    served = Served({"": Serving(OneTerm()), "acme": Serving(OneTerm(), canary, 5.0)})
    assert served.card("next") is canary.card
    assert served.card("gone") is None
