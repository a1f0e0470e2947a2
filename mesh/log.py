"""Logs: one line an entry, for a person at a terminal or as JSON for a machine."""

import dataclasses
import datetime as dt
import json
import logging
import sys

from opentelemetry import trace

from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class LogSettings:
    """How logs look."""

    format: str = setting("JOURNEYMESH_LOG_FORMAT", "text", "How log lines look.", choices=("text", "json"))
    level: str = setting(
        "JOURNEYMESH_LOG_LEVEL",
        "info",
        "The least level that is logged.",
        choices=("debug", "info", "warning", "error"),
    )


class _JsonFormatter(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        span = trace.get_current_span().get_span_context()
        time = dt.datetime.fromtimestamp(record.created, dt.UTC)
        entry = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if span.is_valid:
            entry["traceId"] = trace.format_trace_id(span.trace_id)
            entry["spanId"] = trace.format_span_id(span.span_id)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)  # in ASCII: what is no text, as half a surrogate, would be no line at all


def start(service: str, settings: LogSettings) -> None:
    """Sends this process's log to standard error.

    Args:
        service: the process's name, as its traces have it.
        settings: how it looks.
    """
    handler = logging.StreamHandler(sys.stderr)
    is_json = settings.format == "json"
    handler.setFormatter(_JsonFormatter(service) if is_json else logging.Formatter("%(levelname)-7s %(message)s"))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler])
    for noisy in ("grpc", "asyncio", "httpx", "uvicorn.access", "botocore", "aiobotocore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
