"""The product's worked examples, at the level of assessed rows."""

import pytest

from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome
from tests.intervention.builders import HOUR, MINUTE, NOON_ISH, Row, World, outcome

# Wednesday, 18:30 in Berlin.
EVENING = NOON_ISH + 8 * HOUR + 30 * MINUTE
TECHNICAL = ("form_errors", "engagement_drop")


@pytest.fixture
def world() -> World:
    return World()


async def test_calculator_is_offered_a_chat(world: World) -> None:
    calm, busy = Row(8.0), Row(22.0, NOON_ISH + 15_000_000)
    stuck = Row(78.4, NOON_ISH + 30_000_000, strong=1, indicators=("repeated_failures",), confidence=0.81)
    (made,) = await world.send(calm, busy, stuck)
    help_ = made.intervention
    assert made.row == 2
    assert (help_.id, help_.type, help_.action) == ("i-3-1-2", "critical_intervention", "show_live_chat_popup")
    assert (help_.channel, help_.priority, help_.also_channels) == ("in_app", "high", ())
    assert help_.message == "It looks like this is not working as it should. Would you like to chat with one of us now?"
    assert (help_.risk_score, help_.risk_level, help_.confidence) == (78.4, "high", 0.81)
    assert (help_.indicators, help_.page) == (("repeated_failures",), "/calculator")
    assert help_.expires_us == stuck.at_us + 30 * MINUTE
    waiting = await world.reading.waiting("ada")
    assert waiting.intervention == help_
    assert made.decision.verdict.reasons == (Reason.RISK_AT_TRIGGER,)
    assert made.decision.verdict.explanation == (
        "The risk of 78.4 (high) has reached the trigger of 75. "
        "Help goes by in_app with high priority, 40% likely to be accepted."
    )
    assert world.observer.decision_ids == ["d-3-1-2"]


async def test_form_trouble_is_offered_a_chat_and_names_the_form(world: World) -> None:
    indicators = ("form_errors", "help_seeking", "engagement_drop", "page_refreshes")
    (made,) = await world.send(Row(86.0, indicators=indicators, confidence=0.87, page="/apply"))
    assert made.intervention.action == "show_live_chat_popup"
    assert made.intervention.priority == "high"
    assert made.intervention.indicators == indicators
    assert made.intervention.message.startswith("It looks like the form is giving you trouble.")


async def test_critical_risk_has_critical_priority(world: World) -> None:
    (made,) = await world.send(Row(93.0))
    assert made.intervention.priority == "critical"
    assert made.intervention.message.startswith("We would like to help you get on.")


async def known_by_email(world: World) -> None:
    week_ago = NOON_ISH - 7 * 24 * HOUR
    answers = [Outcome.ACCEPTED] * 5 + [Outcome.DECLINED]
    for day, answer in enumerate(answers):
        await world.send(outcome(answer, channel="email", at_us=week_ago + day * 24 * HOUR))


async def test_known_by_email_gets_an_email_within_two_hours(world: World) -> None:
    await known_by_email(world)
    (made,) = await world.send(Row(55.0, indicators=TECHNICAL))
    help_ = made.intervention
    assert (help_.priority, help_.channel, help_.also_channels) == ("medium", "email", ("in_app",))
    assert help_.content == ("tutorial", "support_link")
    assert help_.action == "send_help_email"
    assert 0 < help_.deliver_by_us - NOON_ISH <= 2 * HOUR
    assert help_.success_probability == pytest.approx((3 + 5) / (3 + 2 + 5 + 1))
    assert made.decision.verdict.reasons == (Reason.RESPONSIVE_USER,)
    assert made.decision.verdict.explanation == (
        "The risk of 55.0 (medium) is medium, and the user, who has a difficulty, has welcomed help before. "
        "Help goes by email with medium priority, 73% likely to be accepted."
    )


async def test_email_outside_business_hours_waits_for_the_next_business_day(world: World) -> None:
    await known_by_email(world)
    (made,) = await world.send(Row(55.0, EVENING, indicators=TECHNICAL))
    # Nine in the morning and two hours.
    assert made.intervention.deliver_by_us == NOON_ISH + 25 * HOUR
    assert made.intervention.expires_us == made.intervention.deliver_by_us + 24 * HOUR


async def test_orientation_gets_a_guide(world: World) -> None:
    await known_by_email(world)
    (made,) = await world.send(Row(55.0, indicators=("rapid_navigation",)))
    assert made.intervention.content == ("guide", "support_link")


@pytest.mark.parametrize(
    "row", [Row(55.0), Row(55.0, indicators=("engagement_drop",)), Row(39.0, indicators=TECHNICAL)]
)
async def test_email_needs_medium_risk_and_a_difficulty(world: World, row: Row) -> None:
    await known_by_email(world)
    assert await world.send(row) == []
    assert (await world.last()).verdict.reasons == (Reason.BELOW_TRIGGER,)


async def test_email_needs_three_outcomes(world: World) -> None:
    for _ in range(2):
        await world.send(outcome(Outcome.ACCEPTED, channel="email"))
    assert await world.send(Row(55.0, indicators=TECHNICAL)) == []
    await world.send(outcome(Outcome.ACCEPTED, channel="email"))
    assert len(await world.send(Row(55.0, indicators=TECHNICAL))) == 1


async def test_calm_user_gets_nothing_and_the_ledger_says_why(world: World) -> None:
    assert await world.send(*(Row(12.0 + i / 10, NOON_ISH + i * MINUTE) for i in range(20))) == []
    decisions = await world.reading.decisions_of_user("ada", 20)
    assert len(decisions) == 20
    assert decisions[0].facts.event_id == "e-1-19"
    assert {each.verdict.reasons for each in decisions} == {(Reason.BELOW_TRIGGER,)}
    assert decisions[0].verdict.explanation == (
        "The risk of 13.9 (low) is below the trigger of 75, "
        "and there is no signal of strength 70 or more, where 4 are needed."
    )
    assert (await world.reading.waiting("ada")).intervention is None
