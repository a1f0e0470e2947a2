"""Calls that wait at the same time share a run of the model, and each is answered as if it were alone."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain.schema import FEATURE_COUNT
from services.scoring.ports import Matrix, Model, Prediction
from services.scoring.together import Together
from tests.scoring.builders import OneTerm, values


class Counting(OneTerm):
    """A model that notes the rows of each run, and fails if it is told to."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.is_broken = False

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        self.runs.append(len(rows))
        if self.is_broken:
            raise OSError
        return super().predict(rows)


async def asked(together: Together, model: Model, calls: Sequence[Matrix]) -> list[Prediction]:
    return await asyncio.gather(*(together.predict(model, rows) for rows in calls))


def rows_of(count: int) -> Matrix:
    rows = [values(error_count=float(number), session_count=7.0) for number in range(count)]
    return np.array(rows).reshape(count, FEATURE_COUNT)


@settings(deadline=None)
@given(counts=st.lists(st.integers(0, 40), min_size=1, max_size=20))
def test_each_call_is_answered_to_the_bit_as_if_it_were_alone(models: ModelDirectory, counts: list[int]) -> None:
    model = models.live()
    calls = [rows_of(count)[::-1] for count in counts]
    assert asyncio.run(asked(Together(), model, calls)) == [model.predict(rows) for rows in calls]


async def test_one_run_serves_all_that_wait_and_a_later_call_has_its_own() -> None:
    together, model = Together(), Counting()
    await asked(together, model, [rows_of(1)] * 16)
    await asked(together, model, [rows_of(2)])
    assert model.runs == [16, 2]


async def test_a_run_of_several_calls_is_bounded() -> None:
    together, model = Together(), Counting()
    await asked(together, model, [rows_of(6_000), rows_of(4_000), rows_of(1), rows_of(10_000)])
    assert model.runs == [10_000, 1, 10_000]


async def test_others_have_their_turn_between_runs() -> None:
    together, model, runs = Together(), Counting(), list[int]()
    calls = [asyncio.create_task(together.predict(model, rows_of(10_000))) for _ in range(3)]
    while not all(each.done() for each in calls):
        await asyncio.sleep(0)
        runs.append(len(model.runs))
    assert {1, 2, 3} <= {*runs}


async def test_what_fails_is_told_to_all_that_waited_and_to_nobody_later() -> None:
    together, model = Together(), Counting()
    model.is_broken = True
    failed = await asyncio.gather(*(together.predict(model, rows_of(1)) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in failed] == [OSError] * 3
    model.is_broken = False
    assert len((await together.predict(model, rows_of(1))).probabilities) == 1


async def test_who_went_away_holds_nobody_up_and_costs_nothing() -> None:
    together, model = Together(), Counting()
    gone, waits = (asyncio.create_task(together.predict(model, rows_of(count))) for count in (5, 1))
    await asyncio.sleep(0)
    gone.cancel()
    assert len((await waits).probabilities) == 1
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert model.runs == [1]


async def test_models_are_not_mixed() -> None:
    together, first, second = Together(), Counting(), Counting()
    await asyncio.gather(together.predict(first, rows_of(1)), together.predict(second, rows_of(2)))
    assert (first.runs, second.runs) == ([1], [2])
