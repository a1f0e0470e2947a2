"""Every pattern and parser for clients' input takes time linear in its length.

Times are compared with each other, never with a clock: an input of eight times the length may take eight times as long,
and some more for noise. What is quadratic takes sixty-four times as long.
"""

import contextlib
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.accepting.rows import Rows
from gateway.formats import cloudevents, native, reading
from gateway.formats.json import lenient, mending, refusal
from gateway.formats.json.cutting import cut
from gateway.formats.json.lenient import ignore
from gateway.formats.native import EventSink
from gateway.formats.reading import reader_of
from gateway.formats.segment import batch as segment_batch
from gateway.formats.segment import context, names, values
from gateway.formats.segment.reader import Reader
from gateway.formats.values import money, pages, purchases, vocabulary
from gateway.http import cors, parameters
from gateway.routes import segment
from gateway.routes.router import Router
from gateway.routes.table import ROUTES
from mesh.errors import MeshError
from tests.gateway.running import NOW_US

STAMP = native.Stamp(NOW_US, bytes(16), bytes(8))
LARGE = 512 * 1024
HEAD = 64 * 1024
TIMES = 8
# Beside noise: what is short is soon done, whatever it costs to begin.
SLACK = 3
SOON_SECONDS = 0.0005

# Repeated, these are what makes parsers look again and again at the same.
PIECES = [
    *(
        b'"',
        b"[]",
        b"[",
        b"]",
        b"{",
        b"}{",
        b'{"a":',
        b"[1",
        b",",
        b"\\",
        b'\\"',
        b'"\\',
        b'",',
        b'"a":',
        b"[[],",
        b"][",
    ),
    *(
        b"NaN",
        b"NaN,",
        b"-",
        b"-Infinity",
        b"N",
        b"I",
        b"\\ud800",
        b"\\ud83d\\ude00",
        b"\\u",
        b"\\ud",
        b"\xff",
        b"\xed\xa0\x80",
    ),
    *(
        b" ",
        b"\n",
        b"1",
        b"1e",
        b"a",
        b"A",
        b"aA",
        b"_",
        b".",
        b"/",
        b"?",
        b"#",
        b"%",
        b"%41",
        b"://",
        b"+",
        b"a+",
        b"a.",
        b":",
    ),
    *(
        b"0-",
        b"2026-",
        b"-1",
        b"'",
        b"1,",
        b"1 ",
        b"(",
        b"$",
        b"x, ",
        b"a-b,",
        "٣".encode(),
        "\u200b".encode(),
        "é".encode(),
    ),
]
ROUTER = Router(ROUTES)
ORIGINS = cors.origins("https://*.example, http://localhost:*, https://*.a.example:*")


def drop(**_members: object) -> None:
    """Adds an event to nothing."""


def as_text(payload: bytes) -> str:
    return payload.decode("utf-8", "replace").replace("\x00", "")


def scope(name: bytes, value: bytes) -> dict[str, Any]:
    return {"headers": [(b"host", b"a"), (name, value), (b"origin", b"https://a.example")], "method": "OPTIONS"}


def event(raw: bytes) -> object:
    return native.read_event(raw, EventSink(drop, STAMP, str, ignore))


def message(raw: bytes) -> object:
    return Reader().read(raw, EventSink(drop, STAMP, str, ignore))


def cloud(raw: bytes) -> object:
    return cloudevents.read(raw, EventSink(drop, STAMP, str, ignore))


def within(begin: bytes, end: bytes) -> Callable[[bytes], bytes]:
    return lambda inside: begin + inside + end


def in_text(inside: bytes) -> bytes:
    """What can stand in a text of JSON."""
    return as_text(inside).replace("\\", "").replace('"', "").encode()


MESSAGE = b'{"type":"track","userId":"ada","event":"%s"'
PARSERS: dict[str, tuple[int, Callable[[bytes], object]]] = {
    "cutting a member": (LARGE, lambda raw: cut(b'{"x":1,"events":[' + raw + b"]}", b"events", 500)),
    "cutting behind others": (LARGE, lambda raw: cut(b'{"x":[' + raw + b'],"events":[1]}', b"events", 500)),
    "cutting an array": (LARGE, lambda raw: cut(b"[" + raw + b"]", b"", 500)),
    "a body": (LARGE, native.split),
    "a batch": (LARGE, lambda raw: native.split(b'{"events":[' + raw + b"]}")),
    "Segment's batch": (LARGE, lambda raw: segment_batch.split(b'{"batch":[' + raw + b'],"sentAt":1}')),
    "what is beside Segment's batch": (LARGE, lambda raw: segment_batch.split(b'{"batch":[NaN],"x":' + raw + b"}")),
    "mending": (LARGE, mending.mend),
    "mending a text": (LARGE, lambda raw: mending.mend(b'"' + raw)),
    "depth": (native.MAX_EVENT_BYTES, lambda raw: refusal.require_plain(b'{"x":' + raw + b"}")),
    "an event": (native.MAX_EVENT_BYTES, event),
    "properties": (
        native.MAX_EVENT_BYTES,
        lambda raw: event(b'{"userId":"a","eventType":"purchase","properties":{"amount":' + raw + b"}}"),
    ),
    "a text in properties": (
        native.MAX_EVENT_BYTES,
        lambda raw: event(b'{"userId":"a","eventType":"purchase","properties":{"amount":"' + in_text(raw) + b'"}}'),
    ),
    "a context": (
        native.MAX_EVENT_BYTES,
        lambda raw: event(b'{"userId":"a","eventType":"error","context":{"deviceId":' + raw + b"}}"),
    ),
    "a message": (native.MAX_EVENT_BYTES, message),
    "a message's name": (native.MAX_EVENT_BYTES, lambda raw: message(MESSAGE % in_text(raw) + b"}")),
    "a message's user": (
        native.MAX_EVENT_BYTES,
        lambda raw: message(b'{"type":"page","name":"n","userId":' + raw + b"}"),
    ),
    "a message's page": (
        native.MAX_EVENT_BYTES,
        lambda raw: message(
            MESSAGE % b"e" + b',"context":{"page":{"path":"%s","url":"%s"}}}' % ((in_text(raw)[:9000],) * 2)
        ),
    ),
    "a CloudEvent": (native.MAX_EVENT_BYTES, cloud),
    "a CloudEvent's attributes": (
        native.MAX_EVENT_BYTES,
        lambda raw: cloud(
            b'{"specversion":"1.0","id":"%s","source":"%s","type":"t","datacontenttype":"application/%s","traceparent":"%s"}'
            % ((in_text(raw)[:4000],) * 4)
        ),
    ),
    "ids of what is none": (native.MAX_EVENT_BYTES, reading.salvage_ids),
    "the format of what is none": (native.MAX_EVENT_BYTES, reader_of),
    "a name": (LARGE, lambda raw: names.meaning(as_text(raw))),
    "a type": (LARGE, lambda raw: vocabulary.is_of_system(as_text(raw))),
    "words": (HEAD, lambda raw: vocabulary.SYSTEM.fullmatch(vocabulary.words(as_text(raw)))),
    "an address": (LARGE, lambda raw: pages.address({"url": as_text(raw), "path": as_text(raw)})),
    "a search": (
        LARGE,
        lambda raw: pages.address({"path": as_text(raw), "search": as_text(raw), "hash": as_text(raw)}),
    ),
    "two addresses": (LARGE, lambda raw: pages.fuller(f"/{as_text(raw)}", f"/{as_text(raw)}?a")),
    "a page by its name": (LARGE, lambda raw: pages.named(f"/{as_text(raw)}/", as_text(raw), as_text(raw))),
    "a page by its title": (LARGE, lambda raw: pages.marked(f"/{as_text(raw)}", as_text(raw), as_text(raw))),
    "a time as in mails": (LARGE, lambda raw: values.time_if_any(f"Fri, {as_text(raw)[:50]}")),
    "a time": (LARGE, lambda raw: values.time(as_text(raw))),
    "a place": (LARGE, lambda raw: context.read(b'{"library":{"name":"%s"},"timezone":"%s"}' % ((in_text(raw),) * 2))),
    "an amount": (LARGE, lambda raw: money.amount(as_text(raw))),
    "an amount that is short": (64, lambda raw: money.amount(as_text(raw))),
    "a currency": (LARGE, lambda raw: money.currency(as_text(raw))),
    "no amount": (LARGE, lambda raw: money.NAMED_NO_NUMBER.search(b'"total" ' + raw)),
    "names of amounts": (
        native.MAX_EVENT_BYTES,
        lambda raw: purchases.purchase({as_text(raw): lenient.members(b'{"a":1}')["a"]}, purchases.SHOP_NAMES, ignore),
    ),
    "a number": (LARGE, lambda raw: lenient.number(as_text(raw))),
    "a text": (LARGE, lenient.text),
    "an origin": (HEAD, lambda raw: ORIGINS.allows("https://" + as_text(raw) + ".example")),
    "a preflight": (HEAD, lambda raw: cors.preflight(scope(b"access-control-request-headers", raw), ["GET"])),
    "a host": (HEAD, lambda raw: segment._asked({"headers": [(b"host", raw)]})),
    "a path": (HEAD, lambda raw: ROUTER.find(b"/api/users/" + raw + b"/risk")),
    "a longer path": (HEAD, lambda raw: ROUTER.find(b"/api/interventions/" + raw)),
    "a query": (HEAD, lambda raw: parameters.query({"query_string": b"limit=" + raw}, ["limit"])),
    "a cursor": (HEAD, lambda raw: parameters.cursor(as_text(raw), "cursor")),
    "an order": (LARGE, lambda raw: refusal.decoded(raw, event_shape, "{}")),
}
event_shape = dict[str, Any]


def seconds(parse: Callable[[bytes], object], piece: bytes, length: int) -> float:
    """The least time of a few, which is the one least disturbed."""
    given = (piece * (length // len(piece) + 1))[:length]
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        with contextlib.suppress(MeshError, UnicodeDecodeError, msgspec.DecodeError):
            parse(given)
        best = min(best, time.process_time() - began)
        if best < SOON_SECONDS:
            break
    return best


@pytest.mark.parametrize(("longest", "parse"), PARSERS.values(), ids=PARSERS)
def test_time_grows_no_faster_than_length(longest: int, parse: Callable[[bytes], object]) -> None:
    slow = {}
    for piece in PIECES:
        long = seconds(parse, piece, longest)
        if long < SOON_SECONDS:
            continue
        short = seconds(parse, piece, longest // TIMES)
        if long > TIMES * SLACK * max(short, SOON_SECONDS / TIMES):
            slow[piece] = (short, long)
    assert not slow


def test_the_check_would_detect_quadratic_cost() -> None:
    quadratic = re.compile(rb"\d+x")
    with pytest.raises(AssertionError):
        test_time_grows_no_faster_than_length(10_000, quadratic.search)


async def test_a_request_of_the_worst_kind_is_no_dearer_than_its_bytes() -> None:
    """The broken bodies that were dear: a full one may cost what a full good one costs, a few times over."""
    good = (
        b'{"events":['
        + b",".join([b'{"userId":"ada","eventType":"session_start","properties":{"a":"b"}}'] * 500)
        + b"]}"
    )
    began = time.process_time()
    for _ in range(20):
        rows = Rows()
        for raw in native.split(good):
            native.read_event(raw, EventSink(rows.add, STAMP, str, ignore))
    a_byte = (time.process_time() - began) / 20 / len(good)
    for piece in PIECES:
        body = b'{"events":[' + (piece * LARGE)[: LARGE - 13] + b"]}"
        assert seconds(native.split, body, len(body)) < 5 * a_byte * LARGE, piece
