"""Whom a record is judged for, and which event a decision is about."""

import itertools
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from mesh.errors import Unavailable
from offline.decisions.what_if import each_alone
from records.table import of_events
from services.ingest.dispatch.translation.deciding import assess_request, decide_request, vectors_of
from services.ingest.dispatch.translation.groups import Groups, are_uses, groups_of
from services.ingest.events.translation.records import Rows
from tests.builders import NOW_US, SECOND_US, event

Event = event_pb2.Event


def rows(*records: Sequence[Event]) -> Rows:
    """A batch of records, all of whose events count."""
    return Rows(
        of_events([each for record in records for each in record]),
        [number for number, record in enumerate(records) for _ in record],
        [index for record in records for index in range(len(record))],
    )


def at(seconds: int, user_id: str = "ada", kind: str = "click", **members: object) -> Event:
    return event(f"{user_id}-{seconds}", user_id, kind, event_time_us=NOW_US + seconds * SECOND_US, **members)


def deciding(*events: Event) -> int:
    (row,) = groups_of(rows(events)).deciding
    return row


def test_the_latest_of_a_run_is_decided_on_and_the_last_row_is_assessed() -> None:
    groups = groups_of(rows([at(number) for number in range(5)]))
    assert groups == Groups([0] * 5, ["ada"], [4], [4], [5], [5])


def test_what_comes_late_does_not_hide_what_the_user_does_now() -> None:
    groups = groups_of(rows([at(5), at(-3600), at(-3500)]))
    assert (groups.deciding, groups.last) == ([0], [2])


def test_of_equal_times_the_last_decides() -> None:
    assert deciding(at(1), at(1), at(0)) == 1


def test_a_system_or_a_copy_decides_only_where_the_user_did_nothing() -> None:
    hook, copy = at(9, is_system=True), at(8, copied_event_id="e")
    assert deciding(at(1), hook, copy) == 0
    assert deciding(copy, hook) == 1


def test_the_report_of_an_outcome_decides_only_where_the_user_did_nothing_else() -> None:
    report = at(9, kind="intervention_outcome", outcome={"intervention_id": "i", "outcome": "OUTCOME_SHOWN"})
    assert deciding(at(1), report) == 0
    assert deciding(at(10, is_system=True), report) == 1


def test_who_the_user_is_and_what_a_bot_does_in_their_name_hides_nobody() -> None:
    assert deciding(at(1), at(9, kind="identify"), at(8, is_bot=True)) == 0
    assert deciding(at(9, is_bot=True), at(8, kind="identify")) == 1
    assert deciding(at(1, is_bot=True), at(2, is_bot=True)) == 1


def test_users_and_records_are_judged_each_by_themselves_in_the_order_of_their_deciding_rows() -> None:
    groups = groups_of(rows([at(3), at(1, "bob"), at(2, "bob"), at(1)], [at(4), at(5)]))
    assert groups.deciding == [0, 2, 5]
    assert groups.last == [3, 2, 5]
    assert groups.of_rows == [0, 1, 1, 0, 2, 2]
    assert groups.sizes == [2, 2, 2]


EVENTS = st.builds(
    at,
    st.integers(-3, 3),
    st.sampled_from(["ada", "bob", "eve"]),
    st.sampled_from(["click", "purchase", "identify", "intervention_outcome"]),
    is_system=st.booleans(),
    is_bot=st.booleans(),
    copied_event_id=st.sampled_from(["", "", "e"]),
)
RECORDS = st.lists(st.lists(EVENTS, min_size=1, max_size=6), min_size=1, max_size=6)


@given(RECORDS, st.sets(st.integers(1, 5)))
def test_groups_are_the_same_however_the_stream_is_cut(records: list[list[Event]], cuts: set[int]) -> None:
    whole = rows(*records)
    groups = groups_of(whole)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    offset, found = 0, Groups([], [], [], [], [], [])
    for start, end in itertools.pairwise(bounds):
        part = rows(*records[start:end])
        its, number = groups_of(part), len(found.deciding)
        found.of_rows.extend(number + each for each in its.of_rows)
        found.user_ids.extend(its.user_ids)
        found.deciding.extend(offset + row for row in its.deciding)
        found.last.extend(offset + row for row in its.last)
        found.sizes.extend(its.sizes)
        found.uses.extend(its.uses)
        offset += len(part.events)
    assert found == groups


@given(RECORDS)
def test_every_row_has_one_group_of_its_user_and_record(records: list[list[Event]]) -> None:
    whole = rows(*records)
    groups = groups_of(whole)
    whose = [(record, each.user_id) for record, each in zip(whole.record_indexes, whole.events, strict=True)]
    assert len(set(whose)) == len(groups.deciding)
    assert groups.deciding == sorted(groups.deciding)
    for row, number in enumerate(groups.of_rows):
        assert whose[row] == whose[groups.deciding[number]] == whose[groups.last[number]]
        assert row <= groups.last[number]
    assert sum(groups.sizes) == len(whole.events)
    uses = are_uses(whole.table)
    counted = Counter(number for number, is_use in zip(groups.of_rows, uses, strict=True) if is_use)
    assert groups.uses == [counted[number] for number in range(len(groups.sizes))]
    assert all(uses[row] == (groups.uses[number] > 0) for number, row in enumerate(groups.deciding))


def answer(count: int) -> features_pb2.ApplyEventsResponse:
    """Features' answer with so many vectors of two values and as many zones."""
    return features_pb2.ApplyEventsResponse(
        values=[float(number) for number in range(2 * count)],
        feature_count=2,
        time_zone_names=[f"zone-{number}" for number in range(count)],
        time_zones=range(1, count + 1),
        inputs=features_pb2.Inputs(
            names=["a", "b"],
            values=[float(number) for number in range(2 * count)],
            word_names=["c"],
            cells=range(count),
        ),
    )


@given(RECORDS)
def test_features_answers_by_the_last_rows_of_groups(records: list[list[Event]]) -> None:
    whole = rows(*records)
    groups = groups_of(whole)
    vectors = vectors_of(whole, groups, answer(len(groups.last)))
    places = [sorted(groups.last).index(row) for row in groups.last]
    assert list(vectors.values) == [float(2 * place + of) for place in places for of in (0, 1)]
    assert list(vectors.time_zones) == [f"zone-{place}" for place in places]
    assert list(vectors.inputs.values) == list(vectors.values)
    assert list(vectors.inputs.cells) == places


@given(RECORDS)
def test_features_that_cannot_read_tables_yet_is_waited_for(records: list[list[Event]]) -> None:
    whole = rows(*records)
    with pytest.raises(Unavailable):
        vectors_of(whole, groups_of(whole), answer(0))


def requests(
    groups: Groups, whole: Rows, applied: features_pb2.ApplyEventsResponse
) -> tuple[scoring_pb2.AssessUsersRequest, intervention_pb2.DecideInterventionsRequest]:
    position = position_pb2.BatchPosition(shard="0", sequences=["1"])
    vectors = vectors_of(whole, groups, applied)
    assessed = scoring_pb2.AssessUsersResponse(
        assessments=[scoring_pb2.Assessment(level=scoring_pb2.RISK_LEVEL_HIGH) for _ in groups.deciding]
    )
    asked = assess_request(position, whole, groups, applied, vectors)
    return asked, decide_request(position, whole, groups, applied, vectors, assessed)


def test_only_what_the_user_did_is_counted_as_such() -> None:
    hook, bot = at(2, is_system=True), at(3, "bob", is_bot=True)
    whole = rows([at(1), hook, at(4, kind="identify"), bot], [at(5)])
    asked, _ = requests(groups_of(whole), whole, answer(3))
    assert list(asked.event_counts) == [3, 1, 1]
    assert list(asked.use_counts) == [1, 0, 1]
    ordinary = rows([at(1), at(2)])
    assert not requests(groups_of(ordinary), ordinary, answer(1))[0].use_counts


def test_a_user_is_assessed_once_with_all_that_was_found_and_settled() -> None:
    whole = rows([at(1), at(1, "bob"), at(2, kind="task_success"), at(3)])
    groups, applied = groups_of(whole), answer(2)
    for row, seconds in ((0, 1), (1, 1), (3, 3)):
        applied.signals.add(row=row).signal.signal_time_us = seconds
    applied.settled.add(row=2, type=features_pb2.SIGNAL_TYPE_DEAD_CLICK)
    asked, decided = requests(groups, whole, applied)
    assert list(asked.user_ids) == ["bob", "ada"]
    assert list(asked.event_times_us) == [NOW_US + SECOND_US, NOW_US + 3 * SECOND_US]
    assert list(asked.event_counts) == [1, 3]
    assert [(each.row, each.signal.signal_time_us) for each in asked.signals] == [(0, 1), (1, 1), (1, 3)]
    assert [each.row for each in asked.settled] == [1]

    assert list(decided.decided_rows) == [1, 3]
    assert list(decided.decisions) == [1, 0, 1, 1]
    assert list(decided.event_ids) == ["bob-1", "ada-3"]
    assert list(decided.settled_rows) == [3]
    assert [each.row for each in decided.features] == [1, 3]


def test_where_each_is_alone_the_older_intervention_reads_what_it_knows() -> None:
    whole = rows([at(1), at(1, "bob")])
    assert groups_of(whole) == each_alone(whole)
    _, decided = requests(groups_of(whole), whole, answer(2))
    assert not decided.decided_rows
    assert not decided.decisions
