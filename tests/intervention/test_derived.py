"""What another policy would have decided: on the same inputs, and without any effect."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.intervention.v1 import intervention_pb2 as wire

from mesh.errors import InvalidArgument, NotFound
from services.intervention.decision.ids import decision_id
from tests.intervention.builders import DOCUMENT, MINUTE, NOON_ISH, Row, World
from tests.intervention.test_servicer import Served, served
from tests.mesh.test_documents import MERGES

__all__ = ["served"]

BOMB = "\n".join(["a0: &a0 [1]", *(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 8)}]" for n in range(12))])
"""A short text that means 8 to the power of 12 values."""


def policy(**members: Any) -> str:
    """The default policy with other members."""
    return yaml.safe_dump(yaml.safe_load(DOCUMENT) | {"version": "tried"} | members, sort_keys=False)


async def derived(served: Served, document: str, number: int = 0) -> wire.DeriveDecisionResponse:
    """What a policy decides on the latest decision about ada, or an earlier one."""
    asked = wire.ListDecisionsRequest(user_id="ada")
    decision_id = (await served.stub.ListDecisions(asked)).decisions[number].id
    return await served.stub.DeriveDecision(wire.DeriveDecisionRequest(id=decision_id, policy=document))


async def test_a_lower_trigger_would_have_helped(served: Served) -> None:
    await served.send(Row(score=62, indicators=("form_errors",)))
    strict, lax = await derived(served, policy()), await derived(served, policy(trigger={"score": 60}))
    assert strict.decision.kind == wire.DECISION_KIND_NONE
    assert lax.decision.kind == wire.DECISION_KIND_INTERVENE
    assert lax.decision.reasons[0] == wire.DECISION_REASON_RISK_AT_TRIGGER
    assert lax.decision.policy_version.startswith("tried+")
    assert not lax.has_past
    assert not (await served.pending()).has_pending_intervention


async def test_what_is_remembered_of_the_user_counts(served: Served) -> None:
    await served.send(Row(score=80, indicators=("form_errors",)))
    await served.send(Row(score=80, indicators=("form_errors",), at_us=NOON_ISH + 45 * MINUTE))
    held, free = await derived(served, policy(cooldown="1h")), await derived(served, policy(cooldown="1m"))
    assert held.has_past
    assert held.decision.reasons[0] in {wire.DECISION_REASON_COOLDOWN, wire.DECISION_REASON_ALREADY_PENDING}
    assert free.decision.kind == wire.DECISION_KIND_INTERVENE


@settings(max_examples=40, deadline=None)
@given(scores=st.lists(st.floats(0, 100), min_size=1, max_size=6), strong=st.integers(0, 6))
async def test_the_policy_in_force_derives_what_was_decided(scores: list[float], strong: int) -> None:
    world = World()
    for number, score in enumerate(scores):
        at_us = NOON_ISH + number * 10 * MINUTE
        await world.send(Row(score=score, strong=strong, indicators=("form_errors",), at_us=at_us))
    for decided in await world.reading.decisions_of_user("ada", 10):
        again = await world.reading.derived(decision_id(decided.facts.position), DOCUMENT)
        assert again == decided


@pytest.mark.parametrize(
    "document",
    [
        "",
        "version: [",
        "trigger: {score: 500}",
        "x" * 20_000,
        BOMB,
        MERGES,
        "a: &a [*a]",
    ],
    ids=["empty", "no YAML", "no policy", "long", "aliases", "merge keys", "endless"],
)
async def test_what_is_no_policy_is_refused(served: Served, document: str) -> None:
    await served.send(Row(score=62))
    with pytest.raises(InvalidArgument) as refused:
        await derived(served, document)
    assert refused.value.reason == "VALUE_OUT_OF_RANGE"


async def test_an_unknown_decision_is_not_found(served: Served) -> None:
    with pytest.raises(NotFound):
        await served.stub.DeriveDecision(wire.DeriveDecisionRequest(id="d-3-9-0", policy=DOCUMENT))
