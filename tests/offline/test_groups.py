"""Each user of a record is judged once, and the same however the stream is cut, or a record is applied in parts."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from offline.decisions.archived import Record
from offline.decisions.deriving import Deriving, Journeys, all_by
from offline.decisions.what_if import Alternative, Span, WhatIf, _packed, each_alone
from records.table import of_events
from services.ingest.archive.adapters.event_rows import Archived
from services.ingest.dispatch.translation.groups import Groups, groups_of
from services.ingest.events.translation.records import Rows
from services.intervention.decision.domain import ledger
from services.intervention.decision.domain.ledger import Block
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import policy_of
from services.intervention.policy.domain.policy import governing
from services.scoring.adapters.model_directory import load
from tests.builders import NOW_US, SECOND_US, event
from tests.intervention.builders import edited, policy
from tests.offline.mesh import MODELS

SHARD: Final = "0"
EAGER: Final = policy(trigger={"score": 1.0, "strong_signals": 1}, cooldown="1m")
EAGER_ARM: Final = {
    "name": "eager",
    "policy": parse(edited(trigger={"score": 1.0, "strong_signals": 1}, cooldown="1m")),
}
MODEL: Final = load(next(MODELS.glob("*/model.json")).parent)
USERS: Final = ["ada", "bob"]

TIMES = {"event_time_us": st.integers(-120, 120).map(lambda second: NOW_US + second * SECOND_US)}
CLICKS = st.builds(
    event,
    user_id=st.sampled_from(USERS),
    kind=st.just("click"),
    target=st.sampled_from(["pay", "send"]),
    click=st.fixed_dictionaries({"effect_observed": st.booleans()}),
    **TIMES,
)
OTHERS = st.builds(
    event,
    user_id=st.sampled_from(USERS),
    kind=st.sampled_from(["page_view", "error", "retry", "task_failure", "task_success", "purchase", "session_end"]),
    target=st.sampled_from(["", "pay"]),
    is_system=st.sampled_from([False, False, True]),
    **TIMES,
)
RECORDS = st.lists(st.lists(CLICKS | OTHERS, min_size=1, max_size=6), min_size=1, max_size=5)
SOME = settings(max_examples=25, deadline=None)


def numbered(records: list[list[event_pb2.Event]]) -> list[list[event_pb2.Event]]:
    for number, record in enumerate(records):
        for index, each in enumerate(record):
            each.event_id = f"e-{number}-{index}"
            each.received_time_us = NOW_US + number * SECOND_US
    return records


def rows_of(records: Sequence[Sequence[event_pb2.Event]], users: Sequence[str] = USERS) -> Rows:
    sent = [
        (number, index, each)
        for number, record in enumerate(records)
        for index, each in enumerate(record)
        if each.user_id in users
    ]
    return Rows(
        of_events([each for _, _, each in sent]),
        [number for number, _, _ in sent],
        [index for _, index, _ in sent],
    )


async def derived(parts: Sequence[tuple[Sequence[int], Rows]]) -> Iterator[tuple[int, Block]]:
    """The pages of batches, one after the other."""
    journeys, deriving, of_archive = Journeys(), Deriving(), []
    for sequences, rows in parts:
        if rows.events:
            applied = await journeys.apply(SHARD, sequences, rows, groups_of(rows))
            of_archive += list((await deriving.derive(applied, all_by(MODEL, applied), EAGER)).items())
    return iter(of_archive)


@SOME
@given(RECORDS, st.integers(1, 4))
def test_any_cut_of_the_stream_gives_the_same_pages(records: list[list[event_pb2.Event]], cut: int) -> None:
    records = numbered(records)
    every = range(len(records))
    whole = asyncio.run(derived([(every, rows_of(records))]))
    parts = [(every[start : start + cut], rows_of(records[start : start + cut])) for start in every[::cut]]
    assert dict(whole) == dict(asyncio.run(derived(parts)))


@SOME
@given(RECORDS)
def test_a_record_that_is_applied_user_by_user_gives_each_the_same_decision(
    records: list[list[event_pb2.Event]],
) -> None:
    records = numbered(records)
    every = range(len(records))
    of_user = {user: iter(asyncio.run(derived([(every, rows_of(records, [user]))]))) for user in USERS}
    alone = {
        (sequence, user): ledger.decision_at(EAGER, block, SHARD, sequence, 0)
        for user, pages in of_user.items()
        for sequence, block in pages
    }
    together = {
        (sequence, block.user_ids[row]): ledger.decision_at(EAGER, block, SHARD, sequence, row)
        for sequence, block in asyncio.run(derived([(every, rows_of(records))]))
        for row in range(len(block.user_ids))
    }
    assert together == alone


@pytest.mark.parametrize("judge", [each_alone, groups_of], ids=["event by event", "record by record"])
def test_decisions_made_event_by_event_are_derived_event_by_event(judge: object) -> None:
    """The archive has both: that of the version before, and that of this one."""
    records = [[event(f"e-{number}-{index}", kind="error", target="pay") for index in range(4)] for number in range(3)]

    async def archived() -> list[Record]:
        journeys, deriving, made = Journeys(), Deriving(), list[Record]()
        for number, its in enumerate(records):
            events = {index: Archived(SHARD, number, index, each, is_set_aside=False) for index, each in enumerate(its)}
            rows = rows_of([its])
            groups: Groups = judge(rows)  # type: ignore[operator]
            applied = await journeys.apply(SHARD, [number], rows, groups)
            blocks = await deriving.derive(applied, all_by(MODEL, applied), EAGER)
            record = Record(SHARD, number, events, {}, 0)
            decided = {index: row for (_, index), row in _packed([record], blocks, EAGER).items()}
            made.append(record._replace(decisions=decided))
        return made

    found = WhatIf({EAGER.version: EAGER}, {MODEL.card.version: MODEL}, Alternative(), Span(0, 1 << 62))
    decisions = asyncio.run(archived())
    asyncio.run(found.run(decisions))
    assert found.findings.compared_count == (12 if judge is each_alone else 3)
    assert (found.findings.different_count, found.findings.undecided_count) == (0, 0)
    assert {each.is_decided_by_event for each in decisions} == {judge is each_alone}


def test_decisions_by_policies_that_are_compared_are_derived_again_without_difference() -> None:
    """A replay finds each user's arm anew, and so does one that replays the archive by another policy's arms."""
    strict, users = edited(trigger={"score": 100, "strong_signals": 50}), [f"user-{number}" for number in range(12)]
    tree: Any = parse(strict)
    tree["experiment"] = {"id": "tone", "salt": "tone", "arms": [{"name": "strict"}, EAGER_ARM]}
    compared = policy_of(tree)

    async def archived() -> list[Record]:
        journeys, deriving, made = Journeys(), Deriving(), list[Record]()
        for number in range(3):
            its = [event(f"e-{number}-{user}", user, "error", target="pay") for user in users]
            events = {index: Archived(SHARD, number, index, each, is_set_aside=False) for index, each in enumerate(its)}
            rows = rows_of([its], users)
            applied = await journeys.apply(SHARD, [number], rows, groups_of(rows))
            blocks = await deriving.derive(applied, all_by(MODEL, applied), compared)
            record = Record(SHARD, number, events, {}, 0)
            decided = {index: row for (_, index), row in _packed([record], blocks, compared).items()}
            made.append(record._replace(decisions=decided))
        return made

    decisions = asyncio.run(archived())
    helped = {row["user_id"] for each in decisions for row in each.decisions.values() if row["intervention"]}
    assert helped == {user for user in users if governing(compared, user)[1] == "eager"}
    assert 0 < len(helped) < len(users)
    models = {MODEL.card.version: MODEL}
    found = WhatIf({compared.version: compared}, models, Alternative(), Span(0, 1 << 62))
    asyncio.run(found.run(decisions))
    assert (found.findings.compared_count, found.findings.different_count) == (36, 0)
    other = WhatIf({compared.version: compared}, models, Alternative(policy=EAGER), Span(0, 1 << 62))
    asyncio.run(other.run(decisions))
    assert other.findings.different_count == 0
    assert other.findings.changed_count > 0
