"""Runs a model once for all calls that wait for it.

A run costs the same for one row as for sixteen, and hands the interpreter's lock around. Nobody waits for others to
come: a run begins as soon as the event loop has read what has arrived.
"""

import asyncio
from typing import Final, NamedTuple

import numpy as np

from services.scoring.ports import Matrix, Model, Prediction

_MOST_ROWS: Final = 10_000
"""Of a run of several calls."""


class _Call(NamedTuple):
    rows: Matrix
    answer: "asyncio.Future[Prediction]"


class Together:
    """The calls that wait, by their model."""

    def __init__(self) -> None:
        self._waiting: dict[Model, list[_Call]] = {}

    async def predict(self, model: Model, rows: Matrix) -> Prediction:
        """What the model says of the rows; raises what the model raises."""
        loop = asyncio.get_running_loop()
        if model not in self._waiting:
            self._waiting[model] = []
            loop.call_soon(self._run, model)
        call = _Call(rows, loop.create_future())
        self._waiting[model].append(call)
        return await call.answer

    def _run(self, model: Model) -> None:
        """Runs the model once. What does not fit waits for the next turn, so that others have theirs between."""
        calls = [call for call in self._waiting.pop(model) if not call.answer.done()]
        count, row_count = 0, 0
        while count < len(calls) and (not count or row_count + len(calls[count].rows) <= _MOST_ROWS):
            row_count += len(calls[count].rows)
            count += 1
        if calls[count:]:
            self._waiting[model] = calls[count:]
            asyncio.get_running_loop().call_soon(self._run, model)
        if count:
            _answer(model, calls[:count])


def _answer(model: Model, calls: list[_Call]) -> None:
    try:
        prediction = model.predict(np.concatenate([call.rows for call in calls]))
    except Exception as error:  # noqa: BLE001 - each caller raises it
        for call in calls:
            call.answer.set_exception(error)
        return
    row_bytes = len(prediction.packed_terms) // max(len(prediction.probabilities), 1)
    begin = 0
    for call in calls:
        end = begin + len(call.rows)
        terms = prediction.packed_terms[begin * row_bytes : end * row_bytes]
        call.answer.set_result(Prediction(prediction.probabilities[begin:end], terms))
        begin = end
