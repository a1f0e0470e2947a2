"""Logs as a machine reads them: what a process of its own writes to standard error."""

import datetime as dt
import json
import re
import subprocess
import sys
from typing import Any, Final

import pytest

PROGRAM: Final = """
import logging, sys
from mesh.observability import log, telemetry
log.start("scoring", log.LogSettings(format=sys.argv[1], level="info"))
said = logging.getLogger("some.module")
said.info("plain %s", "words")
said.debug("not wanted")
said.warning("two\\nlines, an é, half a surrogate \\udc80 and a quote \\"")
within = telemetry.within(telemetry.span_context(b"t" * 16, b""))
with telemetry.off().tracer.start_as_current_span("any", within):
    try:
        raise ValueError("bad\\nvalue")
    except ValueError:
        said.exception("failed")
logging.getLogger("asyncio").info("noise")
"""


def logged(form: str) -> str:
    """What the program writes, run at a zone that is not UTC."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, form], env={"TZ": "Asia/Tokyo"}, capture_output=True, text=True, check=True
    )
    assert ended.stdout == ""
    return ended.stderr


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged("json").splitlines()]


def test_each_entry_is_one_line(entries: list[dict[str, Any]]) -> None:
    assert [each["message"] for each in entries] == [
        "plain words",
        'two\nlines, an é, half a surrogate \udc80 and a quote "',
        "failed",
    ]
    assert [each["level"] for each in entries] == ["info", "warning", "error"]
    assert {(each["service"], each["logger"]) for each in entries} == {("scoring", "some.module")}


def test_the_time_is_utc_with_milliseconds(entries: list[dict[str, Any]]) -> None:
    for each in entries:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"])
        logged = dt.datetime.fromisoformat(each["time"])
        assert abs(dt.datetime.now(dt.UTC) - logged) < dt.timedelta(minutes=5)


def test_an_entry_within_a_span_has_its_ids_and_an_exception_its_story(entries: list[dict[str, Any]]) -> None:
    plain, _, failed = entries
    assert plain.keys() == {"time", "level", "service", "logger", "message"}
    assert failed["traceId"] == (b"t" * 16).hex()
    assert len(failed["spanId"]) == 16
    assert failed["exception"].startswith("Traceback")
    assert failed["exception"].endswith("ValueError: bad\nvalue")


FLOOD: Final = """
import logging, sys, threading
from mesh.observability import log
log.start("gateway", log.LogSettings(format="text", level="info"))
said, other = logging.getLogger("some.module"), logging.getLogger("another")
for number in range(5_000):
    said.warning("bad request %d", number)
    other.error(f"never the same {number}")
    if number % 1_000 == 0:
        said.info("sent %d", number)
        said.error("bad request of another kind")
for timer in threading.enumerate():
    if isinstance(timer, threading.Timer):
        timer.join()
"""


def test_of_many_alike_one_is_shown_and_the_others_are_counted() -> None:
    ended = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True)
    shown = [line.split(maxsplit=1)[1] for line in ended.stderr.splitlines()]
    first = shown.index("bad request 0")
    counted = [line for line in shown if line.startswith("bad request 0 (and ")]
    # A slow machine may need more than a second for them.
    suppressed = sum(int(line.split()[4]) for line in counted)
    begun = [line for line in shown if re.fullmatch(r"bad request \d+", line)]
    assert first < shown.index(counted[0])
    assert suppressed + len(begun) == 5_000
    assert len(begun) + len(counted) < 20
    assert [line for line in shown if line.startswith("sent")] == [
        f"sent {number}" for number in range(0, 5_000, 1_000)
    ]
    assert sum("of another kind" in line for line in shown) < 5


def test_words_that_are_never_the_same_are_bounded_too() -> None:
    ended = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True)
    assert ended.stderr.count("never the same") < 200


def test_a_person_reads_text() -> None:
    first, *_ = logged("text").splitlines()
    assert first == "INFO    plain words"
