"""Shares the limits of keys and tenants with all other gateways, through the access service."""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from journeymesh.access.v1 import limits_pb2

from gateway.http.rates import Rates
from mesh.errors import Internal, MeshError
from mesh.observability import telemetry

if TYPE_CHECKING:
    from journeymesh.access.v1.limits_pb2_grpc import LimitsServiceAsyncStub

_INTERVAL_SECONDS: Final = 0.05
_AWAY_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


async def follow_limits(rates: Rates, service: "LimitsServiceAsyncStub") -> None:
    """Reports what is spent of limits and learns what others spent, 20 times a second at most, until cancelled.

    While the service is away, or older than this, what was spent is forgotten: each gateway keeps the limits by itself.
    """
    is_away = False
    while True:
        await rates.has_news.wait()
        try:
            with telemetry.unrecorded():
                await share_limits(rates, service)
            is_away = False
        except MeshError as error:
            if not is_away:
                _log.warning("each gateway keeps the limits of keys and tenants by itself: %s", error.detail)
            is_away = True
        await asyncio.sleep(_AWAY_SECONDS if is_away else _INTERVAL_SECONDS)


async def share_limits(rates: Rates, service: "LimitsServiceAsyncStub") -> None:
    """Reports once what was spent, and learns where those limits stand.

    Raises:
        MeshError: the service does not answer; what was spent may or may not be counted.
    """
    unreported = rates.take_unreported()
    spent = [
        limits_pb2.Spent(holder=limit.holder, per_second=limit.per_second, units=units)
        for limit, units in unreported.items()
    ]
    answer = await service.SpendUnits(limits_pb2.SpendUnitsRequest(spent=spent))
    if len(answer.full_in_us) != len(unreported):
        raise Internal("INTERNAL", "The access service answered about other limits than it was asked about.")
    for limit, full_in_us in zip(unreported, answer.full_in_us, strict=True):
        rates.settle(limit, full_in_us)
