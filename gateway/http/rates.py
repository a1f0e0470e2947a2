"""How much keys and tenants may send and ask for, in units: an event costs one, and so does any other request.

This is the generic cell rate algorithm (ITU-T I.371): one number is kept per limit, when it is full again. A request is
admitted if a unit is left, and pays for all its events once they are counted. So no batch is taken in part: one that is
larger than what is left takes the limit below zero, and the next request waits longer. Gateways share a limit: each
reports to the access service what it let pass, and the answer tells what all of them did. Without an answer each
gateway keeps the limit by itself.
"""

import asyncio
import dataclasses
import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mesh.clock import SECOND_US, Clock
from mesh.errors import ResourceExhausted
from mesh.observability import registry
from mesh.observability.metrics import Metrics

Headers = tuple[tuple[bytes, bytes], ...]


class Limit(NamedTuple):
    """Units per second in the long run, and at once after a pause; `burst` is at least `per_second`.

    Clients know it by its `policy`, gateways by its `holder`.
    """

    policy: str
    holder: str
    per_second: int
    burst: int


@dataclasses.dataclass(slots=True)
class _Standing:
    """Where a limit stands, in exact numbers: microseconds times units per second, which are millionths of units."""

    full: int = 0
    """When it is full."""
    unreported: int = 0
    """Units."""
    is_news: bool = False

    def missing(self, limit: Limit, now_us: int) -> int:
        """Millionths of units until the limit is full."""
        return max(self.full - now_us * limit.per_second, 0)

    def spend(self, limit: Limit, units: int, now_us: int) -> None:
        """Spends units, whether they are left or not."""
        self.full = max(self.full, now_us * limit.per_second) + units * SECOND_US
        self.unreported += units
        self.is_news = True


class Rates:
    """What is left of each limit. `has_news` is set while there is something to report.

    Args:
        monotonic: microseconds since some moment.
        metrics: counts the requests that are refused.
    """

    def __init__(self, monotonic: Clock, metrics: Metrics) -> None:
        self._monotonic = monotonic
        self._metrics = metrics
        self._standings: defaultdict[Limit, _Standing] = defaultdict(_Standing)
        self.has_news = asyncio.Event()

    def __len__(self) -> int:
        """The number of limits that are known not to be full."""
        return len(self._standings)

    def admit(self, limits: Sequence[Limit]) -> None:
        """Spends one unit of each limit, or none of any.

        Raises:
            ResourceExhausted: `RATE_LIMITED`, nothing is left of one of them.
        """
        now_us = self._monotonic()
        refusal = self._refusal(limits, now_us)
        if refusal is not None:
            raise refusal
        for limit in limits:
            self._standings[limit].spend(limit, 1, now_us)

    def refusal(self, limits: Sequence[Limit]) -> ResourceExhausted | None:
        """The error of `admit`, counted as a refused request; None if a unit of each limit is left. Spends nothing."""
        return self._refusal(limits, self._monotonic())

    def _refusal(self, limits: Sequence[Limit], now_us: int) -> ResourceExhausted | None:
        self.has_news.set()
        for limit in limits:
            standing = self._standings[limit]
            over = standing.missing(limit, now_us) - (limit.burst - 1) * SECOND_US
            if over > 0:
                standing.is_news = True  # others may have spent less than it seems
                self._metrics.count(registry.RATE_LIMITED_REQUESTS, 1, limit.policy)
                detail = f"The {limit.policy} may send and ask for {limit.per_second} events and requests per second."
                return ResourceExhausted("RATE_LIMITED", detail, over / limit.per_second / SECOND_US)
        return None

    def spend(self, limits: Sequence[Limit], units: int) -> None:
        """Spends units of each limit, whether they are left or not."""
        if limits and units:
            now_us = self._monotonic()
            self.has_news.set()
            for limit in limits:
                self._standings[limit].spend(limit, units, now_us)

    def headers(self, limits: Sequence[Limit]) -> Headers:
        """What is left of the limits, for clients; none without limits.

        As draft-ietf-httpapi-ratelimit-headers-11 has it. `t` is after how many seconds a limit is full again.
        """
        if not limits:
            return ()
        now_us = self._monotonic()
        told = [_told(limit, self._standings[limit].missing(limit, now_us)) for limit in limits]
        return ((b"ratelimit", b", ".join(told)), (b"ratelimit-policy", _policies(tuple(limits))))

    def take_unreported(self) -> Mapping[Limit, int]:
        """What was spent of each limit since the last call: units, 0 where a request was refused.

        Limits that are full are forgotten.
        """
        self.has_news.clear()
        taken = {limit: each.unreported for limit, each in self._standings.items() if each.is_news}
        now_us = self._monotonic()
        for limit, standing in [*self._standings.items()]:
            standing.unreported, standing.is_news = 0, False
            if not standing.missing(limit, now_us):
                del self._standings[limit]
        return taken

    def settle(self, limit: Limit, full_in_us: int) -> None:
        """Records after how many microseconds a limit is full, by all that was reported."""
        standing = self._standings[limit]
        standing.full = (self._monotonic() + full_in_us) * limit.per_second + standing.unreported * SECOND_US


def _told(limit: Limit, missing: int) -> bytes:
    left = max(limit.burst - -(-missing // SECOND_US), 0)
    seconds = -(-missing // (limit.per_second * SECOND_US))
    return b'"%b";r=%d;t=%d' % (limit.policy.encode(), left, seconds)


@functools.lru_cache(4096)
def _policies(limits: tuple[Limit, ...]) -> bytes:
    policies = (f'"{each.policy}";q={each.burst};w={-(-each.burst // each.per_second)}' for each in limits)
    return ", ".join(policies).encode()
