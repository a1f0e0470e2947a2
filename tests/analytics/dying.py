"""A process that watches, tells and pauses once, and is killed after so many of its effects.

    python -m tests.analytics.dying STORE_URL WEBHOOK_URL EXPERIMENTS_TARGET NOW_US EFFECTS

An effect is what others see: a change in the store, a post, a call of the experiments service. It is killed before it
learns what came of the last one. With fewer effects than that it ends by itself.
"""

import asyncio
import contextlib
import datetime as dt
import itertools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceStub

from mesh import webhook
from mesh.observability import telemetry
from mesh.rpc import channel
from mesh.store import redis
from mesh.webhook import Webhook
from services.analytics.adapters.messenger import WebhookMessenger
from services.analytics.adapters.pausing import PeerPausing
from services.analytics.adapters.watched import RedisWatches
from services.analytics.domain import telling
from services.analytics.domain.alarms import BudgetDay, DueAlarm
from services.analytics.domain.digest import Digest
from services.analytics.domain.question import DAY_US
from services.analytics.domain.telling import Due, Sent
from services.analytics.domain.watched import Watched
from services.analytics.ports import Messenger, WatchStore
from services.analytics.watching import Plan, Tellers, Watching
from tests.analytics.test_telling import OPEN, SECRET, Told, found
from tests.builders import NOW_US

if TYPE_CHECKING:
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub

PASSES: Final = 3


class DyingStore(RedisWatches):
    """Counts changes."""

    def __init__(self, client: redis.Client, effects: Iterator[int]) -> None:
        super().__init__(client)
        self._effects = effects

    async def replace(self, tenant: str, watched: Watched, seen: int) -> bool:
        is_done = await super().replace(tenant, watched, seen)
        next(self._effects)
        return is_done


class DyingTeller:
    """Counts what is told."""

    def __init__(self, incidents: Messenger, posting: WebhookMessenger, effects: Iterator[int]) -> None:
        self._incidents, self._posting, self._effects = incidents, posting, effects

    async def send(self, tenant: str, due: Due) -> Sent:
        sent = await self._incidents.send(tenant, due)
        next(self._effects)
        return sent

    async def send_digest(self, tenant: str, digest: Digest) -> Sent:
        sent = await self._posting.send_digest(tenant, digest)
        next(self._effects)
        return sent

    async def send_alarm(self, tenant: str, due: DueAlarm) -> Sent:
        sent = await self._posting.send_alarm(tenant, due)
        next(self._effects)
        return sent


class Spent:
    """One tenant has used more than its day may cost."""

    async def budget_days(self, tenant: str) -> Sequence[BudgetDay]:
        return [BudgetDay(NOW_US // DAY_US * DAY_US, 5.0, 6.0)] if tenant == "acme" else ()


def dying_after(count: int) -> Iterator[int]:
    """Numbers of effects; this process is killed at the last one."""
    for number in itertools.count(1):
        if number >= count:
            os.kill(os.getpid(), signal.SIGKILL)
        yield number


async def watch_for_a_while(
    store: WatchStore,
    posting: WebhookMessenger,
    stub: "ExperimentsServiceAsyncStub",
    now_us: int,
    effects: Iterator[int],
) -> None:
    """Judges a few times, as the service does, while an incident is open."""
    posts = DyingTeller(posting, posting, effects)
    incidents: dict[str, Messenger] = {telling.PAUSED: DyingTeller(PeerPausing(stub), posting, effects)}
    tellers = Tellers(incidents | dict.fromkeys(telling.KINDS, posts), posts, posts)
    figures = Told(found(OPEN), now_us)
    plan = Plan(is_for_all=True, digest_at=dt.time(8))
    watching = Watching(figures, store, lambda: figures.now_us, plan, tellers=tellers, budgets=Spent())
    for _ in range(PASSES):
        await watching.judge()
        await watching.look_at_budgets()
        figures.now_us += 60_000_000


async def main(arguments: Sequence[str]) -> None:
    """Runs by the arguments."""
    store_url, url, target, now, count = arguments
    effects = dying_after(int(count))
    async with (
        contextlib.aclosing(redis.connect(store_url)) as client,
        webhook.client() as http,
        channel.dial(target, telemetry.off()) as dialled,
    ):
        posting = WebhookMessenger(Webhook(http, url, SECRET, lambda: int(now)))
        store = DyingStore(client, effects)
        await watch_for_a_while(store, posting, ExperimentsServiceStub(dialled), int(now), effects)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
