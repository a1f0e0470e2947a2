"""Segments of users as systems say them: who gets which help, how often, what it recommends, and what it changes."""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.state import keyed
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.domain.chance import held_out
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.decision.domain.offer import Exposure
from services.intervention.decision.domain.segment import MOST_BOUGHT, Recommended, Segment
from services.intervention.decision.domain.user_state import UserState
from services.intervention.decision.ports import Reference
from services.intervention.decision.state import USERS
from services.intervention.erasing import Erasing
from services.intervention.exporting import Exporting
from services.intervention.lift.domain import tally
from services.intervention.lift.domain.tally import MOST_SEGMENTS, Cell, Tally
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import PolicyError, policy_of
from services.intervention.policy.domain.policy import DAY_US, EventKind
from services.intervention.translation.decisions import decision_message
from tests.intervention.builders import DOCUMENT, HOUR, MINUTE, NOON_ISH, POLICIES, Row, World, edited, outcome

BEANS, FILTERS, CUPS = (Recommended(each, each.title(), "due_again") for each in ("beans", "filters", "cups"))


def action(name: str, **members: object) -> dict[str, object]:
    return {
        "name": name,
        "type": "critical_intervention",
        "need": "urgent",
        "channel": "in_app",
        "content": {"any": ["guide"]},
        "offer": {"any": "May we help?"},
        **members,
    }


STRATEGIES = [
    action("thank", segments=["Champions"], recommends=2),
    action("welcome", segments=["none", "New"]),
    action("help", worth=0.5),
]


def strategies(**members: object) -> str:
    return edited(actions=STRATEGIES, caps=[], cooldown="0s", **members)


def says(name: str, *products: Recommended, at_us: int = NOON_ISH, age_us: int = 0, user_id: str = "ada") -> Row:
    """A system says a segment."""
    kind = EventKind.SEGMENT_CHANGE
    said = Segment(name, products=products)
    return Row(at_us=at_us, age_us=age_us, user_id=user_id, kind=kind, is_system=True, segment=said)


def buys(*products: str, at_us: int, age_us: int = 0, user_id: str = "ada") -> Row:
    bought = Purchase(5.0, "EUR")
    return Row(at_us=at_us, age_us=age_us, user_id=user_id, kind=EventKind.PURCHASE, bought=bought, products=products)


async def known(world: World, user_id: str = "ada") -> UserState:
    return await keyed.read(world.state, USERS, user_id)


@pytest.mark.parametrize(
    ("segment", "expected"), [("Champions", "thank"), ("New", "welcome"), ("", "welcome"), ("Loyal", "help")]
)
async def test_a_user_gets_the_help_of_their_segment(segment: str, expected: str) -> None:
    world = World(strategies())
    assert await world.send(says(segment, BEANS)) == []
    (made,) = await world.send(Row(80.0, NOON_ISH + MINUTE))
    assert made.intervention.action == expected
    assert (await world.last()).standing.segment == (await known(world)).segment


async def test_who_was_never_told_of_is_in_none() -> None:
    (made,) = await World(strategies()).send(Row(80.0))
    assert made.intervention.action == "welcome"


async def test_help_recommends_what_the_user_has_not_bought_since() -> None:
    world = World(strategies())
    await world.send(says("Champions", BEANS, FILTERS, CUPS))
    (made,) = await world.send(Row(80.0, NOON_ISH + MINUTE))
    assert made.intervention.products == (BEANS, FILTERS)
    await world.send(buys("beans", "milk", at_us=NOON_ISH + 2 * MINUTE))
    assert (await known(world)).waiting == msgspec.structs.replace(made.intervention, products=(FILTERS,))
    await world.send(outcome(Outcome.DECLINED, made.intervention.id, at_us=NOON_ISH + 3 * MINUTE))
    (made,) = await world.send(Row(80.0, NOON_ISH + 4 * MINUTE))
    assert made.intervention.products == (FILTERS, CUPS)
    await world.send(outcome(Outcome.DECLINED, made.intervention.id, at_us=NOON_ISH + 5 * MINUTE))
    await world.send(buys("filters", "cups", at_us=NOON_ISH + 6 * MINUTE))
    (made,) = await world.send(Row(80.0, NOON_ISH + 7 * MINUTE))
    assert made.intervention.action == "help"  # nothing is left to recommend


@pytest.mark.parametrize(("bought_minutes", "left"), [(1, (BEANS, CUPS)), (3, (CUPS,))])
async def test_what_was_bought_since_counts_though_it_came_first(
    bought_minutes: int, left: Sequence[Recommended]
) -> None:
    world = World(strategies())
    await world.send(buys("beans", at_us=NOON_ISH + bought_minutes * MINUTE))
    await world.send(says("Champions", BEANS, CUPS, at_us=NOON_ISH + 9 * MINUTE, age_us=7 * MINUTE))
    segment = (await known(world)).segment
    assert segment is not None
    assert segment.products == left


async def test_what_is_remembered_of_purchases_is_bounded_and_a_large_order_is_not_recommended() -> None:
    world = World(strategies())
    await world.send(says("Champions", BEANS))
    many = [f"p-{number}" for number in range(40)]
    await world.send(buys("beans", *many, at_us=NOON_ISH + MINUTE))
    user = await known(world)
    assert len(user.basket) == MOST_BOUGHT
    assert user.segment is not None
    assert user.segment.products == ()


STATEMENTS = st.lists(st.tuples(st.sampled_from(["", "New", "Loyal"]), st.booleans()), min_size=1, max_size=5).flatmap(
    lambda said: st.permutations([*enumerate(said)])
)


@settings(deadline=None)
@given(STATEMENTS)
async def test_what_was_said_last_counts_in_whatever_order_it_comes(said: list[tuple[int, tuple[str, bool]]]) -> None:
    world = World(strategies())
    for place, (minute, (name, recommends)) in enumerate(said):
        at_us, products = NOON_ISH + 10 * MINUTE + place, (BEANS,) if recommends else ()
        await world.send(says(name, *products, at_us=at_us, age_us=at_us - NOON_ISH - minute * MINUTE))
    last_minute, (name, recommends) = max(said)
    segment = (await known(world)).segment
    assert segment is not None
    assert (segment.name, segment.said_us) == (name, NOON_ISH + last_minute * MINUTE)
    assert segment.products == ((BEANS,) if recommends else ())


async def test_a_user_is_in_a_segment_since_it_was_said_first() -> None:
    world = World(strategies())
    for hours, name in enumerate(("New", "Loyal", "Loyal")):
        await world.send(says(name, at_us=NOON_ISH + hours * HOUR))
    segment = (await known(world)).segment
    assert segment is not None
    assert (segment.since_us, segment.said_us) == (NOON_ISH + HOUR, NOON_ISH + 2 * HOUR)


async def test_it_is_recorded_as_a_systems_event_brings_no_help_and_ends_none() -> None:
    world = World(strategies())
    (made,) = await world.send(Row(80.0))
    await world.send(says("Champions", BEANS, at_us=NOON_ISH + MINUTE))
    user = await known(world)
    assert user.waiting == made.intervention
    assert (await world.last()).verdict.reasons == (Reason.SYSTEM_EVENT,)
    (block,) = [pages.decode(blob) for blob in await world.ledger.blocks([Reference("3", 2)]) if blob]
    assert block.exceptional == {}  # nothing is kept per segment and user in the ledger


async def test_a_segment_beside_what_the_user_did_counts_for_that_decision() -> None:
    world = World(strategies())
    result = await world.judge(says("Champions", BEANS), Row(80.0))
    assert [each.intervention.action for each in result.made] == ["thank"]


async def test_caps_bind_users_of_their_segments() -> None:
    caps = [{"most": 1, "per": "day", "segments": ["New"]}, {"most": 0, "per": "day", "segments": ["none"]}]
    world = World(edited(actions=STRATEGIES, caps=caps, cooldown="0s"))
    for user, name in (("ada", "New"), ("bob", "Loyal"), ("eve", "")):
        await world.send(says(name, user_id=user))
    counts = dict.fromkeys(("ada", "bob", "eve"), 0)
    for minutes, user in itertools.product(range(1, 4), counts):
        made = await world.send(Row(80.0, NOON_ISH + minutes * MINUTE, user_id=user))
        counts[user] += len(made)
        for each in made:
            await world.send(
                outcome(Outcome.DECLINED, each.intervention.id, user_id=user, at_us=NOON_ISH + minutes * MINUTE)
            )
    assert counts == {"ada": 1, "bob": 3, "eve": 0}


async def test_it_moves_to_the_person_that_an_anonymous_user_turns_out_to_be() -> None:
    world = World(strategies())
    await world.send(says("Champions", BEANS, CUPS, user_id="anon", at_us=NOON_ISH))
    await world.send(buys("cups", user_id="ada", at_us=NOON_ISH + MINUTE))
    await world.send(buys("tea", user_id="anon", at_us=NOON_ISH + MINUTE))
    await world.link("anon", "ada", NOON_ISH + 2 * MINUTE)
    ada, anon = await known(world), await known(world, "anon")
    assert ada.segment is not None
    assert (ada.segment.name, ada.segment.products) == ("Champions", (BEANS,))
    assert dict(ada.basket).keys() == {"cups", "tea"}
    assert (anon.segment, anon.basket) == (None, ())


async def test_what_the_known_user_is_said_to_be_later_counts_at_a_login() -> None:
    world = World(strategies())
    await world.send(says("New", user_id="anon", at_us=NOON_ISH))
    await world.send(says("Champions", at_us=NOON_ISH + MINUTE))
    await world.link("anon", "ada", NOON_ISH + 2 * MINUTE)
    segment = (await known(world)).segment
    assert segment is not None
    assert segment.name == "Champions"


async def test_it_is_exported_and_erased_with_the_person() -> None:
    world = World(strategies())
    await world.send(says("Champions", BEANS))
    (made,) = await world.send(Row(80.0, NOON_ISH + MINUTE))
    exporting = Exporting(world.state, world.ledger, world.outbox, world.policies, world.reports)
    told = b"".join(each.json for each in await exporting.export(["ada"], lambda of: decision_message(of).segment))
    assert b"Champions" in told
    assert b"beans" in told
    await Erasing(world.state, world.ledger, world.outbox, world.reports).erase(["ada"], "0" * 32)
    assert await known(world) == UserState()
    (erased,) = await world.reading.decisions_at(made.decision.facts.position)
    assert erased.standing.segment is None
    assert erased.verdict.intervention is not None
    assert erased.verdict.intervention.products == ()


async def test_the_lift_is_told_by_segment() -> None:
    world = World(strategies(holdout={"share": 0.4, "salt": "exp"}, conversion={"event": "purchase", "within": "5h"}))
    names = {f"user-{number}": ("Champions", "New", "")[number % 3] for number in range(30)}
    for user, name in names.items():
        await world.send(*([says(name, BEANS, user_id=user)] if name else []), Row(80.0, user_id=user))
    for user in [*names][::2]:
        await world.send(buys("p", user_id=user, at_us=NOON_ISH + HOUR))
    lifts = await world.reading.lifts("")
    rows = {name: counts for dimension, name, counts, _ in lifts.estimates if dimension == "segment"}
    assert [*rows] == ["Champions", "New", "none"]
    for name, counts in rows.items():
        its = [user for user, segment in names.items() if (segment or "none") == name]
        assert counts.treated == sum(not held_out("exp", user, 0.4) for user in its)
        assert counts.holdout == sum(held_out("exp", user, 0.4) for user in its)
        assert counts.treated_converted + counts.holdout_converted == sum(int(user[5:]) % 2 == 0 for user in its)


def exposed(segment: str) -> Exposure:
    return Exposure("exp", NOON_ISH, True, "t", "a", "in_app", "high", False, segment=segment)


def test_segments_beyond_those_that_are_told_apart_are_counted_together() -> None:
    names = [f"s-{number}" for number in range(MOST_SEGMENTS + 5)]
    counts = tally.counted((), [(None, exposed(name)) for name in names])
    told = {name: each.treated for dimension, name, each in tally.by_dimension(counts, "exp") if dimension == "segment"}
    assert told == dict.fromkeys(names[:MOST_SEGMENTS], 1) | {"other": 5, "none": 0}


class CellBefore(msgspec.Struct, frozen=True, array_like=True):
    """A cell, as the previous version reads and writes it."""

    of: str
    type: str
    action: str
    channel: str
    level: str
    is_high_value: bool
    counts: int
    treated_converted: int
    holdout: int
    holdout_converted: int


def test_the_previous_version_keeps_the_counts_and_only_forgets_the_segments() -> None:
    counts = tally.counted((), [(None, exposed("Champions")), (None, exposed(""))])
    before = msgspec.msgpack.decode(msgspec.msgpack.encode(counts), type=tuple[CellBefore, ...])
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=Tally)
    assert again == (Cell("exp", "t", "a", "in_app", "high", False, treated=2),)
    later = tally.counted(again, [(None, exposed("Champions"))])
    told = {name: each.treated for dimension, name, each in tally.by_dimension(later, "exp") if dimension == "segment"}
    assert told == {"Champions": 1, "none": 2}


@pytest.mark.parametrize(("file", "version"), [("default", "default-3+16eb49c8"), ("measured", "measured-1+bee8f64a")])
def test_a_policy_without_segments_keeps_its_version(file: str, version: str) -> None:
    assert policy_of(parse((POLICIES / f"{file}.yaml").read_text())).version == version


def test_what_a_policy_says_of_segments_is_part_of_its_version() -> None:
    documents = [
        edited(),
        edited(caps=[{"most": 1, "per": "day"}]),
        edited(caps=[{"most": 1, "per": "day", "segments": ["New"]}]),
        edited(actions=[action("a")]),
        edited(actions=[action("a", segments=["New"])]),
        edited(actions=[action("a", recommends=1)]),
    ]
    assert len({policy_of(parse(each)).version for each in documents}) == len(documents)


@pytest.mark.parametrize(
    "members",
    [
        {"actions": [action("a", segments=[""])]},
        {"actions": [action("a", segments=["x" * 65])]},
        {"actions": [action("a", segments="New")]},
        {"actions": [action("a", recommends=6)]},
        {"actions": [action("a", recommends=0)]},
        {"caps": [{"most": 1, "per": "day", "segments": [1]}]},
        {"conversion": {"event": "segment_change"}},
    ],
)
def test_what_means_nothing_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        policy_of(parse(edited(**members)))


async def test_the_decision_tells_the_segment_and_what_was_recommended() -> None:
    world = World(strategies())
    await world.send(says("Champions", BEANS, CUPS))
    await world.send(Row(80.0, NOON_ISH + DAY_US))
    told = decision_message(await world.last())
    assert (told.segment, told.segment_time.ToMicroseconds()) == ("Champions", NOON_ISH)
    assert [(each.product_id, each.name, each.reason) for each in told.recommended] == [
        ("beans", "Beans", "due_again"),
        ("cups", "Cups", "due_again"),
    ]
    assert [each.product_id for each in told.intervention.products] == ["beans", "cups"]
    inputs = pages.decode_inputs(told.inputs)
    assert inputs.standing.segment == (await known(world)).segment


def test_the_strategies_of_the_docs_are_a_policy() -> None:
    page = (POLICIES.parent / "docs" / "policy.md").read_text()
    (example,) = (each for each in re.findall("```yaml\n(.*?)```", page, re.DOTALL) if "segments" in each)
    made = policy_of(parse(edited(**yaml.safe_load(example))))
    assert [sorted(each.segments) for each in made.actions] == [[], ["Champions", "Loyal"], ["At Risk", "none"]]
    assert [sorted(each.segments) for each in made.caps] == [[], ["Champions"]]


def test_the_default_policy_has_one_strategy_for_all() -> None:
    assert not any(each.segments or each.recommends for each in policy_of(parse(DOCUMENT)).actions)
