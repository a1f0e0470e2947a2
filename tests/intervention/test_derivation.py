"""Ten thousand decisions are derived again from what the ledger keeps of their inputs: byte for byte the same."""

import random

import msgspec

from services.intervention.domain import ledger
from services.intervention.domain.decision import derive
from services.intervention.domain.facts import Bought, EventKind, Outcome
from services.intervention.ports import Reference
from services.intervention.translation.decisions import decision_message
from tests.intervention.builders import MINUTE, NOON_ISH, Row, World, edited, outcome

COUNT = 10_000
RECORDS = 500
MEASURED = edited(
    holdout={"share": 0.2, "salt": "m"}, exploration={"temperature": 0.1, "floor": 0.05, "salt": "m"}, cooldown="5m"
)
LATER = edited(trigger={"score": 60}, caps=[{"most": 2, "per": "day"}])
DIFFICULTIES = ("form_errors", "help_seeking", "page_refreshes", "rapid_navigation", "engagement_drop")


def drawn(chance: random.Random, at_us: int) -> Row:
    """An event of one of many users; one in four asks for a decision, some tell an outcome or a purchase."""
    user = f"user-{chance.randrange(150)}"
    kind = chance.random()
    zone = chance.choice(["", "Europe/Berlin", "Pacific/Apia", "America/New_York"])
    if kind < 0.1:
        what = chance.choice([each for each in Outcome if each])
        made = f"i-3-{chance.randrange(RECORDS)}-{chance.randrange(20)}"
        return outcome(what, chance.choice(["", made]), "email", user_id=user, at_us=at_us, time_zone=zone)
    if kind < 0.15:
        return Row(12.0, at_us, user, kind=EventKind.PURCHASE, bought=Bought(chance.randrange(500), "EUR"))
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
    )


async def test_ten_thousand_decisions_derive_again_with_no_difference() -> None:
    chance = random.Random(4)  # noqa: S311 - the same decisions each time
    world = World(MEASURED, (NOON_ISH + 1000 * MINUTE, LATER))
    for sequence in range(RECORDS):
        at_us = NOON_ISH + sequence * 4 * MINUTE
        await world.deliver(sequence, [[drawn(chance, at_us + row) for row in range(COUNT // RECORDS)]])
    pages = await world.reading.pages([Reference("3", sequence) for sequence in range(RECORDS)])
    seen, differences, kinds = 0, 0, set()
    for at, policy, block in pages:
        for row, event_index in enumerate(block.event_indexes):
            kept = ledger.decision_at(policy, block, at.shard, at.sequence, row)
            again = derive(policy, kept.facts, kept.standing, f"i-3-{at.sequence}-{event_index}")
            differences += msgspec.msgpack.encode(again) != msgspec.msgpack.encode(kept.verdict)
            inputs = ledger.decode_inputs(ledger.inputs_of(kept))
            assert (inputs.standing, inputs.time_zone) == (kept.standing, kept.facts.time_zone)
            assert decision_message(kept).propensity == kept.verdict.propensity
            kinds.add(kept.verdict.reasons[0].name)
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
    }
