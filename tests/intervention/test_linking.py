"""Standing follows the person: what is remembered of an anonymous user moves to the known user it turned out to be."""

import asyncio
import dataclasses
import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.clock import LATEST_US
from mesh.state import keyed
from services.intervention.decision.domain import ledger, linking, user_state
from services.intervention.decision.domain.chance import held_out
from services.intervention.decision.domain.decision import derive
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.decision.domain.offer import WithdrawalReason
from services.intervention.decision.domain.user_state import UserState
from services.intervention.decision.state import UNDELIVERED, USERS
from services.intervention.policy.domain.policy import REMEMBERED_OFFERS, EventKind
from services.intervention.policy.domain.timeline import DatedPolicy, Timeline
from tests.intervention import golden
from tests.intervention.builders import (
    HOUR,
    MINUTE,
    NOON_ISH,
    POLICY,
    Row,
    World,
    arrival,
    batch,
    edited,
    facts,
    outcome,
    policy,
)
from tests.intervention.test_limits import action

SECOND = 1_000_000
LOGIN = NOON_ISH + 2 * MINUTE
WELCOME = [outcome(Outcome.ACCEPTED, channel="email", user_id="anon") for _ in range(4)]
STUCK = {"score": 55.0, "indicators": ("form_errors",)}


def failing(user_id: str, at_us: int, **members: object) -> Row:
    return Row(80.0, at_us, user_id, **members)  # type: ignore[arg-type]


def buys(user_id: str, at_us: int, amount: float = 5.0, currency: str = "EUR") -> Row:
    return Row(user_id=user_id, at_us=at_us, kind=EventKind.PURCHASE, bought=Purchase(amount, currency))


async def user_state_of(world: World, user_id: str) -> UserState:
    return await keyed.read(world.state, USERS, user_id)


async def test_who_was_turned_away_before_the_login_is_not_offered_it_again_after_it() -> None:
    world = World()
    (made,) = await world.send(failing("anon", NOON_ISH))
    await world.send(outcome(Outcome.DECLINED, made.intervention.id, user_id="anon", at_us=NOON_ISH + MINUTE))
    await world.link("anon", "ada", LOGIN)
    assert await world.send(failing("ada", LOGIN + SECOND)) == []
    assert (await world.last()).verdict.reasons == (Reason.COOLDOWN, Reason.RISK_AT_TRIGGER)
    assert len(await world.send(failing("ada", NOON_ISH + 15 * MINUTE))) == 1


async def test_what_waits_for_the_anonymous_user_waits_for_the_known_one_from_now_on() -> None:
    world = World()
    (made,) = await world.send(failing("anon", NOON_ISH))
    before = (await world.reading.waiting("anon")).cursor
    await world.link("anon", "ada", LOGIN)
    left, result = await world.reading.waiting("anon"), await world.reading.waiting("ada")
    assert (left.intervention, result.intervention) == (None, made.intervention)
    assert left.cursor > before
    assert left.withdrawn is not None
    assert (left.withdrawn.offer_id, left.withdrawn.reason) == (made.intervention.id, WithdrawalReason.IDENTIFIED)
    followed = await world.reading.intervention(made.intervention.id)
    assert (followed.user_id, followed.outcome, followed.is_ended) == ("ada", Outcome.NONE, False)
    await world.send(outcome(Outcome.ACCEPTED, made.intervention.id, at_us=LOGIN + MINUTE))
    assert (await world.reading.intervention(made.intervention.id)).outcome is Outcome.ACCEPTED
    assert (await world.reading.waiting("ada")).intervention is None


async def test_while_it_is_on_its_way_an_intervention_is_not_lost() -> None:
    world = World()
    (made,) = await world.send(failing("anon", NOON_ISH))
    standing = await world.leave("anon", "ada", LOGIN)
    followed = await world.reading.intervention(made.intervention.id)
    assert (followed.user_id, followed.outcome, followed.is_ended) == ("ada", Outcome.NONE, False)
    await world.send(arrival("ada", LOGIN, standing))
    assert (await world.reading.waiting("ada")).intervention == made.intervention


async def test_all_that_is_remembered_moves_and_nothing_of_it_stays() -> None:
    world = World()
    await world.send(*WELCOME)
    (mail,) = await world.send(Row(user_id="anon", **STUCK))  # type: ignore[arg-type]
    await world.send(outcome(Outcome.ACCEPTED, mail.intervention.id, user_id="anon"))
    await world.send(buys("anon", NOON_ISH, 5.0), buys("anon", NOON_ISH, 7.0, "USD"), buys("ada", NOON_ISH, 1.0))
    await world.state.save({UNDELIVERED.key("anon"): UNDELIVERED.encode(((mail.intervention.id, "email"),))}, None)
    await world.link("anon", "ada", LOGIN)
    left, result = await user_state_of(world, "anon"), await user_state_of(world, "ada")
    assert left.away is not None
    assert (left.away.user_ids, left.away.at_us, left.away.urgent_us, left.away.helped_us) == (
        ("ada",),
        LOGIN,
        0,
        NOON_ISH,
    )
    assert left == UserState(change_count=left.change_count, away=left.away, time_zone="Europe/Berlin")
    assert [each.id for each in result.offers] == [mail.intervention.id]
    assert (result.learned, result.bought) == ({"email": (5, 0)}, {"EUR": 6.0, "USD": 7.0})
    assert user_state.standing(result).undelivered == ((mail.intervention.id, "email"),)


async def test_help_for_what_was_done_before_the_login_moves_with_it_also_within_a_record() -> None:
    world = World()
    link = Row(80.0, LOGIN, "anon", kind=EventKind.IDENTIFY, linked="ada")
    at, rows = batch(1, [[failing("anon", LOGIN), link]])
    # One decision, about the first row.
    names = ("user_ids", "event_ids", "pages", "time_zones", "assessments")
    single = {name: getattr(rows, name)[:1] for name in names}
    result = await world.deciding.decide(at, dataclasses.replace(rows, **single, decided_rows=[0], decisions=[0, 0]))
    (made,) = result.made
    moving = linking.decode(result.transfers[1])
    assert moving.waiting is not None
    assert moving.waiting.id == made.intervention.id
    assert (await user_state_of(world, "anon")).waiting is None


async def test_what_is_linked_again_moves_only_what_has_come_since() -> None:
    world = World()
    (made,) = await world.send(failing("anon", NOON_ISH))
    await world.link("anon", "ada", LOGIN)
    assert await world.leave("anon", "bob", LOGIN + MINUTE) == b""
    assert (await world.reading.intervention(made.intervention.id)).user_id == "ada"
    (later,) = await world.send(failing("anon", NOON_ISH + HOUR))
    await world.link("anon", "bob", NOON_ISH + 2 * HOUR)
    assert [each.id for each in (await user_state_of(world, "bob")).offers] == [later.intervention.id]
    assert (await world.reading.intervention(later.intervention.id)).user_id == "bob"
    assert (await world.reading.intervention(made.intervention.id)).user_id == "ada"


async def test_nothing_moves_of_somebody_of_whom_nothing_is_remembered() -> None:
    world = World()
    assert await world.leave("anon", "ada", LOGIN) == b""


async def test_aliases_in_a_circle_end() -> None:
    world = World()
    (made,) = await world.send(failing("a", NOON_ISH))
    for one, other in itertools.pairwise(["a", "b", "c", "a", "b"]):
        await world.leave(one, other, LOGIN)
    followed = await world.reading.intervention(made.intervention.id)
    assert (followed.outcome, followed.is_ended) == (Outcome.NONE, False)
    world.clock.now_us = NOON_ISH + HOUR
    assert (await world.reading.intervention(made.intervention.id)).is_ended


async def test_a_repeated_batch_answers_the_same_bytes() -> None:
    world = World()
    await world.send(failing("anon", NOON_ISH))
    row = Row(user_id="anon", at_us=LOGIN, kind=EventKind.IDENTIFY, linked="ada")
    first = await world.come(2, [[Row(user_id="anon"), row]])
    assert list(first.transfers) == [1]
    assert (await world.come(2, [[Row(user_id="anon"), row]])).transfers == first.transfers
    before = await user_state_of(world, "ada")
    for _ in range(2):
        await world.come(3, [[arrival("ada", LOGIN, first.transfers[1])]])
    assert len((await user_state_of(world, "ada")).offers) == len(before.offers) + 1


@pytest.mark.parametrize("score", [10.0, 80.0])
async def test_an_offer_about_the_login_does_not_follow_into_the_account(score: float) -> None:
    """The login is the success of that trouble; where other trouble keeps the risk up, the offer goes along."""
    world = World()
    (made,) = await world.send(failing("anon", NOON_ISH, page="/login"))
    row = Row(score, LOGIN, "anon", kind=EventKind.IDENTIFY, linked="ada", is_settled=True)
    standing = (await world.come(9, [[row]])).transfers[0]
    await world.send(arrival("ada", LOGIN, standing))
    found = await world.reading.intervention(made.intervention.id)
    is_over = score < POLICY.trigger_score
    assert found.withdrawal is (WithdrawalReason.SOLVED if is_over else WithdrawalReason.NONE)
    assert found.user_id == "ada"
    assert await waiting(world) == ("" if is_over else made.intervention.id)
    # It keeps its place in the cooldown.
    assert await world.send(failing("ada", LOGIN + MINUTE)) == []


# Two that wait.


async def both_wait(world: World, anonymous: Row, known: Row) -> tuple[str, str]:
    """Both users were offered something that waits; the ids."""
    (one,) = await world.send(anonymous)
    (other,) = await world.send(known)
    await world.link(anonymous.user_id, known.user_id, max(anonymous.at_us, known.at_us) + MINUTE)
    return one.intervention.id, other.intervention.id


async def gone(world: World, intervention_id: str) -> bool:
    followed = await world.reading.intervention(intervention_id)
    assert followed.user_id == "ada"
    is_gone = followed.withdrawal is WithdrawalReason.IDENTIFIED
    assert (followed.outcome is Outcome.WITHDRAWN) is is_gone
    assert followed.is_ended is is_gone
    return is_gone


async def waiting(world: World, user_id: str = "ada") -> str:
    found = await user_state_of(world, user_id)
    open_ones = [
        each for each in found.offers if each.outcome in (Outcome.NONE, Outcome.SHOWN) and not each.is_withheld
    ]
    assert len(open_ones) == (found.waiting is not None)
    return found.waiting.id if found.waiting else ""


@pytest.mark.parametrize("minutes", [-3, 3])
async def test_of_two_that_wait_the_newer_stays(minutes: int) -> None:
    world = World()
    brought, own = await both_wait(world, failing("anon", NOON_ISH), failing("ada", NOON_ISH + minutes * MINUTE))
    stays, goes = (own, brought) if minutes > 0 else (brought, own)
    assert await waiting(world) == stays
    assert (await gone(world, stays), await gone(world, goes)) == (False, True)


@pytest.mark.parametrize("urgent", ["anon", "ada"])
async def test_of_two_that_wait_the_more_urgent_stays(urgent: str) -> None:
    world = World()
    other = {"anon": "ada", "ada": "anon"}[urgent]
    await world.send(*(Row(user_id=other, outcome=each.outcome) for each in WELCOME))
    (gentle,) = await world.send(Row(user_id=other, at_us=NOON_ISH + MINUTE, **STUCK))  # type: ignore[arg-type]
    (made,) = await world.send(failing(urgent, NOON_ISH))
    await world.link("anon", "ada", LOGIN)
    assert await waiting(world) == made.intervention.id
    assert await gone(world, gentle.intervention.id)
    # Its message does not leave any more, and says why.
    (delivery,) = (await world.outbox.deliveries([gentle.intervention.id]))[0]
    assert (delivery.state.name, delivery.reason) == ("CANCELLED", "identified")


async def test_an_outcome_counts_once_by_whichever_id() -> None:
    world = World()
    (first,) = await world.send(failing("anon", NOON_ISH))
    await world.send(outcome(Outcome.SHOWN, first.intervention.id, user_id="anon"))
    (second,) = await world.send(failing("ada", NOON_ISH + MINUTE))
    left = await world.come(9, [[Row(at_us=LOGIN, user_id="anon", kind=EventKind.IDENTIFY, linked="ada")]])
    result = await world.come(10, [[arrival("ada", LOGIN, left.transfers[0])]])
    assert (left.outcomes, result.outcomes) == ([], [Outcome.WITHDRAWN])
    assert [(each.intervention_id, each.outcome) for each in world.observer.outcomes] == [
        (first.intervention.id, Outcome.SHOWN),
        (first.intervention.id, Outcome.WITHDRAWN),
    ]
    assert await waiting(world) == second.intervention.id


async def test_what_has_run_out_on_the_way_does_not_wait() -> None:
    world = World()
    (made,) = await world.send(failing("anon", NOON_ISH))
    standing = await world.leave("anon", "ada", NOON_ISH + 29 * MINUTE)
    await world.send(arrival("ada", NOON_ISH + 31 * MINUTE, standing))
    assert await waiting(world) == ""
    assert (await world.reading.intervention(made.intervention.id)).outcome is Outcome.EXPIRED


# UserState once, not twice.


async def test_the_event_that_identifies_brings_no_help_by_itself() -> None:
    world = World()
    await world.send(failing("anon", NOON_ISH))
    await world.send(Row(95.0, LOGIN, "ada", kind=EventKind.IDENTIFY))
    assert (await world.last()).verdict.reasons == (Reason.JUST_IDENTIFIED, Reason.RISK_AT_TRIGGER)
    assert (await user_state_of(world, "ada")).offers == ()


@pytest.mark.parametrize("answer", [None, Outcome.DECLINED, Outcome.ACCEPTED])
async def test_help_made_while_the_rest_is_on_its_way_is_taken_back(answer: Outcome | None) -> None:
    world = World()
    (first,) = await world.send(failing("anon", NOON_ISH))
    if answer:
        await world.send(outcome(answer, first.intervention.id, user_id="anon"))
    standing = await world.leave("anon", "ada", LOGIN)
    (second,) = await world.send(failing("ada", LOGIN + SECOND))
    await world.send(arrival("ada", LOGIN, standing))
    assert await waiting(world) == ("" if answer else first.intervention.id)
    assert await gone(world, second.intervention.id)


@pytest.mark.parametrize(
    ("members", "answer"),
    [
        ({"caps": [{"most": 1, "per": "day"}]}, Outcome.ACCEPTED),
        ({"actions": [action(dismissed_for="7d")]}, Outcome.DECLINED),
        ({"actions": [action()], "escalation": {"after": 1, "within": "24h"}}, Outcome.DECLINED),
    ],
)
async def test_whatever_would_have_kept_it_takes_it_back(members: dict[str, object], answer: Outcome) -> None:
    world = World(edited(cooldown="1m", **members))
    (first,) = await world.send(failing("anon", NOON_ISH))
    await world.send(outcome(answer, first.intervention.id, user_id="anon"))
    standing = await world.leave("anon", "ada", LOGIN)
    (second,) = await world.send(failing("ada", LOGIN + SECOND))
    await world.send(arrival("ada", LOGIN, standing))
    assert await gone(world, second.intervention.id)


async def test_what_would_have_been_made_all_the_same_stays() -> None:
    world = World()
    await world.send(*(Row(user_id="anon", outcome=each.outcome) for each in WELCOME))
    (gentle,) = await world.send(Row(user_id="anon", **STUCK))  # type: ignore[arg-type]
    standing = await world.leave("anon", "ada", LOGIN)
    (urgent,) = await world.send(failing("ada", LOGIN + SECOND))
    await world.send(arrival("ada", LOGIN, standing))
    assert await waiting(world) == urgent.intervention.id
    assert await gone(world, gentle.intervention.id)


async def test_help_made_long_before_the_login_is_not_taken_back() -> None:
    world = World()
    (own,) = await world.send(failing("ada", NOON_ISH))
    (first,) = await world.send(failing("anon", NOON_ISH + MINUTE))
    await world.send(outcome(Outcome.DECLINED, first.intervention.id, user_id="anon", at_us=NOON_ISH + MINUTE))
    await world.link("anon", "ada", LOGIN)
    assert await waiting(world) == own.intervention.id


async def test_what_comes_last_in_the_anonymous_name_brings_no_help() -> None:
    world = World()
    await world.leave("anon", "ada", LOGIN)
    assert await world.send(failing("anon", LOGIN + SECOND)) == []
    assert (await world.last("anon")).verdict.reasons[0] is Reason.JUST_IDENTIFIED
    helped_before = World()
    await helped_before.send(failing("anon", NOON_ISH))
    await helped_before.link("anon", "ada", LOGIN)
    assert await helped_before.send(failing("anon", NOON_ISH + 10 * MINUTE)) == []
    assert (await helped_before.last("anon")).verdict.reasons[0] is Reason.COOLDOWN
    assert len(await helped_before.send(failing("anon", NOON_ISH + 15 * MINUTE))) == 1


async def test_caps_count_for_the_person() -> None:
    world = World(edited(caps=[{"most": 2, "per": "day"}], cooldown="1m"))
    for minutes, user in enumerate(("anon", "ada")):
        (made,) = await world.send(failing(user, NOON_ISH + minutes * MINUTE))
        await world.send(
            outcome(Outcome.ACCEPTED, made.intervention.id, user_id=user, at_us=NOON_ISH + minutes * MINUTE)
        )
    await world.link("anon", "ada", LOGIN)
    assert await world.send(failing("ada", NOON_ISH + HOUR)) == []
    assert (await world.last()).verdict.reasons[0] is Reason.FREQUENCY_CAP


async def test_what_the_person_turned_away_stays_turned_away() -> None:
    world = World()
    await world.send(*WELCOME)
    (mail,) = await world.send(Row(user_id="anon", **STUCK))  # type: ignore[arg-type]
    await world.send(outcome(Outcome.DECLINED, mail.intervention.id, user_id="anon"))
    await world.link("anon", "ada", LOGIN)
    await world.send(Row(at_us=NOON_ISH + 24 * HOUR, **STUCK))  # type: ignore[arg-type]
    refusals = {each.action: each.refusal for each in (await world.last()).verdict.candidates}
    assert refusals["send_help_email"] is Reason.DISMISSED


async def test_offers_stay_in_order_and_bounded() -> None:
    world = World(edited(cooldown="1s", caps=[]))
    for minute in range(100):
        user = ("anon", "ada")[minute % 2]
        (made,) = await world.send(failing(user, NOON_ISH + minute * MINUTE))
        await world.send(
            outcome(Outcome.ACCEPTED, made.intervention.id, user_id=user, at_us=NOON_ISH + minute * MINUTE)
        )
    await world.link("anon", "ada", NOON_ISH + 2 * HOUR)
    times = [each.made_us for each in (await user_state_of(world, "ada")).offers]
    assert times == [NOON_ISH + minute * MINUTE for minute in range(100 - REMEMBERED_OFFERS, 100)]


async def test_a_user_has_sixteen_currencies() -> None:
    world = World()
    codes = [f"{a}{b}X" for a in "ABCD" for b in "EFGH"]
    await world.send(*(buys("anon", NOON_ISH, 1.0, code) for code in (*codes, "NEW")))
    await world.send(*(buys("ada", NOON_ISH, 2.0, code) for code in ("OWN", codes[3])))
    await world.link("anon", "ada", LOGIN)
    bought = (await user_state_of(world, "ada")).bought
    assert (len(bought), bought["OWN"], bought[codes[3]], "NEW" in bought) == (16, 2.0, 3.0, False)


# The experiment.

EXPERIMENT = edited(holdout={"share": 0.5, "salt": "x"}, caps=[])
OUT = [f"anon-{n}" for n in range(200) if held_out("x", f"anon-{n}", 0.5)]
IN = [f"anon-{n}" for n in range(200) if not held_out("x", f"anon-{n}", 0.5)]


async def counts(world: World) -> tuple[int, int, int, int]:
    return tuple((await world.reading.lifts("")).estimates[0][2])  # type: ignore[return-value]


@pytest.mark.parametrize(("anonymous", "known"), [(OUT[0], IN[0]), (IN[0], OUT[0]), (IN[0], IN[1]), (OUT[0], OUT[1])])
async def test_the_side_is_kept_and_the_person_counts_once(anonymous: str, known: str) -> None:
    world = World(EXPERIMENT)
    is_out = anonymous in OUT
    assert bool(await world.send(failing(anonymous, NOON_ISH))) is not is_out
    assert await counts(world) == (not is_out, 0, is_out, 0)
    standing = await world.leave(anonymous, known, LOGIN)
    assert await counts(world) == (0, 0, 0, 0)
    await world.send(arrival(known, LOGIN, standing))
    assert await counts(world) == (not is_out, 0, is_out, 0)
    made = await world.send(failing(known, NOON_ISH + HOUR))
    assert bool(made) is not is_out
    await world.send(buys(known, NOON_ISH + 2 * HOUR))
    assert await counts(world) == (not is_out, not is_out, is_out, is_out)


@pytest.mark.parametrize("known_first", [True, False])
@pytest.mark.parametrize("who_bought", ["", "anon", "known", "both"])
@pytest.mark.parametrize(("anonymous", "known"), [(OUT[0], IN[0]), (IN[0], OUT[0]), (IN[0], IN[1])])
async def test_of_two_sides_the_earlier_counts(anonymous: str, known: str, who_bought: str, known_first: bool) -> None:  # noqa: FBT001
    world = World(EXPERIMENT)
    first, second = (known, anonymous) if known_first else (anonymous, known)
    await world.send(failing(first, NOON_ISH))
    await world.send(failing(second, NOON_ISH + MINUTE))
    for name, user in (("anon", anonymous), ("known", known)):
        if who_bought in (name, "both"):
            await world.send(buys(user, NOON_ISH + 2 * MINUTE))
    await world.link(anonymous, known, NOON_ISH + 3 * MINUTE)
    is_out, has_bought = first in OUT, bool(who_bought)
    assert await counts(world) == (
        not is_out,
        has_bought and not is_out,
        is_out,
        has_bought and is_out,
    )


async def test_help_made_while_being_held_out_was_on_its_way_is_taken_back() -> None:
    world = World(EXPERIMENT)
    await world.send(failing(OUT[0], NOON_ISH))
    standing = await world.leave(OUT[0], IN[0], NOON_ISH + HOUR)  # the cooldown has passed
    (made,) = await world.send(failing(IN[0], NOON_ISH + HOUR + SECOND))
    await world.send(arrival(IN[0], NOON_ISH + HOUR + SECOND, standing))
    assert (await world.reading.intervention(made.intervention.id)).withdrawal is WithdrawalReason.IDENTIFIED
    assert await counts(world) == (0, 0, 1, 0)


# A user in the holdout is not helped, whichever id the help was offered under.


@pytest.mark.parametrize("known", [OUT[3], IN[3]])
@pytest.mark.parametrize("was_seen", [False, True])
async def test_an_offer_that_is_brought_does_not_wait_for_who_is_held_out(known: str, was_seen: bool) -> None:  # noqa: FBT001
    """Whoever was never in need has no side yet, and takes that of the device."""
    world = World(EXPERIMENT)
    await world.send(failing(known, NOON_ISH))
    (made,) = await world.send(failing(IN[0], NOON_ISH + HOUR))
    if was_seen:
        await world.send(outcome(Outcome.SHOWN, made.intervention.id, user_id=IN[0], at_us=NOON_ISH + HOUR))
    await world.link(IN[0], known, NOON_ISH + HOUR + MINUTE)
    is_out = known in OUT
    found = await world.reading.intervention(made.intervention.id)
    assert (found.withdrawal is WithdrawalReason.IDENTIFIED) is is_out
    assert await waiting(world, known) == ("" if is_out else made.intervention.id)
    assert await counts(world) == (not is_out, 0, is_out, 0)
    assert bool(await world.send(failing(known, NOON_ISH + 3 * HOUR))) is not is_out


@pytest.mark.parametrize("out_first", [False, True])
@pytest.mark.parametrize("out_logs_in_first", [False, True])
async def test_of_two_devices_the_side_of_the_first_in_need_counts(out_first: bool, out_logs_in_first: bool) -> None:  # noqa: FBT001
    world = World(EXPERIMENT)
    first, second = (OUT[0], IN[0]) if out_first else (IN[0], OUT[0])
    made = [*await world.send(failing(first, NOON_ISH)), *await world.send(failing(second, NOON_ISH + MINUTE))]
    devices = (OUT[0], IN[0]) if out_logs_in_first else (IN[0], OUT[0])
    for seconds, device in enumerate(devices):
        await world.link(device, "ada", LOGIN + seconds * SECOND)
    assert await counts(world) == (not out_first, 0, out_first, 0)
    assert await waiting(world) == ("" if out_first else made[0].intervention.id)
    assert bool(await world.send(failing("ada", NOON_ISH + HOUR))) is not out_first


@given(
    st.lists(
        st.tuples(st.sampled_from([IN[1], IN[2], OUT[1], OUT[2], "ada"]), st.integers(0, 40), st.booleans()),
        min_size=1,
        max_size=6,
        unique_by=lambda each: each[1],
    ),
    st.permutations([IN[1], IN[2], OUT[1], OUT[2]]),
)
@settings(max_examples=80, deadline=None)
def test_nobody_stands_on_both_sides_and_no_offer_waits_for_who_is_held_out(
    troubles: list[tuple[str, int, bool]], logins: list[str]
) -> None:
    async def run() -> None:
        world = World(EXPERIMENT)
        first = ""
        for device, minutes, is_seen in sorted(troubles, key=lambda each: each[1]):
            at_us = NOON_ISH + minutes * MINUTE
            first = first or device
            for made in await world.send(failing(device, at_us)):
                if is_seen:
                    await world.send(outcome(Outcome.SHOWN, made.intervention.id, user_id=device, at_us=at_us))
        for seconds, device in enumerate(logins):
            await world.link(device, "ada", NOON_ISH + 41 * MINUTE + seconds * SECOND)
        is_out = first in OUT or (first == "ada" and held_out("x", "ada", 0.5))
        assert await counts(world) == (not is_out, 0, is_out, 0)
        assert not (is_out and await waiting(world))
        assert bool(await world.send(failing("ada", NOON_ISH + 3 * HOUR))) is not is_out

    asyncio.run(run())


async def test_transactional_help_waits_for_who_is_held_out_too() -> None:
    tried = edited(holdout={"share": 0.5, "salt": "x"}, caps=[], actions=[action(transactional=True)])
    world = World(EXPERIMENT, (NOON_ISH + MINUTE, tried))
    await world.send(failing(OUT[0], NOON_ISH))
    (made,) = await world.send(failing(IN[0], NOON_ISH + 2 * MINUTE))
    await world.link(IN[0], OUT[0], NOON_ISH + 3 * MINUTE)
    assert await waiting(world, OUT[0]) == made.intervention.id


async def test_being_held_out_of_another_experiment_takes_nothing_back() -> None:
    world = World(EXPERIMENT, (NOON_ISH + HOUR, EXPERIMENT.replace("salt: x", "salt: y")))
    known = next(each for each in OUT if not held_out("y", each, 0.5))
    device = next(each for each in IN if not held_out("y", each, 0.5))
    await world.send(failing(known, NOON_ISH))
    (made,) = await world.send(failing(device, NOON_ISH + 2 * HOUR))
    await world.link(device, known, NOON_ISH + 2 * HOUR + MINUTE)
    assert await waiting(world, known) == made.intervention.id


@pytest.mark.parametrize("brought", [True, False])
@pytest.mark.parametrize(
    ("members", "answer"),
    [
        ({"cooldown": "15m"}, Outcome.ACCEPTED),
        ({"cooldown": "1s", "caps": [{"most": 1, "per": "day"}]}, Outcome.ACCEPTED),
        ({"cooldown": "1s", "actions": [action(dismissed_for="7d")]}, Outcome.DECLINED),
        ({"cooldown": "1s", "caps": []}, Outcome.ACCEPTED),
    ],
)
async def test_what_would_not_have_been_offered_to_the_person_is_taken_back_on_either_side(
    members: dict[str, object],
    answer: Outcome,
    brought: bool,  # noqa: FBT001
) -> None:
    world = World(edited(**members))
    first, second = ("ada", "anon") if brought else ("anon", "ada")
    (one,) = await world.send(failing(first, NOON_ISH))
    await world.send(outcome(answer, one.intervention.id, user_id=first, at_us=NOON_ISH))
    (other,) = await world.send(failing(second, NOON_ISH + MINUTE))
    await world.link("anon", "ada", LOGIN)
    stays = members.get("caps") == []
    assert await gone(world, other.intervention.id) is not stays
    assert await waiting(world) == (other.intervention.id if stays else "")


async def test_what_gave_way_at_one_login_takes_nothing_back_at_the_next() -> None:
    world = World()
    made = [(await world.send(failing(f"anon-{n}", NOON_ISH + n * MINUTE)))[0].intervention.id for n in range(3)]
    for n in (0, 2, 1):
        await world.link(f"anon-{n}", "ada", NOON_ISH + 5 * MINUTE)
    assert await waiting(world) == made[2]


async def test_another_experiment_is_counted_by_itself() -> None:
    world = World(EXPERIMENT, (NOON_ISH + HOUR, EXPERIMENT.replace("salt: x", "salt: y")))
    await world.send(failing(IN[0], NOON_ISH))
    await world.send(failing("known", NOON_ISH + HOUR))
    await world.link(IN[0], "known", NOON_ISH + HOUR + MINUTE)
    is_out = held_out("y", "known", 0.5)
    assert await counts(world) == (not is_out, 0, is_out, 0)
    # Whether the known user counted in the earlier one is not known any more; so the anonymous one does not.
    assert tuple((await world.reading.lifts("x")).estimates[0][2]) == (0, 0, 0, 0)


async def test_a_batch_that_is_taken_back_leaves_everything_as_it_was() -> None:
    world = World(EXPERIMENT)
    await world.send(failing(IN[0], NOON_ISH))
    before = await user_state_of(world, IN[0])
    at, rows = batch(2, [[Row(user_id=IN[0], at_us=LOGIN, kind=EventKind.IDENTIFY, linked="ada")]])
    await world.deciding.decide(at, rows)
    assert await counts(world) == (0, 0, 0, 0)
    await world.deciding.decide(at._replace(is_retraction=True), rows)
    assert await user_state_of(world, IN[0]) == before
    assert await counts(world) == (1, 0, 0, 0)


# Bytes.


@pytest.mark.parametrize("at_us", [0, LATEST_US])
async def test_what_was_offered_at_the_ends_of_time_moves(at_us: int) -> None:
    world = World()
    world.clock.now_us = at_us
    await world.send(failing("anon", at_us))
    await world.link("anon", "ada", at_us)
    assert await waiting(world) == "i-3-1-0"


async def test_what_moves_is_bounded() -> None:
    world = World(edited(cooldown="1s", caps=[]))
    for minute in range(100):
        at_us = NOON_ISH + minute * MINUTE
        (made,) = await world.send(failing("anon", at_us))
        await world.send(outcome(Outcome.ACCEPTED, made.intervention.id, user_id="anon", at_us=at_us))
    await world.send(*(buys("anon", NOON_ISH, 1.0, f"{number:03}") for number in range(30)))
    await world.send(failing("anon", NOON_ISH + 200 * MINUTE))
    assert 5_000 < len(await world.leave("anon", "ada", NOON_ISH + 201 * MINUTE)) < 16_384


async def test_bytes_that_are_no_standing_are_refused() -> None:
    world = World()
    await world.send(failing("anon", NOON_ISH))
    good = await world.leave("anon", "ada", LOGIN)
    assert linking.decode(good).version == 1
    other = msgspec.msgpack.encode([2, *msgspec.msgpack.decode(good)[1:]])
    late = msgspec.msgpack.encode([1, 1 << 62, *msgspec.msgpack.decode(good)[2:]])
    for bad in (b"", b"\xff", b"\x93abc", good[:-1], other, late, msgspec.msgpack.encode("standing")):
        with pytest.raises(linking.TransferError):
            linking.decode(bad)


def test_a_user_of_the_version_before_is_read_and_moves() -> None:
    read = USERS.decode(golden.HELPED)
    assert read.waiting is not None
    assert [(each.id, each.outcome) for each in read.offers] == [
        ("i-3-5-0", Outcome.EXPIRED),
        (read.waiting.id, Outcome.NONE),
    ]
    assert (read.learned, read.bought) == ({"email": (3, 0)}, {"EUR": 12.5})
    assert (read.withdrawn, read.away, read.undelivered, read.time_zone) == (None, None, (), "")
    _, moving = linking.left(read, (), "ada", LOGIN)
    result = linking.arrived(POLICY, user_state.NOBODY, linking.decode(moving), facts(arrival("ada", LOGIN, b"")))
    assert (result.waiting, result.offers, result.bought) == (read.waiting, read.offers, read.bought)


def test_the_ledger_of_the_version_before_is_read() -> None:
    block, inputs = ledger.decode(golden.BLOCK), ledger.decode_inputs(golden.INPUTS)
    decided_by = policy(holdout={"share": 0.0, "salt": "m"})
    chat = ledger.decision_at(decided_by, block, "3", 6, 0)
    assert (chat.facts.age_us, chat.facts.is_copy, chat.facts.is_system, chat.facts.is_settled) == (0, 0, 0, 0)
    assert derive(decided_by, chat.facts, chat.standing, "i-3-6-0") == chat.verdict
    assert inputs.standing == chat.standing
    assert ledger.plain_reasons(decided_by, block) == [Reason.BELOW_TRIGGER, Reason.BOT]
    # It names the policy by the rules of its time; the store has it under that name.
    timeline = Timeline([(DatedPolicy(0, block.policy_version, ""), decided_by)])
    assert timeline.find(block.policy_version) == decided_by
