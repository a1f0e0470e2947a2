"""Logs: one line an entry, for a person at a terminal or as JSON for a machine."""

import dataclasses
import logging
import sys

import msgspec
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
    def format(self, record: logging.LogRecord) -> str:
        span = trace.get_current_span().get_span_context()
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if span.is_valid:
            entry["traceId"] = trace.format_trace_id(span.trace_id)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


def start(settings: LogSettings) -> None:
    """Sends this process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    is_json = settings.format == "json"
    handler.setFormatter(_JsonFormatter() if is_json else logging.Formatter("%(levelname)-7s %(message)s"))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler])
    for noisy in ("grpc", "asyncio", "httpx", "uvicorn.access", "botocore", "aiobotocore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
