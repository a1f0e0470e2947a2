"""Effects happen once: the results for a stream do not depend on how it is cut into batches."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import FailedPrecondition, NotFound, Unavailable
from mesh.state import applied
from mesh.state.memory import MemoryState
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain.assessment import Assessment
from services.scoring.domain.history import Settled, Signal
from services.scoring.domain.schema import FEATURE_COUNT, Level, SignalType
from services.scoring.ports import Models
from services.scoring.states import JOURNALS
from services.scoring.usecases import Rows, Scoring
from tests.builders import NOW_US, SECOND_US
from tests.scoring.builders import MODELS, Fixed, OneTerm, batch, over, rows, signal, values


class Applied(NamedTuple):
    """One event of a stream: its record is its place in the stream."""

    user_id: str
    time_us: int
    values: list[float]
    signals: list[Signal]
    settled: frozenset[Settled] = frozenset()


VECTORS = st.lists(st.floats(0, 100, width=32), min_size=FEATURE_COUNT, max_size=FEATURE_COUNT)
TIMES = st.integers(NOW_US - 3600 * SECOND_US, NOW_US + 3600 * SECOND_US)
FEW_TIMES = st.integers(NOW_US // SECOND_US, NOW_US // SECOND_US + 3).map(lambda second: second * SECOND_US)
SIGNALS = st.builds(
    signal,
    st.sampled_from(list(SignalType)),
    st.floats(0, 100),
    FEW_TIMES | TIMES,
    target=st.sampled_from(["", "pay"]),
    run_start_us=st.sampled_from([0, 0, NOW_US]),
)
OVER = st.lists(st.builds(over, SIGNALS), max_size=3).map(frozenset)
EVENTS = st.builds(Applied, st.sampled_from("abc"), TIMES, VECTORS, st.lists(SIGNALS, max_size=2), OVER)


def cut_of(stream: Sequence[Applied]) -> Rows:
    found = {row: event.signals for row, event in enumerate(stream) if event.signals}
    settled = {row: event.settled for row, event in enumerate(stream) if event.settled}
    return rows([t.user_id for t in stream], [t.time_us for t in stream], [t.values for t in stream], found, settled)


async def run(scoring: Scoring, stream: Sequence[Applied], ends: Sequence[int]) -> list[Assessment]:
    answers: list[Assessment] = []
    for start, end in zip([0, *ends], ends, strict=False):
        assessed = await scoring.assess(cut_of(stream[start:end]), batch(*range(start, end)))
        answers += assessed.assessments
    return answers


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, min_size=2, max_size=40), st.data())
def test_the_cut_does_not_matter_to_the_last_bit(stream: list[Applied], data: st.DataObject) -> None:
    models = ModelDirectory(MODELS)
    cuts = data.draw(st.sets(st.integers(1, len(stream) - 1)))
    whole, parts = MemoryState(), MemoryState()
    expected = asyncio.run(run(Scoring(models, whole), stream, [len(stream)]))
    assert asyncio.run(run(Scoring(models, parts), stream, [*sorted(cuts), len(stream)])) == expected
    for user_id in {event.user_id for event in stream}:
        one, other = (asyncio.run(Scoring(models, store).read(user_id)) for store in (whole, parts))
        assert one == other


@settings(max_examples=30, deadline=None)
@given(st.lists(EVENTS, min_size=2, max_size=20))
def test_a_batch_that_comes_again_is_answered_again_and_counts_once(stream: list[Applied]) -> None:
    async def twice() -> None:
        store = MemoryState()
        scoring = Scoring(Fixed(OneTerm()), store)
        middle = len(stream) // 2
        await run(scoring, stream, [middle])
        again = cut_of(stream[middle:]), batch(*range(middle, len(stream)))
        first = await scoring.assess(*again)
        kept = await store.load(["a", "b", "c"])
        assert await scoring.assess(*again) == first
        assert await store.load(["a", "b", "c"]) == kept

    asyncio.run(twice())


async def test_a_batch_before_what_was_checkpointed_is_refused(models: Models) -> None:
    scoring = Scoring(models, MemoryState())
    one = rows(["ada"], [NOW_US], [values()])
    for sequence in (1, 2, 3):
        await scoring.assess(one, batch(sequence))
    with pytest.raises(FailedPrecondition) as refused:
        await scoring.assess(one, batch(1))
    assert refused.value.reason == "POSITION_STALE"


async def test_another_schema_is_refused_and_leaves_nothing(models: Models) -> None:
    scoring = Scoring(models, MemoryState())
    with pytest.raises(Unavailable, match="FEATURE_SCHEMA_MISMATCH"):
        await scoring.assess(rows(["ada"], [NOW_US], [values()])._replace(schema_version="features-0"), batch(1))
    with pytest.raises(NotFound):
        await scoring.read("ada")


async def test_an_assessment_of_newer_features_is_not_explained(models: Models) -> None:
    """After a rollback, and until the user's next event."""
    state = MemoryState()
    scoring = Scoring(models, state)
    await scoring.assess(rows(["ada"], [NOW_US], [values()]), batch(1))
    (blob,) = await state.load(["ada"])
    journal = JOURNALS.decode(applied.current(blob))
    journal.values, journal.schema_version = journal.values + bytes(8), "features-2"
    resumed = applied.resume(blob, batch(2))
    await state.save({"ada": applied.seal(resumed, JOURNALS.encode(journal), batch(2))}, None)
    with pytest.raises(Unavailable, match="FEATURE_SCHEMA_MISMATCH"):
        await scoring.read("ada")
    await scoring.assess(rows(["ada"], [NOW_US], [values()]), batch(3))
    assert (await scoring.read("ada")).journal.schema_version == "features-1"


async def test_indicators_come_with_medium_and_above_only(models: Models) -> None:
    scoring = Scoring(models, MemoryState())
    batch_rows = rows(["ada", "bob"], [NOW_US, NOW_US], [values(), values()], {1: [signal()]})
    calm, troubled = (await scoring.assess(batch_rows, batch(1))).assessments
    assert (calm.risk.level, calm.indicators) == (Level.LOW, ())
    assert troubled.risk.level is Level.HIGH
    assert troubled.indicators[0].name == "repeated_failures"


async def test_a_read_returns_the_assessment_with_all_its_contributions(models: Models) -> None:
    scoring = Scoring(models, MemoryState())
    batch_rows = rows(["ada"], [NOW_US], [values()], {0: [signal()]})
    (answered,) = (await scoring.assess(batch_rows, batch(1))).assessments
    read = await scoring.read("ada")
    assert read.explained.assessment == answered
    assert sum(part.points for part in read.explained.contributions) == pytest.approx(answered.risk.score, abs=1e-9)


async def test_a_model_promoted_later_does_not_change_what_is_explained(models: Models) -> None:
    store = MemoryState()
    (answered,) = (await Scoring(models, store).assess(rows(["ada"], [NOW_US], [values()]), batch(1))).assessments
    read = await Scoring(Fixed(OneTerm()), store).read("ada")
    assert read.explained.assessment.risk == answered.risk
    assert read.journal.model_version == models.served().tenants[""].live.card.version


async def test_a_signal_counts_for_later_events_until_its_lifetime_ends(models: Models) -> None:
    scoring = Scoring(models, MemoryState())
    minutes = (0, 29, 30)
    batch_rows = rows(["ada"] * 3, [NOW_US + m * 60 * SECOND_US for m in minutes], [values()] * 3, {0: [signal()]})
    levels = [answer.risk.level for answer in (await scoring.assess(batch_rows, batch(1))).assessments]
    assert levels == [Level.HIGH, Level.HIGH, Level.LOW]


async def test_an_empty_batch_is_answered_empty(models: Models) -> None:
    empty = rows([], [], [])._replace(values=rows(["ada"], [NOW_US], [values()]).values[:0])
    assert (await Scoring(models, MemoryState()).assess(empty, batch(1))).assessments == []
