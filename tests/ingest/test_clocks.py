"""A machine whose clock is set by two hours: nothing is late by it, and nobody is refused."""

import dataclasses
from typing import Any

import pytest

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from tests.builders import event
from tests.ingest.harness import ACCEPTED, OWNER, Harness, running

HOURS_2_US = 2 * 3_600_000_000


def delays(metrics: Metrics) -> float:
    """The sum of the decision delays that were reported, in seconds."""
    name = f"{registry.DECISION_DELAY.name}_sum"
    (line,) = [line for line in metrics.render().decode().splitlines() if line.startswith(name)]
    return float(line.rpartition(" ")[2])


async def dispatched(harness: Harness, metrics: Metrics, step_us: int) -> Any:
    """The standing after a batch was applied by a dispatcher whose machine's clock was set."""
    dispatcher = dataclasses.replace(harness.dispatcher, clock=lambda: harness.time() + step_us, metrics=metrics)
    assert (await harness.accept(event("a"))).verdicts == [ACCEPTED]
    shard = (await harness.receipt("a")).position.shard
    lease = await harness.leases.acquire(shard, OWNER)
    assert lease is not None
    harness.time.now_us += 1_500_000
    await dispatcher.advance(lease, await harness.leases.checkpoint(shard))
    return (await harness.leases.standings())[shard]


@pytest.mark.parametrize("step_us", [0, HOURS_2_US, -HOURS_2_US])
async def test_a_dispatcher_is_as_late_as_its_records_are_old_to_the_stream(step_us: int) -> None:
    metrics = Metrics()
    async with running() as harness:
        standing = await dispatched(harness, metrics, step_us)
    assert standing.lag_seconds == 1.5
    assert delays(metrics) == 1.5
