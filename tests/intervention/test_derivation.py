"""Ten thousand decisions are derived again from what the ledger keeps of their inputs: byte for byte the same."""

import random

import msgspec

from services.intervention.decision.domain import ledger
from services.intervention.decision.domain.decision import derive
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.decision.domain.segment import Recommended, Segment
from services.intervention.decision.ports import Reference
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.policy import EventKind
from services.intervention.translation.decisions import decision_message
from tests.intervention.builders import DOCUMENT, MINUTE, NOON_ISH, Row, World, arrival, edited, outcome

COUNT = 10_000
RECORDS = 500
STRATEGIES = [
    *parse(DOCUMENT)["actions"],  # type: ignore[index]
    {
        **parse(DOCUMENT)["actions"][0],  # type: ignore[index]
        "name": "recommend",
        "segments": ["Champions"],
        "recommends": 2,
    },
]
MEASURED = edited(
    actions=STRATEGIES,
    holdout={"share": 0.2, "salt": "m"},
    exploration={"temperature": 0.1, "floor": 0.05, "salt": "m"},
    cooldown="5m",
)
LATER = edited(
    trigger={"score": 60}, caps=[{"most": 2, "per": "day"}, {"most": 1, "per": "week", "segments": ["New", "none"]}]
)
DIFFICULTIES = ("form_errors", "help_seeking", "page_refreshes", "rapid_navigation", "engagement_drop")


def drawn(chance: random.Random, at_us: int, last: dict[str, str]) -> Row:
    """An event of one of many users; one in four asks for a decision, some report an outcome or a purchase.

    `last` has the latest intervention of each.
    """
    user = f"user-{chance.randrange(150)}"
    kind = chance.random()
    zone = chance.choice(["", "Europe/Berlin", "Pacific/Apia", "America/New_York"])
    if kind < 0.1:
        what = chance.choice([each for each in Outcome if each])
        return outcome(
            what, chance.choice(["", last.get(user, "")]), "email", user_id=user, at_us=at_us, time_zone=zone
        )
    if kind < 0.15:
        bought = Purchase(chance.randrange(500), "EUR", chance.random() < 0.2)
        return Row(
            12.0,
            at_us,
            user,
            kind=EventKind.PURCHASE,
            bought=bought,
            products=() if bought.gives_back else ("p-0", "p-1")[: chance.randrange(3)],
            age_us=chance.choice([0, 0, 600 * MINUTE]),
        )
    if kind < 0.17:
        return Row(80.0, at_us, user, kind=EventKind.IDENTIFY, linked=f"user-{(int(user[5:]) + 1) % 150}")
    if kind < 0.22:
        products = tuple(Recommended(f"p-{number}") for number in range(chance.randrange(4)))
        said = Segment(chance.choice(["Champions", "Champions", "New", ""]), products=products)
        age_us = chance.choice([0, MINUTE, 900 * MINUTE])
        return Row(80.0, at_us, user, kind=EventKind.SEGMENT_CHANGE, is_system=True, segment=said, age_us=age_us)
    return Row(
        score=chance.choice([5.0, 20.0, 35.0, 50.0, 65.0, 80.0, 95.0]),
        at_us=at_us,
        user_id=user,
        strong=chance.choice([0, 0, 0, 4]),
        indicators=tuple(chance.sample(DIFFICULTIES, chance.randrange(4))),
        confidence=chance.random(),
        time_zone=zone,
        is_bot=chance.random() < 0.05,
        features=(chance.random(), 2.0),
        kind=chance.choice([EventKind.PAGE_VIEW, EventKind.PAGE_VIEW, EventKind.SESSION_END, EventKind.IDENTIFY]),
        age_us=chance.choice([0, 0, 0, MINUTE, 6 * MINUTE, 900 * MINUTE]),
        is_copy=chance.random() < 0.05,
        is_system=chance.random() < 0.05,
        is_settled=chance.random() < 0.2,
        latest_signal_us=chance.choice([0, at_us, at_us - 600 * MINUTE]),
    )


async def test_ten_thousand_decisions_derive_again_with_no_difference() -> None:
    chance = random.Random(4)  # noqa: S311 - the same decisions each time
    world, moving, last = World(MEASURED, (NOON_ISH + 1000 * MINUTE, LATER)), list[Row](), dict[str, str]()
    for sequence in range(RECORDS):
        at_us = NOON_ISH + sequence * 4 * MINUTE
        rows = [drawn(chance, at_us + row, last) for row in range(COUNT // RECORDS - len(moving))]
        result = await world.come(sequence, [[*moving, *rows]])
        last.update((each.decision.facts.user_id, each.intervention.id) for each in result.made)
        every = [*moving, *rows]
        moving = [arrival(every[row].linked, at_us, each) for row, each in result.transfers.items()]
    pages = await world.reading.pages([Reference("3", sequence) for sequence in range(RECORDS)])
    seen, differences, kinds = 0, 0, set()
    for at, policy, block in pages:
        for row, event_index in enumerate(block.event_indexes):
            kept = ledger.decision_at(policy, block, at.shard, at.sequence, row)
            again = derive(policy, kept.facts, kept.standing, f"i-3-{at.sequence}-{event_index}")
            differences += msgspec.msgpack.encode(again) != msgspec.msgpack.encode(kept.verdict)
            inputs = ledger.decode_inputs(ledger.inputs_of(kept))
            assert (inputs.standing, inputs.time_zone) == (kept.standing, kept.facts.time_zone)
            assert (inputs.kind, inputs.is_settled) == (kept.facts.kind, kept.facts.is_settled)
            assert decision_message(kept).propensity == kept.verdict.propensity
            kinds.add(kept.verdict.reasons[0].name)
            kinds |= {each.refusal.name for each in kept.verdict.candidates if each.refusal}
            kinds |= {"recommends"} if kept.verdict.intervention and kept.verdict.intervention.products else set()
            kinds |= {f"withdrawn, {kept.verdict.withdrawn.reason.name}"} if kept.verdict.withdrawn else set()
            seen += 1
    assert (seen, differences) == (COUNT, 0)
    # The decisions are of all sorts, or the comparison would say little.
    assert kinds >= {
        "RISK_AT_TRIGGER",
        "SIGNALS_AT_TRIGGER",
        "BELOW_TRIGGER",
        "COOLDOWN",
        "ALREADY_PENDING",
        "BOT",
        "OUTCOME_EVENT",
        "HOLDOUT",
        "CHOSE_NOTHING",
        "FREQUENCY_CAP",
        "TOO_OLD",
        "COPIED_EVENT",
        "SYSTEM_EVENT",
        "JUST_IDENTIFIED",
        "USER_GONE",
        "SOLVED",
        "recommends",
        "withdrawn, SOLVED",
        "withdrawn, SESSION_ENDED",
    }
