"""The watch is killed after each of its effects in turn; the one that takes over repeats what it must, and no more."""

import asyncio
import functools
import itertools
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest
from journeymesh.experiments.v1 import experiments_pb2 as wire
from journeymesh.experiments.v1.experiments_pb2_grpc import (
    ExperimentsServiceStub,
    add_ExperimentsServiceServicer_to_server,
)

from mesh import webhook
from mesh.observability import telemetry
from mesh.process.server import serving
from mesh.rpc import channel
from mesh.store import redis
from mesh.webhook import Webhook
from services.analytics.adapters.messenger import WebhookMessenger
from services.analytics.adapters.watched import RedisWatches
from services.analytics.domain.question import DAY_US
from services.analytics.domain.watched import Watched
from tests.analytics.dying import watch_for_a_while
from tests.analytics.test_telling import MINUTE_US, SECRET
from tests.builders import NOW_US
from tests.gateway.fakes import experiments
from tests.intervention.receiver import Receiver

if TYPE_CHECKING:
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub

OFF: Final = telemetry.off()
THEN_US: Final = NOW_US + DAY_US
OPENED: Final = "acme.20260102T0900-users.opened"
DIGEST: Final = "acme.digest.2026-01-02"
BUDGET: Final = "acme.budget.20260102-100-of-5.0"
# The judgement, the alarm, and for pausing, post, digest and budget a claim, the message and what came of it; a
# judgement and a quiet day of the default tenant.
LEAST_EFFECTS: Final = 2 + 4 * 3


async def died(store_url: str, url: str, target: str, count: int) -> bool:
    """Whether a process that watches was killed after so many effects, and did not end before."""
    arguments = [store_url, url, target, str(THEN_US), str(count)]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.analytics.dying", *arguments)
    code = await process.wait()
    assert code in {0, -signal.SIGKILL}
    return code != 0


async def careful(stub: "ExperimentsServiceAsyncStub", name: str) -> None:
    """An experiment that runs, and pauses when an incident opens."""
    definition = wire.ExperimentDefinition(
        experiment_id=name,
        arms=[wire.ExperimentArm(name=each, weight=1, value=each) for each in ("control", "new")],
        metrics=[wire.ExperimentMetric(name="sold")],
        min_outcomes=100,
        smallest_effect=0.1,
        pauses_on_incident=True,
    )
    await stub.CreateExperiment(wire.CreateExperimentRequest(tenant="acme", definition=definition, actor="ann"))
    await started(stub, name)


async def started(stub: "ExperimentsServiceAsyncStub", name: str) -> None:
    action = wire.EXPERIMENT_ACTION_START
    await stub.ChangeExperiment(
        wire.ChangeExperimentRequest(tenant="acme", experiment_id=name, action=action, actor="ann")
    )


async def states(stub: "ExperimentsServiceAsyncStub", name: str) -> list[int]:
    """All that an experiment went through."""
    asked = wire.GetExperimentRequest(tenant="acme", experiment_id=name)
    return [each.state for each in (await stub.GetExperiment(asked)).experiment.history]


@pytest.mark.processes
async def test_wherever_the_watch_is_killed_an_incident_opens_once_is_told_and_pauses_once(
    server: redis.Client, valkey_url: str
) -> None:
    repeated: Counter[str] = Counter()
    for count in itertools.count(1):
        await server.flushall()
        store = RedisWatches(server)
        assert await store.replace("acme", Watched(since_us=1), 0)
        servicer = experiments()
        async with (
            serving(
                "127.0.0.1:0", [functools.partial(add_ExperimentsServiceServicer_to_server, servicer)], [], {}, OFF
            ) as port,
            channel.dial(f"127.0.0.1:{port}", OFF) as dialled,
            Receiver().serving() as receiver,
            webhook.client() as client,
        ):
            stub = ExperimentsServiceStub(dialled)
            await careful(stub, "ramp")
            is_dead = await died(valkey_url, receiver.url, f"127.0.0.1:{port}", count)
            was_paused = wire.EXPERIMENT_STATE_PAUSED in await states(stub, "ramp")
            if was_paused:
                # Somebody starts it again, and is not overruled by who takes over.
                await started(stub, "ramp")
            # What was claimed waits for five minutes.
            then_us = THEN_US + 6 * MINUTE_US
            posting = WebhookMessenger(Webhook(client, receiver.url, SECRET, lambda: THEN_US))
            await watch_for_a_while(store, posting, stub, then_us, itertools.count())
            (its,) = (await store.read("acme")).watched.insights
            (alarm,) = (await store.read("acme")).watched.alarms
            posts = Counter(each.headers["webhook-id"] for each in receiver.received)
            history = await states(stub, "ramp")
        assert its.insight_id == "20260102T0900-users"
        assert {(each.kind, each.state) for each in its.messages} == {("paused", "sent"), ("opened", "sent")}
        assert alarm.message is not None
        assert alarm.message.state == "sent"
        assert history.count(wire.EXPERIMENT_STATE_PAUSED) == 1
        assert (history[-1] == wire.EXPERIMENT_STATE_RUNNING) == was_paused
        # Once each; twice, with the same id, where nobody wrote down that it was taken.
        assert {*posts} == {OPENED, DIGEST, BUDGET}
        repeated += Counter({key: number - 1 for key, number in posts.items()})
        assert sum(posts.values()) <= 4
        if not is_dead:
            assert sum(posts.values()) == 3
            break
    assert count > LEAST_EFFECTS
    assert repeated == {OPENED: 1, DIGEST: 1, BUDGET: 1}
