"""Logs: one line per entry, as text or JSON; of warnings that are alike one per second."""

import copy
import dataclasses
import datetime as dt
import json
import logging
import sys
import threading
import traceback
from typing import Final, TextIO

from opentelemetry import trace

from mesh.settings import setting

_PERIOD_SECONDS: Final = 1.0
_MOST_KINDS: Final = 32
_Kind = tuple[str, object]


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


def fault(error: BaseException) -> str:
    """An exception's traceback and type, without its text, which may quote a user."""
    return "".join((*traceback.format_tb(error.__traceback__), type(error).__name__))


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
        return json.dumps(entry)  # in ASCII, because a lone surrogate could not be encoded


class _Limited(logging.StreamHandler[TextIO]):
    """Emits one warning or error of a kind per second, then how many were suppressed.

    A kind is a logger and a message before formatting. So bad requests cannot fill a disk. Entries below a warning are
    never suppressed.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._suppressed: dict[_Kind, int] = {}
        """By kind, for those emitted within the last second."""
        self._guarded = threading.Lock()

    def handle(self, record: logging.LogRecord) -> bool:
        """Emits or counts an entry."""
        if record.levelno < logging.WARNING:
            return bool(super().handle(record))
        with self._guarded:
            kind: _Kind = record.name, record.msg
            if kind not in self._suppressed and len(self._suppressed) >= _MOST_KINDS:
                kind = record.name, None  # messages that never repeat
            if kind in self._suppressed:
                self._suppressed[kind] += 1
                return False
            self._begin(kind, record)
        return bool(super().handle(record))

    def _begin(self, kind: _Kind, record: logging.LogRecord) -> None:
        self._suppressed[kind] = 0
        timer = threading.Timer(_PERIOD_SECONDS, self._end, [kind, record])
        timer.daemon = True
        timer.start()

    def _end(self, kind: _Kind, record: logging.LogRecord) -> None:
        with self._guarded:
            count = self._suppressed.pop(kind)
            if not count:
                return
            self._begin(kind, record)
        summary = copy.copy(record)
        summary.msg, summary.args = "%s (and %d more like it)", (record.getMessage(), count)
        summary.exc_info = summary.exc_text = None
        super().handle(summary)


def start(service: str, settings: LogSettings) -> None:
    """Sends this process's log to standard error.

    Args:
        service: the process's name, as its traces have it.
        settings: how it looks.
    """
    handler = _Limited()
    is_json = settings.format == "json"
    handler.setFormatter(_JsonFormatter(service) if is_json else logging.Formatter("%(levelname)-7s %(message)s"))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler])
    for noisy in ("grpc", "asyncio", "httpx", "uvicorn.access", "botocore", "aiobotocore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
