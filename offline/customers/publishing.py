"""Publishes on the stream which customers changed segment or group, and what is recommended to them.

What was published of a customer is kept, and compared with what the last fit says. So it does not matter how often
this is begun, or where it was ended: whoever is told as they are is passed over, and an event that is sent again has
the id that it had.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from mesh.errors import MeshError, ResourceExhausted, Unavailable
from mesh.state import keyed
from mesh.state.port import StateStore
from services.customers.domain import consumption, history, publishing
from services.customers.domain import fit as fits
from services.customers.domain.fit import Fit
from services.customers.domain.publishing import Published
from services.customers.domain.recommendations import Recommendation
from services.customers.domain.segments import SEGMENTS
from services.customers.ports import FitStore
from services.customers.states import PURCHASED

BATCH: Final = 500
"""Customers that are looked at, and events that are sent, at once."""
_EVENTS_PER_SECOND: Final = 500
_REST_SHARE: Final = 3
"""For so many times as long as ingest takes for events, nothing is sent."""
_DUE_DAYS: Final = 30
_RETRIES: Final = 150
_RETRY_SECONDS: Final = 2.0

Pause = Callable[[float], Awaitable[None]]


class Change(NamedTuple):
    """What is told of a customer, by their qualified id; empty where there is none, or was none."""

    user_id: str
    fitted_ms: int
    segment: str
    previous_segment: str
    group: str
    previous_group: str
    products: tuple[Recommendation, ...]


class Outcome(NamedTuple):
    """How many events are on the stream, and how many ingest refused, which are sent again the next time."""

    published: int
    refused: int


class Stream(Protocol):
    """Takes changes."""

    async def accept(self, changes: Sequence[Change]) -> Sequence[bool]:
        """Whether each change is on the stream; else ingest does not want it now, or not of this user.

        Raises:
            ResourceExhausted: ingest takes nothing now; nothing may be assumed accepted.
            Unavailable: likewise.
        """


async def publish(
    kept: FitStore,
    bought: StateStore,
    stream: Stream,
    tenant: str,
    progress: Callable[[float], None],
    pause: Pause = asyncio.sleep,
) -> Outcome:
    """Publishes what is new of a tenant's customers since it was published last.

    These are at most one per customer, and one per customer who has left. It sends at most 500 a second, and nothing
    while ingest takes nothing, for five minutes.

    Args:
        kept: the last fit, and what was published.
        bought: what each customer bought until now, from which products are recommended.
        stream: where to.
        tenant: whose customers; empty: the default tenant's.
        progress: is told which part of the customers was looked at, from 0 to 1.
        pause: waits for so many seconds.

    Raises:
        ResourceExhausted: ingest still takes nothing after five minutes.
        Unavailable: likewise, or the store cannot be reached.
    """
    fit = await kept.fit(tenant)
    if fit is None:
        return Outcome(0, 0)
    count = refused = looked = 0
    for segment in SEGMENTS:
        after = ""
        while names := await kept.members(tenant, segment, after, BATCH):
            after = names[-1]
            found = await _found(kept, bought, fit, tenant, segment, names)
            changes = [change for change, _ in found.values() if change]
            taken = await _sent(stream, changes, pause)
            count, refused = count + len(taken), refused + len(changes) - len(taken)
            done = {name: new for name, (change, new) in found.items() if change is None or name in taken}
            if done:
                await kept.publish(tenant, segment, done)
            looked += len(names)
            progress(min(looked / max(fit.customers, 1), 1.0))
    async for gone in kept.departed(tenant):
        left = [
            _change(fit, name, known, Published("", "", (), fit.fitted_ms, fit.fitted_ms), ())
            for name, known in gone.items()
        ]
        taken = await _sent(stream, left, pause)
        await kept.unpublish(tenant, sorted(taken))
        count, refused = count + len(taken), refused + len(left) - len(taken)
    return Outcome(count, refused)


async def _found(
    kept: FitStore, bought: StateStore, fit: Fit, tenant: str, segment: str, names: Sequence[str]
) -> Mapping[str, tuple[Change | None, Published]]:
    """What is to be kept as published of those of whom something may be new, and the change, if it is worth telling."""
    groups = await kept.groups(tenant, names)
    known = await kept.published(tenant, names)
    due = {
        name: (group, was)
        for name, group, was in zip(names, groups, known, strict=True)
        if publishing.is_due(was, segment, group, fit.fitted_ms)
    }
    await keyed.look(bought, seen := keyed.Seen(PURCHASED, due))
    found: dict[str, tuple[Change | None, Published]] = {}
    today = consumption.day_of(fit.fitted_ms)
    for name, (group, was) in due.items():
        its = history.history(seen.states[name])
        products = fits.recommended(fit, its, today, _DUE_DAYS, publishing.PRODUCTS)
        new = Published(segment, group, tuple(each.product for each in products), fit.fitted_ms, fit.fitted_ms)
        if publishing.is_change(was, new):
            found[name] = _change(fit, name, was, new, products), new
        elif was:
            found[name] = None, new._replace(products=was.products, told_ms=was.told_ms)
    return found


def _change(
    fit: Fit, user_id: str, was: Published | None, new: Published, products: tuple[Recommendation, ...]
) -> Change:
    previous = (was.segment, was.group) if was else ("", "")
    return Change(user_id, fit.fitted_ms, new.segment, previous[0], new.group, previous[1], products)


async def _sent(stream: Stream, changes: Sequence[Change], pause: Pause) -> frozenset[str]:
    """Sends changes; returns the users whose change is on the stream."""
    if not changes:
        return frozenset()
    now = asyncio.get_running_loop().time
    begun = now()
    accepted = await _accepted(stream, changes, pause)
    taken = now() - begun
    await pause(max(len(changes) / _EVENTS_PER_SECOND - taken, _REST_SHARE * taken))
    return frozenset(change.user_id for change, is_taken in zip(changes, accepted, strict=True) if is_taken)


async def _accepted(stream: Stream, changes: Sequence[Change], pause: Pause) -> Sequence[bool]:
    error: MeshError | None = None
    for _ in range(_RETRIES):
        try:
            return await stream.accept(changes)
        except (ResourceExhausted, Unavailable) as again:
            error = again
            await pause(again.retry_after_seconds or _RETRY_SECONDS)
    assert error is not None  # noqa: S101 - it was tried
    raise error
