"""What triggers help, and what holds it back."""

import dataclasses

import pytest

from services.intervention.domain import message, strategy
from services.intervention.domain.eligibility import (
    FOR_HELP,
    UNKNOWN,
    Reason,
    Standing,
    judge,
    rows_in_question,
)
from services.intervention.domain.facts import Outcome, OutcomeReport
from services.intervention.domain.policy import DIFFICULTIES, POLICY
from tests.intervention.builders import MINUTE, NOON_ISH, Row, facts

BY_MAIL = {"email": (3, 0)}
STUCK = Row(55.0, indicators=("repeated_failures",))


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
            Standing(waiting_until_us=NOON_ISH + 1, is_waiting_urgent=True),
            (Reason.ALREADY_PENDING, Reason.RISK_AT_TRIGGER),
        ),
        (Row(80.0), Standing(waiting_until_us=NOON_ISH, is_waiting_urgent=True), (Reason.RISK_AT_TRIGGER,)),
        (
            Row(80.0),
            Standing(urgent_made_us=NOON_ISH - 15 * MINUTE + 1),
            (Reason.COOLDOWN, Reason.RISK_AT_TRIGGER),
        ),
        (Row(80.0), Standing(urgent_made_us=NOON_ISH - 15 * MINUTE), (Reason.RISK_AT_TRIGGER,)),
        # A row that was received before the intervention was made is no way around the cooldown.
        (Row(80.0), Standing(urgent_made_us=NOON_ISH + MINUTE), (Reason.COOLDOWN, Reason.RISK_AT_TRIGGER)),
        # Gentle help holds back gentle help, never urgent help.
        (Row(80.0), Standing(waiting_until_us=NOON_ISH + 1, gentle_made_us=NOON_ISH - 1), (Reason.RISK_AT_TRIGGER,)),
        (
            STUCK,
            Standing(waiting_until_us=NOON_ISH + 1, learned=BY_MAIL),
            (Reason.ALREADY_PENDING, Reason.RESPONSIVE_USER),
        ),
        (STUCK, Standing(gentle_made_us=NOON_ISH - 1, learned=BY_MAIL), (Reason.COOLDOWN, Reason.RESPONSIVE_USER)),
        (STUCK, Standing(urgent_made_us=NOON_ISH - 1, learned=BY_MAIL), (Reason.COOLDOWN, Reason.RESPONSIVE_USER)),
    ],
)
def test_reasons(row: Row, standing: Standing, reasons: tuple[Reason, ...]) -> None:
    assert judge(POLICY, facts(row), standing) == reasons


def test_rows_not_in_question_are_below_the_trigger_whoever_the_user_is() -> None:
    indicators = [(), ("repeated_failures",), ("engagement_drop",)]
    rows = [Row(s, strong=n, indicators=i) for s in (5.0, 45.0, 72.0, 80.0) for n in (0, 4) for i in indicators]
    asked = rows_in_question(POLICY, [row.assessment for row in rows])
    helped_before = Standing(learned=dict.fromkeys(POLICY.priors, (9, 0)))
    for index, row in enumerate(rows):
        helps = judge(POLICY, facts(row), helped_before)[0] in FOR_HELP
        assert helps == (index in asked)


def test_every_difficulty_has_a_sentence_of_its_own() -> None:
    plain = message.urgent_message([])
    assert all(message.urgent_message([each]) != plain for each in DIFFICULTIES)


def test_every_channel_has_an_action() -> None:
    assert set(strategy._GENTLE_ACTIONS) == set(POLICY.priors)
