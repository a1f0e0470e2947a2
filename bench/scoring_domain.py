"""What one event costs the scoring service: `python -m bench.scoring_domain`.

The use case with state in memory and the live model, 100 rows a request of 60 users; calm users alone, and with every
tenth event bringing a signal. With the translation from and to the wire besides.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast

from journeymesh.common.v1 import position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.scoring.v1 import scoring_pb2 as wire

from mesh import applied
from mesh.metrics import Metrics
from mesh.states.memory import MemoryState
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain.schema import SCHEMA_VERSION
from services.scoring.servicer import ScoringServicer
from services.scoring.translation import rows_of
from services.scoring.usecases import Rows, Scoring

ROWS: Final = 100
USERS: Final = 60
REQUESTS: Final = 500
ROUND: Final = 50
MODELS: Final = Path(__file__).parent.parent / "models" / "exit-risk"

Serve = Callable[[int], Awaitable[object]]
"""Serves the request of a number."""

_CALM: Final = (0.0, 0.0, 0.0, 90.0, 1.0, 0.0, 0.0, 1.0, 65.0, 20.0, 1.0, 4.0, 30.0)


def calm(row: int) -> tuple[float, ...]:
    """The features of somebody who gets on; no two rows are the same."""
    return (*_CALM[:9], float(row), *_CALM[10:])


def request(number: int, signal_every: int) -> wire.AssessUsersRequest:
    """A request of 100 rows; every `signal_every`th has a signal, none for 0."""
    start_us = 1_767_348_000_000_000 + number * 1_000_000
    rows = range(ROWS)
    signals = [
        features_pb2.SignalRow(
            row=row,
            signal=features_pb2.Signal(
                type=features_pb2.SIGNAL_TYPE_REPEATED_FAILURES,
                strength=78.4,
                reason="3 failed attempts on /calculator",
                evidence_event_ids=[f"evidence-{number}-{index}" for index in range(3)],
                detector_version="struggle-2",
                signal_time_us=start_us + row,
            ),
        )
        for row in (rows[::signal_every] if signal_every else ())
    ]
    return wire.AssessUsersRequest(
        position=position_pb2.BatchPosition(stream="events", shard="0", sequences=[str(number)]),
        user_ids=[f"user-{row % USERS}" for row in rows],
        event_times_us=[start_us + row for row in rows],
        values=[value for row in rows for value in calm(row)],
        feature_schema_version=SCHEMA_VERSION,
        signals=signals,
    )


async def measure(name: str, serve: Serve) -> None:
    """Prints the processor time an event costs; `serve` is given the number of the request."""
    spent = []
    for first in range(0, REQUESTS, ROUND):
        start = time.process_time()
        for number in range(first, first + ROUND):
            await serve(number)
        spent.append((time.process_time() - start) / ROUND / ROWS * 1e6)
    print(f"{name:56s} {min(spent):6.2f} us an event at best, {statistics.median(spent):6.2f} in the middle")


async def main() -> None:
    """Measures the use case alone, then with the translation."""
    models = ModelDirectory(MODELS)
    for name, signal_every in (("calm", 0), ("every 10th event a signal", 10)):
        requests = [request(number, signal_every) for number in range(REQUESTS)]
        prepared = [(rows_of(each), applied.batch(each.position)) for each in requests]
        sent = [each.SerializeToString() for each in requests]
        await measure(f"{name}: use case", _use_case(Scoring(models, MemoryState()), prepared))
        servicer = ScoringServicer(Scoring(models, MemoryState()), Metrics())
        await measure(f"{name}: use case and translation", _service(servicer, sent))


def _use_case(scoring: Scoring, prepared: Sequence[tuple[Rows, applied.Batch]]) -> Serve:
    return lambda number: scoring.assess(*prepared[number])


def _service(servicer: ScoringServicer, sent: Sequence[bytes]) -> Serve:
    async def serve(number: int) -> bytes:
        received = wire.AssessUsersRequest.FromString(sent[number])
        answer = await servicer.AssessUsers(received, cast("Any", None))
        return answer.SerializeToString()

    return serve


if __name__ == "__main__":
    asyncio.run(main())
