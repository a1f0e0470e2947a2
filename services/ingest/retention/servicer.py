"""The gRPC face of retention: translate, call, translate."""

import datetime as dt
from typing import Any, Final

from journeymesh.ingest.v1 import retention_pb2 as wire
from journeymesh.ingest.v1.retention_pb2_grpc import RetentionServiceServicer

from mesh.errors import InvalidArgument
from services.ingest.retention.domain.terms import Expiry, Forecast
from services.ingest.retention.usecases import Retention

_EPOCH: Final = dt.date(1970, 1, 1)


class RetentionServicer(RetentionServiceServicer):
    """Serves `RetentionService`."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention

    async def ForecastRetention(
        self, request: wire.ForecastRetentionRequest, context: Any
    ) -> wire.ForecastRetentionResponse:
        """Says what the pass of a day would delete."""
        return _message(await self._retention.forecast(_day(request.on)))


def _day(text: str) -> int | None:
    """A day counted from 1970; None for none.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`.
    """
    if not text:
        return None
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:  # ISO 8601 has other ways to write a day
        raise InvalidArgument("INVALID_PARAMETER", "A day is written as 2026-01-02.")
    return (day - _EPOCH).days


def _message(said: Forecast) -> wire.ForecastRetentionResponse:
    return wire.ForecastRetentionResponse(
        on=_text(said.on_day),
        expiries=map(_expiry, said.expiries),
        files=wire.ExpiredFiles(
            deleted_count=said.deleted_files,
            deleted_bytes=said.deleted_bytes,
            rewritten_count=said.rewritten_files,
            rewritten_bytes=said.rewritten_bytes,
        ),
    )


def _expiry(each: Expiry) -> wire.Expiry:
    return wire.Expiry(
        tenant=each.tenant,
        kind=each.kind,
        days=each.days,
        first_kept_day=_text(each.first_kept_day) if each.first_kept_day else "",
        row_count=each.row_count,
        byte_count=each.byte_count,
        deleted_file_count=each.deleted_files,
        rewritten_file_count=each.rewritten_files,
    )


def _text(day: int) -> str:
    return (_EPOCH + dt.timedelta(days=day)).isoformat()
