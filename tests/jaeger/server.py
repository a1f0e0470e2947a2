"""A real Jaeger as a process, and what its query API tells."""

import contextlib
import http
import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from mesh.observability import semconv
from tests.conftest import free_port

PROGRAM: Final = Path(__file__).parents[2] / ".tools" / "bin" / "jaeger"
_CONFIGURATION: Final = Path(__file__).parent / "jaeger.yaml"
_PATIENCE_SECONDS: Final = 30.0
# More than there are of one service; Jaeger gives the latest.
_MOST_TRACES: Final = 1500


class Id(NamedTuple):
    """A span's ids, as hexadecimal digits."""

    trace_id: str
    span_id: str


class Span(NamedTuple):
    """A span as Jaeger tells it; times are microseconds. The service is without its prefix."""

    id: Id
    parent: Id | None
    links: tuple[Id, ...]
    name: str
    service: str
    start_us: int
    duration_us: int
    tags: dict[str, Any]
    warnings: tuple[str, ...]

    @property
    def kind(self) -> str:
        """`client`, `server`, `consumer`, `internal`."""
        return str(self.tags.get("span.kind", "internal"))


class Jaeger(NamedTuple):
    """A Jaeger that runs."""

    url: str
    otlp_url: str

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace, the earliest first; none of an unknown one."""
        try:
            return _spans(self._get(f"/api/traces/{trace_id}"))
        except urllib.error.HTTPError as error:
            with error:
                if error.code != http.HTTPStatus.NOT_FOUND:
                    raise
            return []

    def everything(self) -> list[Span]:
        """All spans of all services."""
        found = dict[Id, Span]()
        for service in self._get("/api/services") or ():
            traces = self._get(f"/api/traces?service={service}&lookback=1h&limit={_MOST_TRACES}")
            assert len(traces) < _MOST_TRACES
            found |= {span.id: span for span in _spans(traces)}
        return list(found.values())

    def with_tag(self, service: str, name: str, value: str) -> list[Span]:
        """The spans of the traces in which a span of a service has a tag, as somebody who searches finds them."""
        tags = urllib.parse.quote(json.dumps({name: value}))
        return _spans(
            self._get(f"/api/traces?service={semconv.SERVICE_PREFIX}{service}&tags={tags}&lookback=1h&limit=20")
        )

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return json.load(response)["data"]


@contextlib.contextmanager
def running_jaeger(folder: Path) -> Iterator[Jaeger]:
    """A Jaeger on free ports that runs within the block and keeps its traces in memory."""
    query, otlp = free_port(), free_port()
    ports = {"QUERY": query, "QUERY_GRPC": free_port(), "OTLP": otlp}
    environment = os.environ | {f"JAEGER_{name}_PORT": str(port) for name, port in ports.items()}
    jaeger = Jaeger(f"http://127.0.0.1:{query}", f"http://127.0.0.1:{otlp}")
    with (folder / "jaeger.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "--config", _CONFIGURATION], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _await_answer(jaeger, process, folder / "jaeger.log")
        yield jaeger
    finally:
        process.kill()  # it keeps nothing, and may take half a minute to end by itself
        process.wait()


def _await_answer(jaeger: Jaeger, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        with contextlib.suppress(OSError):
            jaeger.everything()
            return
        time.sleep(0.05)


def _spans(traces: list[dict[str, Any]]) -> list[Span]:
    spans = [_span(span, trace["processes"]) for trace in traces for span in trace["spans"]]
    return sorted(spans, key=lambda span: span.start_us)


def _span(told: dict[str, Any], processes: dict[str, Any]) -> Span:
    references = [Id(each["traceID"], each["spanID"]) for each in told["references"]]
    # The first is the parent where there is one: a span that is linked to its parent is told to follow from it.
    has_parent = bool(references) and references[0].trace_id == told["traceID"]
    return Span(
        Id(told["traceID"], told["spanID"]),
        references[0] if has_parent else None,
        tuple(references[has_parent:]),
        told["operationName"],
        processes[told["processID"]]["serviceName"].removeprefix(semconv.SERVICE_PREFIX),
        told["startTime"],
        told["duration"],
        {each["key"]: each["value"] for each in told["tags"]},
        tuple(told["warnings"] or ()),
    )
