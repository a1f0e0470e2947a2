"""No sequence of events, crashes and repetitions sends more than the policy allows."""

import datetime as dt
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from services.intervention.batch.effects import Created
from services.intervention.decision.domain import local_time
from services.intervention.decision.domain.chance import held_out
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome, OutcomeReport, Purchase
from services.intervention.decision.state import UNDELIVERED
from services.intervention.policy.domain.policy import QuietHours
from tests.intervention.builders import HOUR, MINUTE, NOON_ISH, Row, World, edited, outcome, policy

DAY = 24 * HOUR
# Zones where midnight does not exist on some days, days are left out or lived twice, and offsets are odd.
ZONES = [
    "",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "America/Havana",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "America/Anchorage",
    "Pacific/Chatham",
]
# Days around changes of clocks, and around the day that Samoa left out.
STARTS = [
    dt.datetime(2026, 3, 28, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 24, tzinfo=dt.UTC),
    dt.datetime(2026, 3, 7, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 31, tzinfo=dt.UTC),
    dt.datetime(2026, 4, 4, tzinfo=dt.UTC),
    dt.datetime(2011, 12, 29, tzinfo=dt.UTC),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
]
QUIET = st.builds(
    lambda start, length: QuietHours(start, (start + length) % 1440, frozenset({"email"}), is_held=True),
    st.integers(0, 1439),
    st.integers(10, 1430),
)
TIMES = st.builds(
    lambda start, seconds: int(start.timestamp() * 1_000_000) + seconds * 1_000_000,
    st.sampled_from(STARTS),
    st.integers(0, 3 * 86_400),
)
PERIODS = st.sampled_from(["hour", "day", "week"])


@given(TIMES, st.sampled_from(ZONES), QUIET)
def test_what_is_held_leaves_when_it_is_no_longer_quiet(at_us: int, zone: str, hours: QuietHours) -> None:
    leaves_us = local_time.after_quiet_us(at_us, zone, hours)
    assert leaves_us >= at_us
    assert not local_time.is_quiet(leaves_us, zone, hours)
    assert local_time.is_quiet(at_us, zone, hours) == (leaves_us > at_us)
    assert leaves_us - at_us <= 50 * HOUR
    # It is quiet all the while until the end of the hours; a clock that jumps over their end may cost an hour more.
    between = range(at_us, leaves_us, 5 * MINUTE)
    loud = [each for each in between if not local_time.is_quiet(each, zone, hours)]
    assert len(loud) * 5 <= 24 * 60 if zone == "Pacific/Apia" else len(loud) * 5 <= 60


@given(TIMES, st.sampled_from(ZONES), QUIET)
def test_the_next_quiet_time_is_the_first(at_us: int, zone: str, hours: QuietHours) -> None:
    assume(not local_time.is_quiet(at_us, zone, hours))
    next_us = local_time.next_quiet_us(at_us, zone, hours)
    assert local_time.is_quiet(next_us, zone, hours)
    assert not local_time.is_quiet(next_us - 1, zone, hours)
    assert not any(local_time.is_quiet(each, zone, hours) for each in range(at_us, next_us, 10 * MINUTE))


@given(TIMES, st.sampled_from(ZONES), PERIODS)
@example(int(dt.datetime(2011, 12, 30, 5, tzinfo=dt.UTC).timestamp()) * 1_000_000, "Pacific/Apia", "day")
def test_a_period_ends_where_the_next_begins(at_us: int, zone: str, per: str) -> None:
    end_us = local_time.end_of_period_us(at_us, zone, per)
    this = local_time.period(at_us, zone, per)
    assert local_time.period(end_us, zone, per) != this
    assert local_time.period(end_us - 1, zone, per) == this


def test_a_day_is_the_users_own_and_samoa_left_one_out() -> None:
    before = dt.datetime(2011, 12, 30, 9, 59, tzinfo=dt.UTC)  # the evening of the 29th
    after = before + dt.timedelta(minutes=2)
    days = [local_time.period(int(each.timestamp() * 1e6), "Pacific/Apia", "day") for each in (before, after)]
    assert days == [(2011, 12, 29), (2011, 12, 31)]


CAPS = [
    {"most": 3, "per": "day"},
    {"channel": "email", "most": 1, "per": "day"},
    {"channel": "email", "most": 2, "per": "week"},
    {"channel": "in_app", "most": 2, "per": "hour"},
    {"topic": "support", "most": 9, "per": "week"},
]
CAPPED = edited(cooldown="5m", caps=CAPS, quiet_hours={"start": "20:30", "end": "07:15", "channels": ["email", "push"]})
STEPS = st.lists(
    st.tuples(
        st.sampled_from([1, 4, 6, 17, 61, 190, 600]),
        st.sampled_from(["urgent", "urgent", "gentle", "gentle", "declined", "shown", "lost", "again"]),
    ),
    min_size=5,
    max_size=40,
)
WELCOME = [outcome(Outcome.ACCEPTED, channel="email") for _ in range(4)]


async def run(
    world: World, zone: str, start_us: int, steps: Sequence[tuple[int, str]]
) -> tuple[list[Created], set[str]]:
    """What was made, and which e-mails never left."""
    made, lost, at_us, record = list[Created](), set[str](), start_us, 0
    await world.deliver(record, [[Row(outcome=each.outcome, at_us=at_us) for each in WELCOME]])
    records: list[Row] = []
    for minutes, kind in steps:
        at_us += minutes * MINUTE
        last = made[-1].intervention.id if made else ""
        row = {
            "urgent": Row(80.0, at_us, time_zone=zone),
            "gentle": Row(55.0, at_us, indicators=("form_errors",), time_zone=zone),
            "declined": Row(at_us=at_us, outcome=OutcomeReport(last, Outcome.DECLINED, "email"), time_zone=zone),
            "shown": Row(at_us=at_us, outcome=OutcomeReport(last, Outcome.SHOWN, "email"), time_zone=zone),
        }.get(kind)
        if kind == "lost" and made and made[-1].intervention.channel == "email":
            lost.add(last)
            await world.state.save(
                {UNDELIVERED.key("ada"): UNDELIVERED.encode(tuple((i, "email") for i in lost))}, None
            )
        elif kind == "again" and records:  # the dispatcher was killed, and delivers its last record once more
            await world.deliver(record, [[records[-1]]])
        elif row is not None:
            record += 1
            records.append(row)
            world.clock.now_us = at_us
            made += await world.deliver(record, [[row]])
    return made, lost


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(ZONES), st.sampled_from(STARTS), STEPS)
async def test_no_more_is_sent_than_the_caps_allow(zone: str, start: dt.datetime, steps: list[tuple[int, str]]) -> None:
    made, lost = await run(World(CAPPED), zone, int(start.timestamp() * 1e6), steps)
    rules = policy(cooldown="5m", caps=CAPS).caps
    for cap in rules:
        counts: dict[tuple[int, ...], set[str]] = {}
        for each in made:
            help_ = each.intervention
            sent = {"in_app": each.decision.facts.received_us} if "in_app" in _channels(each) else {}
            if help_.channel == "email" and help_.id not in lost:
                sent["email"] = help_.send_us
            for channel, at_us in sent.items():
                if cap.channel in ("", channel) and cap.topic in ("", help_.topic):
                    counts.setdefault(local_time.period(at_us, zone, cap.per), set()).add(help_.id)
        assert all(len(offers) <= cap.most for offers in counts.values())


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(ZONES), st.sampled_from(STARTS), STEPS)
async def test_nothing_leaves_in_quiet_hours_nor_later_than_it_was_counted(
    zone: str, start: dt.datetime, steps: list[tuple[int, str]]
) -> None:
    world = World(CAPPED)
    made, _ = await run(world, zone, int(start.timestamp() * 1e6), steps)
    hours = policy(quiet_hours={"start": "20:30", "end": "07:15", "channels": ["email"]}).quiet
    assert hours is not None
    messages = [each.entry.message for each in await world.outbox.claim("email", 1 << 62, 1000, 1)]
    assert {each.key for each in messages} == {f"{m.intervention.id}.email" for m in made if "email" in _channels(m)}
    for each in messages:
        assert not local_time.is_quiet(each.due_us, zone, hours)
        if each.expires_us > each.due_us:
            assert not local_time.is_quiet(each.expires_us - 1, zone, hours)
            for per in ("day", "week"):
                assert local_time.period(each.expires_us - 1, zone, per) == local_time.period(each.due_us, zone, per)


def _channels(made: Created) -> tuple[str, ...]:
    return (made.intervention.channel, *made.intervention.also_channels)


async def test_a_message_waits_for_better_words_but_not_beyond_its_time() -> None:
    world = World()
    world.deciding._words_us = 5_000_000
    await world.deliver(0, [WELCOME])
    (made,) = await world.send(Row(55.0, indicators=("form_errors",)))
    (claimed,) = await world.outbox.claim("email", 1 << 62, 10, 1)
    assert claimed.entry.message.due_us == made.intervention.send_us + 5_000_000
    evening = World(edited(quiet_hours={"start": "10:10", "end": "10:00", "channels": ["email"]}, cooldown="1m"))
    evening.deciding._words_us = 15 * MINUTE
    await evening.deliver(0, [WELCOME])
    # Held until the ten minutes of the day that are not quiet, which are fewer than the words may take.
    await evening.send(Row(55.0, indicators=("form_errors",)))
    (claimed,) = await evening.outbox.claim("email", 1 << 62, 10, 1)
    assert claimed.entry.message.due_us == claimed.entry.message.expires_us


async def test_a_message_that_never_left_gives_its_place_back() -> None:
    world = World(edited(caps=[{"channel": "email", "most": 1, "per": "day"}]))
    await world.deliver(0, [WELCOME])
    stuck = {"indicators": ("form_errors",)}
    (first,) = await world.send(Row(55.0, NOON_ISH, **stuck))  # type: ignore[arg-type]
    later = NOON_ISH + HOUR
    await world.send(outcome(Outcome.SHOWN, first.intervention.id, at_us=later))
    await world.send(outcome(Outcome.ACCEPTED, first.intervention.id, at_us=later))
    assert await world.send(Row(55.0, later, **stuck)) == []  # type: ignore[arg-type]
    assert (await world.last()).verdict.reasons == (Reason.FREQUENCY_CAP, Reason.RESPONSIVE_USER)
    lost = UNDELIVERED.encode(((first.intervention.id, "email"),))
    await world.state.save({UNDELIVERED.key("ada"): lost}, None)
    assert len(await world.send(Row(55.0, later, **stuck))) == 1  # type: ignore[arg-type]


async def test_a_user_of_whom_too_much_was_forgotten_counts_as_full() -> None:
    world = World(
        edited(cooldown="1s", caps=[{"most": 50, "per": "week"}, {"topic": "other", "most": 1, "per": "day"}])
    )
    made = []
    for minute in range(70):
        at_us = NOON_ISH + minute * MINUTE
        made += await world.send(Row(80.0, at_us))
        await world.send(outcome(Outcome.ACCEPTED, f"i-3-{world.sequence}-0", at_us=at_us))
    assert len(made) == 50


@pytest.mark.parametrize(
    ("member", "row", "reason"),
    [
        ({"suppression": {"users": ["ada"]}}, Row(80.0), Reason.SUPPRESSED),
        (
            {"suppression": {"users": [f"sha256:{hashlib.sha256(b'ada').hexdigest()}"]}},
            Row(80.0),
            Reason.SUPPRESSED,
        ),
        (
            {"suppression": {"users": [f"sha256:{hashlib.sha256(b'ada').hexdigest()}"]}},
            Row(80.0, user_id="nobody"),
            None,
        ),
        ({"suppression": {"channels": {"in_app": ["ada"]}}}, Row(80.0), Reason.SUPPRESSED),
        ({"eligibility": {"quiet_pages": ["/checkout/*"]}}, Row(80.0, page="/checkout/pay"), Reason.NOT_ELIGIBLE),
        ({"eligibility": {"quiet_pages": ["/checkout/*"]}}, Row(80.0, page="/cart"), None),
        ({"eligibility": {"quiet_pages": ["/checkout"]}}, Row(80.0, page="/checkout?step=2"), Reason.NOT_ELIGIBLE),
        ({"eligibility": {"quiet_pages": ["/checkout"]}}, Row(80.0, page="/checkouts?step=2"), None),
        ({"eligibility": {"quiet_pages": ["/*step=2"]}}, Row(80.0, page="/checkout?step=2"), Reason.NOT_ELIGIBLE),
        ({"eligibility": {"quiet_pages": ["/#/pay"]}}, Row(80.0, page="/#/pay?method=card"), Reason.NOT_ELIGIBLE),
        ({"eligibility": {"quiet_pages": ["/#/pay"]}}, Row(80.0, page="/?lang=de#/pay"), Reason.NOT_ELIGIBLE),
        ({"eligibility": {"quiet_pages": ["/#/pay"]}}, Row(80.0, page="/#/payments"), None),
        ({"eligibility": {"quiet_pages": ["/#/pay"]}}, Row(80.0, page="/pay"), None),
        ({"eligibility": {"least_confidence": 0.9}}, Row(80.0, confidence=0.8), Reason.NOT_ELIGIBLE),
        ({"caps": [{"most": 0, "per": "day"}]}, Row(80.0), Reason.FREQUENCY_CAP),
        ({"holdout": {"share": 0.9, "salt": "x"}}, Row(80.0, user_id="user-1"), Reason.HOLDOUT),
    ],
)
async def test_what_keeps_help_from_a_user(member: dict[str, object], row: Row, reason: Reason | None) -> None:
    world = World(edited(**member))
    made = await world.send(row)
    assert (made == []) == (reason is not None)
    decision = await world.last(row.user_id)
    assert decision.verdict.reasons[0] is (reason or Reason.RISK_AT_TRIGGER)
    assert decision.verdict.reasons[-1] is Reason.RISK_AT_TRIGGER
    assert (await world.reading.waiting(row.user_id)).intervention == (made[0].intervention if made else None)


def action(**members: object) -> dict[str, object]:
    return {
        "name": "tip",
        "type": "tip",
        "need": "urgent",
        "channel": "in_app",
        "handled_by": "ai",
        "content": {"any": ["guide"]},
        "offer": {"any": "Look here."},
        "lifetime": "10m",
        **members,
    }


async def test_what_was_turned_away_is_not_offered_again_for_a_while() -> None:
    world = World(edited(actions=[action(dismissed_for="2h")], cooldown="1m"))
    (made,) = await world.send(Row(80.0))
    await world.send(outcome(Outcome.DECLINED, made.intervention.id, at_us=NOON_ISH + MINUTE))
    assert await world.send(Row(80.0, NOON_ISH + HOUR)) == []
    assert (await world.last()).verdict.reasons[0] is Reason.DISMISSED
    assert len(await world.send(Row(80.0, NOON_ISH + 2 * HOUR))) == 1


async def test_people_take_over_where_the_product_has_failed() -> None:
    person = action(name="person", handled_by="human", worth=0.1)
    world = World(edited(actions=[action(), person], cooldown="1m", escalation={"after": 2, "within": "3h"}))
    for minute, expected in ((0, "tip"), (20, "tip"), (40, "person"), (300, "tip")):
        (made,) = await world.send(Row(80.0, NOON_ISH + minute * MINUTE))
        assert made.intervention.action == expected
        refusals = {each.action: each.refusal for each in made.decision.verdict.candidates}
        assert refusals["tip"] is (Reason.ESCALATED if expected == "person" else None)


async def test_what_concerns_a_transaction_is_kept_by_nothing_but_the_lists() -> None:
    members = {
        "actions": [action(transactional=True), action(name="other", worth=0.5)],
        "caps": [{"most": 0, "per": "day"}],
        "holdout": {"share": 0.9, "salt": "x"},
        "cooldown": "1h",
    }
    world = World(edited(**members))
    for minute in (0, 1):
        (made,) = await world.send(Row(80.0, NOON_ISH + minute * MINUTE, user_id="user-1"))
        assert made.intervention.action == "tip"
        assert made.decision.verdict.exposed is None
    listed = World(edited(**members, suppression={"users": ["user-1"]}))
    assert await listed.send(Row(80.0, user_id="user-1")) == []


async def test_what_concerns_a_transaction_leaves_in_quiet_hours_too() -> None:
    quiet_hours = {"start": "00:00", "end": "23:50", "channels": ["email"]}
    mail = action(transactional=True, channel="email", lifetime="10m")
    world = World(edited(actions=[mail], quiet_hours=quiet_hours))
    (made,) = await world.send(Row(80.0))
    (claimed,) = await world.outbox.claim("email", 1 << 62, 10, 1)
    assert (claimed.entry.message.due_us, claimed.entry.message.expires_us) == (NOON_ISH, NOON_ISH + 10 * MINUTE)
    assert (await world.reading.waiting("ada")).intervention is None  # it is not for the product to show
    assert (await world.reading.intervention(made.intervention.id)).intervention == made.intervention


async def test_users_of_high_value_go_first() -> None:
    world = World(edited(high_value={"least": 100, "currency": "EUR"}))
    await world.send(Row(bought=Purchase(60.0, "EUR")), Row(bought=Purchase(60.0, "USD")))
    (made,) = await world.send(Row(80.0))
    assert made.intervention.queue == "standard"
    await world.send(Row(at_us=NOON_ISH + HOUR, bought=Purchase(40.0, "EUR")))
    (made,) = await world.send(Row(80.0, NOON_ISH + 2 * HOUR))
    assert made.intervention.queue == "priority"


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.5, 0.9]))
async def test_whoever_is_held_out_is_never_helped(number: int, share: float) -> None:
    user = f"user-{number}"
    world = World(edited(holdout={"share": share, "salt": "s"}))
    made = await world.send(*(Row(80.0, NOON_ISH + hour * HOUR, user_id=user) for hour in range(8)))
    is_out = held_out("s", user, share)
    assert (made == []) == is_out
    assert (await world.reading.waiting(user)).intervention is None or not is_out
    last = await world.last(user)
    assert (last.verdict.reasons[0] is Reason.HOLDOUT) == is_out
