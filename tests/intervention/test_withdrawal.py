"""Success reaches the offer: what waits for trouble that is over is taken back, and so is what nobody is there for."""

import dataclasses

import msgspec
import pytest

from mesh.state import applied
from services.intervention.batch.effects import Created
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome
from services.intervention.decision.domain.offer import WithdrawalReason
from services.intervention.decision.state import USERS
from services.intervention.policy.domain.policy import EventKind
from services.intervention.reading import InterventionStatus
from tests.intervention.builders import HOUR, MINUTE, NOON_ISH, Row, World, edited, outcome
from tests.intervention.test_limits import action

SOON = NOON_ISH + MINUTE
SECOND = 1_000_000
STUCK = Row(55.0, indicators=("form_errors",))
MAIL = action(name="mail", channel="email", handled_by="human", worth=0.5)
BOTH = edited(actions=[action(handled_by="human"), MAIL], cooldown="1m", office_hours={"opens": 0, "closes": 23})


def solved(score: float = 20.0, at_us: int = SOON, **members: object) -> Row:
    """A success with which signals ended."""
    return Row(score, at_us, kind=EventKind.TASK_SUCCESS, is_settled=True, **members)  # type: ignore[arg-type]


def ends(at_us: int = SOON, **members: object) -> Row:
    return Row(at_us=at_us, kind=EventKind.SESSION_END, **members)  # type: ignore[arg-type]


async def offered_help(world: World, row: Row = Row(80.0)) -> Created:  # noqa: B008 - a value
    (made,) = await world.send(row)
    return made


async def welcomes(world: World, channel: str = "email") -> None:
    await world.send(*(outcome(Outcome.ACCEPTED, channel=channel) for _ in range(4)))


async def status_of(world: World, made: Created) -> InterventionStatus:
    return await world.reading.intervention(made.intervention.id)


async def test_what_waits_for_trouble_that_is_over_is_taken_back() -> None:
    world = World()
    made = await offered_help(world)
    before = await world.reading.waiting("ada")
    await world.send(solved())
    followed = await status_of(world, made)
    assert (followed.outcome, followed.withdrawal, followed.is_ended) == (
        Outcome.WITHDRAWN,
        WithdrawalReason.SOLVED,
        True,
    )
    now = await world.reading.waiting("ada")
    assert now.intervention is None
    assert now.cursor > before.cursor
    assert now.withdrawn is not None
    assert (now.withdrawn.offer_id, now.withdrawn.reason) == (made.intervention.id, WithdrawalReason.SOLVED)
    decision = await world.last()
    assert decision.verdict.withdrawn == now.withdrawn
    assert decision.verdict.explanation == (
        "The risk of 20.0 (low) is below the trigger of 75, "
        "and there is no signal of strength 70 or more, where 4 are needed. "
        "The help that waited is taken back, because the trouble it was for is over."
    )
    assert [(each.intervention_id, each.outcome) for each in world.observer.outcomes] == [
        (made.intervention.id, Outcome.WITHDRAWN)
    ]


@pytest.mark.parametrize(
    ("offered", "row", "is_gone"),
    [
        (Row(80.0), solved(74.9), True),
        (Row(80.0), solved(75.0), False),  # other trouble goes on
        (Row(80.0), solved(50.0, strong=4), False),
        (Row(30.0, strong=4), solved(30.0, strong=3), True),
        (Row(80.0), solved(55.0, indicators=("form_errors",)), True),
        (Row(80.0), Row(20.0, SOON, kind=EventKind.TASK_SUCCESS), False),  # success elsewhere settles nothing
        (STUCK, solved(55.0), True),
        (STUCK, solved(30.0), True),
        (STUCK, solved(55.0, indicators=("help_seeking",)), False),
        (STUCK, solved(90.0), False),
        (Row(80.0), solved(20.0, is_copy=True), False),
        (Row(80.0), solved(20.0, is_bot=True), True),  # a server that reports for its user
        (Row(80.0), solved(20.0, is_system=True), True),
        (Row(80.0), solved(20.0, age_us=HOUR), True),  # reported late, and over all the same
    ],
)
async def test_help_is_taken_back_where_its_trigger_no_longer_holds(offered: Row, row: Row, is_gone: bool) -> None:  # noqa: FBT001
    world = World()
    await welcomes(world)
    made = await offered_help(world, offered)
    await world.send(row)
    assert ((await status_of(world, made)).withdrawal is WithdrawalReason.SOLVED) is is_gone


async def test_a_message_that_has_not_left_does_not_leave_and_gives_its_place_back() -> None:
    world = World(edited(caps=[{"channel": "email", "most": 1, "per": "day"}], cooldown="1m"))
    await welcomes(world)
    made = await offered_help(world, STUCK)
    await world.send(solved())
    (delivery,) = (await status_of(world, made)).deliveries
    assert (delivery.state.name, delivery.reason) == ("CANCELLED", "solved")


async def test_withdrawn_help_counts_for_the_cooldown_and_for_caps_but_not_for_its_channel() -> None:
    world = World(edited(caps=[{"most": 1, "per": "day"}]))
    made = await offered_help(world)
    await world.send(outcome(Outcome.SHOWN, made.intervention.id))
    await world.send(solved())
    await world.send(Row(80.0, NOON_ISH + 14 * MINUTE))
    assert (await world.last()).verdict.reasons[0] is Reason.COOLDOWN
    await world.send(Row(80.0, NOON_ISH + 15 * MINUTE))
    assert (await world.last()).verdict.reasons[0] is Reason.FREQUENCY_CAP
    assert (await world.last()).standing.learned == {}


@pytest.mark.parametrize("late", [Outcome.SHOWN, Outcome.ACCEPTED, Outcome.DECLINED, Outcome.CONVERTED])
async def test_what_was_taken_back_has_ended(late: Outcome) -> None:
    world = World()
    made = await offered_help(world)
    await world.send(solved())
    await world.send(outcome(late, made.intervention.id, at_us=SOON + SECOND))
    followed = await status_of(world, made)
    assert (followed.outcome, followed.is_ended) == (Outcome.WITHDRAWN, True)


async def test_nobody_reports_a_withdrawal() -> None:
    world = World()
    made = await offered_help(world)
    await world.send(outcome(Outcome.WITHDRAWN, made.intervention.id))
    assert (await status_of(world, made)).outcome is Outcome.NONE


async def test_what_was_seen_and_led_to_the_goal_is_converted_and_not_taken_back() -> None:
    world = World()
    made = await offered_help(world)
    await world.send(outcome(Outcome.SHOWN, made.intervention.id))
    await world.send(dataclasses.replace(solved(), kind=EventKind.PURCHASE))
    assert (await status_of(world, made)).outcome is Outcome.CONVERTED


async def test_a_withdrawal_is_reported_until_something_else_waits() -> None:
    world = World()
    made = await offered_help(world)
    await world.send(solved())
    await world.send(Row(at_us=NOON_ISH + HOUR))
    withdrawn = (await world.reading.waiting("ada")).withdrawn
    assert withdrawn is not None
    assert withdrawn.offer_id == made.intervention.id
    await world.send(Row(80.0, NOON_ISH + HOUR))
    assert (await world.reading.waiting("ada")).withdrawn is None


async def test_what_goes_by_email_alone_is_not_shown_on_the_page() -> None:
    world = World(edited(actions=[MAIL]))
    made = await offered_help(world)
    await world.send(solved())
    assert (await status_of(world, made)).withdrawal is WithdrawalReason.SOLVED
    assert (await world.reading.waiting("ada")).withdrawn is None


async def test_taking_back_is_done_once_however_often_it_comes() -> None:
    world = World()
    await offered_help(world)
    blobs = []
    for _ in range(3):
        result = await world.come(2, [[solved()]])
        assert result.outcomes == [Outcome.WITHDRAWN]
        blobs.append(await world.state.load(["user:ada"]))
    assert blobs[0] == blobs[1] == blobs[2]


async def test_a_replica_of_the_version_before_reads_it_as_expired() -> None:
    world = World()
    made = await offered_help(world)
    await world.send(solved())
    stored = applied.current((await world.state.load(["user:ada"]))[0])
    ((id_, *members),) = msgspec.msgpack.decode(stored)[0]
    outcome_, reason = members[4], members[-1]
    assert (id_, outcome_, reason) == (made.intervention.id, Outcome.EXPIRED, WithdrawalReason.SOLVED)
    (offer,) = USERS.decode(stored).offers
    assert (offer.outcome, offer.withdrawal) == (Outcome.WITHDRAWN, WithdrawalReason.SOLVED)
    assert USERS.encode(USERS.decode(stored)) == stored


# The end of a session.


@pytest.mark.parametrize(
    ("channels", "row", "is_gone"),
    [
        (("in_app",), ends(), True),
        (("chat",), ends(), True),
        (("chat", "in_app"), ends(), True),
        (("email", "in_app"), ends(), False),
        (("email",), ends(), False),
        (("push",), ends(), False),
        (("chat", "ticket"), ends(), False),
        (("in_app",), ends(age_us=6 * MINUTE), False),  # an end of long ago
        (("in_app",), ends(age_us=2 * MINUTE), False),  # that of the session before
        (("in_app",), ends(age_us=MINUTE), True),
        (("in_app",), ends(is_copy=True), False),
        (("in_app",), ends(is_system=True), False),
        (("in_app",), ends(is_bot=True), False),
        (("in_app",), Row(at_us=SOON, kind=EventKind.SESSION_START), False),
    ],
)
async def test_what_only_a_present_user_can_use_ends_with_the_session(
    channels: tuple[str, ...],
    row: Row,
    is_gone: bool,  # noqa: FBT001
) -> None:
    world = World(edited(actions=[action(channel=channels[0], also_channels=list(channels[1:]))]))
    made = await offered_help(world)
    await world.send(row)
    followed = await status_of(world, made)
    assert (followed.withdrawal is WithdrawalReason.SESSION_ENDED) is is_gone
    assert (await world.last()).verdict.explanation.endswith("because the session has ended.") is is_gone


async def test_at_the_end_of_a_session_help_goes_only_where_the_user_still_is() -> None:
    world = World(BOTH)
    (made,) = await world.send(dataclasses.replace(ends(), score=80.0))
    assert made.intervention.channel == "email"
    refusals = {each.action: each.refusal for each in made.decision.verdict.candidates}
    assert refusals == {"tip": Reason.USER_GONE, "mail": None, "none": None}
    alone = World()
    assert await alone.send(dataclasses.replace(ends(), score=80.0)) == []
    decision = await alone.last()
    assert decision.verdict.reasons == (Reason.USER_GONE, Reason.RISK_AT_TRIGGER)
    assert decision.verdict.explanation.startswith("The session has ended, and help in the product would reach nobody.")
    assert (await alone.state.load(["user:ada"])) == [None]


async def test_a_user_who_was_helped_and_goes_may_get_a_mail_once_the_cooldown_is_over() -> None:
    world = World(BOTH)
    made = await offered_help(world)
    assert made.intervention.channel == "in_app"
    (mail,) = await world.send(dataclasses.replace(ends(NOON_ISH + 2 * MINUTE), score=80.0))
    assert (await status_of(world, made)).withdrawal is WithdrawalReason.SESSION_ENDED
    assert mail.intervention.channel == "email"


# After help has led to the goal.


@pytest.mark.parametrize(
    ("reports", "latest_us", "reason"),
    [
        ([Outcome.ACCEPTED, Outcome.CONVERTED], SOON, Reason.SOLVED),
        ([Outcome.CONVERTED], SOON, Reason.SOLVED),
        ([Outcome.ACCEPTED, Outcome.CONVERTED], SOON + 1, Reason.RISK_AT_TRIGGER),  # new trouble
        ([Outcome.ACCEPTED, Outcome.CONVERTED], 0, Reason.RISK_AT_TRIGGER),  # scoring does not say
        ([Outcome.ACCEPTED], SOON, Reason.RISK_AT_TRIGGER),
        ([Outcome.DECLINED], SOON, Reason.RISK_AT_TRIGGER),
        ([Outcome.SHOWN], SOON, Reason.RISK_AT_TRIGGER),
    ],
)
async def test_the_same_trouble_is_not_offered_help_again(
    reports: list[Outcome], latest_us: int, reason: Reason
) -> None:
    world = World()
    made = await offered_help(world)
    for each in reports:
        await world.send(outcome(each, made.intervention.id, at_us=SOON))
    await world.send(Row(80.0, NOON_ISH + 31 * MINUTE, latest_signal_us=latest_us))
    assert (await world.last()).verdict.reasons[0] is reason


@pytest.mark.parametrize(
    ("row", "latest_us", "reason"),
    [
        (solved(), SOON, Reason.SOLVED),
        (solved(), SOON + 1, Reason.RISK_AT_TRIGGER),
        (solved(80.0), SOON, Reason.RISK_AT_TRIGGER),  # what it settled was not all
        (solved(age_us=30 * SECOND), SOON - 30 * SECOND, Reason.SOLVED),
        (solved(age_us=30 * SECOND), SOON, Reason.RISK_AT_TRIGGER),
    ],
)
async def test_accepted_help_and_then_success_is_the_goal(row: Row, latest_us: int, reason: Reason) -> None:
    world = World()
    made = await offered_help(world)
    await world.send(outcome(Outcome.ACCEPTED, made.intervention.id, at_us=NOON_ISH + 1))
    await world.send(row)
    assert (await status_of(world, made)).outcome is Outcome.ACCEPTED
    await world.send(Row(80.0, NOON_ISH + 20 * MINUTE, latest_signal_us=latest_us))
    assert (await world.last()).verdict.reasons[0] is reason


async def test_a_purchase_after_help_was_seen_solves_it_by_when_it_was_bought() -> None:
    world = World()
    made = await offered_help(world)
    await world.send(outcome(Outcome.ACCEPTED, made.intervention.id, at_us=NOON_ISH + 1))
    await world.send(Row(at_us=NOON_ISH + 10 * MINUTE, kind=EventKind.PURCHASE, age_us=9 * MINUTE))
    assert (await status_of(world, made)).outcome is Outcome.CONVERTED
    for latest_us, expected in ((SOON, Reason.SOLVED), (SOON + 1, Reason.RISK_AT_TRIGGER)):
        await world.send(Row(80.0, NOON_ISH + 20 * MINUTE, latest_signal_us=latest_us))
        assert (await world.last()).verdict.reasons[0] is expected


async def test_gentle_help_and_transactional_help_after_the_goal() -> None:
    world = World()
    await welcomes(world)
    made = await offered_help(world, STUCK)
    await world.send(outcome(Outcome.CONVERTED, made.intervention.id, at_us=SOON))
    await world.send(dataclasses.replace(STUCK, at_us=NOON_ISH + 24 * HOUR, latest_signal_us=SOON))
    assert (await world.last()).verdict.reasons == (Reason.SOLVED, Reason.RESPONSIVE_USER)
    free = World(edited(actions=[action(transactional=True)], cooldown="1m"))
    made = await offered_help(free)
    await free.send(outcome(Outcome.CONVERTED, made.intervention.id, at_us=SOON))
    assert len(await free.send(Row(80.0, NOON_ISH + HOUR, latest_signal_us=SOON))) == 1
