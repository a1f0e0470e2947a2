"""What triggers help, and what holds it back."""

import dataclasses
from types import MappingProxyType

import msgspec
import pytest

from services.intervention.decision.domain.decision import derive
from services.intervention.decision.domain.eligibility import FOR_HELP, Reason, judge, rows_needing_standing
from services.intervention.decision.domain.facts import Outcome, OutcomeReport
from services.intervention.decision.domain.offer import UNKNOWN, Offer, Standing
from services.intervention.decision.domain.outcome import Learned
from services.intervention.decision.domain.situation import Situation
from services.intervention.policy.domain import message
from services.intervention.policy.domain.policy import DIFFICULTIES
from tests.intervention.builders import MINUTE, NOON_ISH, POLICY, Row, facts

BY_MAIL = {"email": (3, 0)}
STUCK = Row(55.0, indicators=("repeated_failures",))


def urgent(made_us: int, expires_us: int = 0) -> Standing:
    return Standing(offers=(Offer("i", "in_app", is_urgent=True, made_us=made_us, expires_us=expires_us),))


def gentle(made_us: int, expires_us: int = 0, learned: Learned = MappingProxyType({})) -> Standing:
    offer = Offer("i", "email", is_urgent=False, made_us=made_us, expires_us=expires_us)
    return Standing(offers=(offer,), learned=dict(learned))


@pytest.mark.parametrize(
    ("row", "standing", "reasons"),
    [
        (Row(74.999), UNKNOWN, (Reason.BELOW_TRIGGER,)),
        (Row(75.0), UNKNOWN, (Reason.RISK_AT_TRIGGER,)),
        (Row(30.0, strong=3), UNKNOWN, (Reason.BELOW_TRIGGER,)),
        (Row(30.0, strong=4), UNKNOWN, (Reason.SIGNALS_AT_TRIGGER,)),
        (Row(80.0, strong=5), UNKNOWN, (Reason.RISK_AT_TRIGGER, Reason.SIGNALS_AT_TRIGGER)),
        (Row(99.0, is_bot=True), UNKNOWN, (Reason.BOT,)),
        (Row(99.0, outcome=OutcomeReport("", Outcome.SHOWN, "email")), UNKNOWN, (Reason.OUTCOME_EVENT,)),
        (STUCK, UNKNOWN, (Reason.BELOW_TRIGGER,)),
        (STUCK, Standing(learned=BY_MAIL), (Reason.RESPONSIVE_USER,)),
        (STUCK, Standing(learned={"email": (2, 0)}), (Reason.BELOW_TRIGGER,)),
        (STUCK, Standing(learned={"email": (2, 2)}), (Reason.BELOW_TRIGGER,)),
        (dataclasses.replace(STUCK, score=72.0), Standing(learned=BY_MAIL), (Reason.BELOW_TRIGGER,)),
        (
            Row(80.0),
            urgent(NOON_ISH - 60 * MINUTE, NOON_ISH + 1),
            (Reason.ALREADY_PENDING, Reason.RISK_AT_TRIGGER),
        ),
        (Row(80.0), urgent(NOON_ISH - 60 * MINUTE, NOON_ISH), (Reason.RISK_AT_TRIGGER,)),
        (
            Row(80.0),
            urgent(NOON_ISH - 15 * MINUTE + 1),
            (Reason.COOLDOWN, Reason.RISK_AT_TRIGGER),
        ),
        (Row(80.0), urgent(NOON_ISH - 15 * MINUTE), (Reason.RISK_AT_TRIGGER,)),
        # A row that was received before the intervention was made is no way around the cooldown.
        (Row(80.0), urgent(NOON_ISH + MINUTE), (Reason.COOLDOWN, Reason.RISK_AT_TRIGGER)),
        # Gentle help holds back gentle help, never urgent help.
        (Row(80.0), gentle(NOON_ISH - 1, NOON_ISH + 1), (Reason.RISK_AT_TRIGGER,)),
        (
            STUCK,
            gentle(NOON_ISH - 60 * MINUTE, NOON_ISH + 1, BY_MAIL),
            (Reason.ALREADY_PENDING, Reason.RESPONSIVE_USER),
        ),
        (STUCK, gentle(NOON_ISH - 1, 0, BY_MAIL), (Reason.COOLDOWN, Reason.RESPONSIVE_USER)),
        (
            STUCK,
            msgspec.structs.replace(urgent(NOON_ISH - 1), learned=BY_MAIL),
            (Reason.COOLDOWN, Reason.RESPONSIVE_USER),
        ),
    ],
)
def test_reasons(row: Row, standing: Standing, reasons: tuple[Reason, ...]) -> None:
    assert derive(POLICY, facts(row), standing, "i").reasons == reasons


def test_rows_not_in_question_are_below_the_trigger_whoever_the_user_is() -> None:
    indicators = [(), ("repeated_failures",), ("engagement_drop",)]
    rows = [Row(s, strong=n, indicators=i) for s in (5.0, 45.0, 72.0, 80.0) for n in (0, 4) for i in indicators]
    asked = rows_needing_standing(POLICY, [row.assessment for row in rows])
    helped_before = Standing(learned=dict.fromkeys(POLICY.priors, (9, 0)))
    for index, row in enumerate(rows):
        helps = judge(Situation(POLICY, facts(row), helped_before))[0] in FOR_HELP
        assert helps == (index in asked)


def test_every_difficulty_has_a_sentence_of_its_own() -> None:
    plain = message.words([], "")
    assert all(message.words([each], "") != plain for each in DIFFICULTIES)


def test_every_channel_has_a_gentle_action() -> None:
    assert {each.channel for each in POLICY.actions if each.need == "gentle"} == set(POLICY.priors)
