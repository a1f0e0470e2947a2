"""Logs: one line an entry, for a person at a terminal or as JSON for a machine; of many alike one a second."""

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
    """Where an exception came from, and its kind: without its words, which may be a user's."""
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
        return json.dumps(entry)  # in ASCII: what is no text, as half a surrogate, would be no line at all


_PERIOD_SECONDS: Final = 1.0
_MOST_KINDS: Final = 32

_Kind = tuple[str, object]


class _Limited(logging.StreamHandler[TextIO]):
    """Shows one warning or error of a kind in a second; those left out are counted, and told when it is over.

    Of one kind are those of a logger whose words before their values are the same. So nobody fills a disk with bad
    requests. What is below a warning is shown always.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._left_out: dict[_Kind, int] = {}
        """By the kinds that were shown within the last second."""
        self._guarded = threading.Lock()

    def handle(self, record: logging.LogRecord) -> bool:
        """Shows or counts an entry."""
        if record.levelno < logging.WARNING:
            return bool(super().handle(record))
        with self._guarded:
            kind: _Kind = record.name, record.msg
            if kind not in self._left_out and len(self._left_out) >= _MOST_KINDS:
                kind = record.name, None  # words that are never the same
            if kind in self._left_out:
                self._left_out[kind] += 1
                return False
            self._begin(kind, record)
        return bool(super().handle(record))

    def _begin(self, kind: _Kind, record: logging.LogRecord) -> None:
        self._left_out[kind] = 0
        timer = threading.Timer(_PERIOD_SECONDS, self._end, [kind, record])
        timer.daemon = True
        timer.start()

    def _end(self, kind: _Kind, record: logging.LogRecord) -> None:
        with self._guarded:
            count = self._left_out.pop(kind)
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
