"""What little may cost: the time of every pattern that meets a client's text, and what is kept of the unusable."""

import itertools
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from journeymesh.common.v1 import error_reason_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import InvalidArgument, ResourceExhausted
from services.ingest.accept.domain import device, page, placeholder, text, validation
from services.ingest.accept.ports import Progress
from services.ingest.events.domain.event import Event
from tests.builders import NOW_US, event
from tests.ingest.harness import ACCEPTED, REJECTED, running
from tests.ingest.test_tenants import of

WORST: dict[str, tuple[Callable[[str], object], str]] = {
    "agent of digits": (lambda sent: device.recognized(1, sent), "7"),
    "agent of words": (lambda sent: device.recognized(1, sent), "a.b"),
    "agent of bots that are none": (lambda sent: device.recognized(1, sent), "bota."),
    "agent of androids": (lambda sent: device.recognized(1, sent), "android "),
    "marks on one letter": (lambda sent: text.cleaned(sent, len(sent)), "\u0323\u0301"),
    "control characters": (lambda sent: text.cleaned(sent, len(sent)), "a\n "),
    "parameters": (lambda sent: page.page_of(sent, page.PageRules()), "/?&a=1"),
    "schemes": (lambda sent: page.page_of(sent, page.PageRules()), "a:/"),
    "relative": (lambda sent: page.page_of(sent, page.PageRules()), "a?="),
    "slashes": (lambda sent: page.page_of(sent, page.PageRules()), "/"),
    "encoded": (lambda sent: page.page_of("/" + sent, page.PageRules()), "%c3%A9%CC%81"),
    "encoded marks": (lambda sent: page.page_of("/" + sent, page.PageRules()), "%CC%A3%CC%81"),
    "broken codes": (lambda sent: page.page_of("/" + sent, page.PageRules()), "%C3"),
    "percent signs": (lambda sent: page.page_of("/" + sent, page.PageRules()), "%%4"),
    "sessions": (lambda sent: page.page_of("/" + sent, page.PageRules()), ";sid=/"),
    "signs of sessions": (lambda sent: page.page_of("/" + sent, page.PageRules()), ";jsessionid"),
    "hosts": (lambda sent: page.page_of("//" + sent + " ", page.PageRules()), ".:"),
    "encoded parameters": (lambda sent: page.page_of("/?" + sent, page.PageRules()), "&%41+=%e9"),
    "templates": (placeholder.is_placeholder, "{{ "),
    "templates that begin": (placeholder.is_placeholder, "%a_"),
    "templates of many kinds": (placeholder.is_placeholder, "${<{$("),
    "optionals": (placeholder.is_placeholder, "optional("),
    "words for nothing": (placeholder.is_placeholder, "undefined_"),
    "zeros": (placeholder.is_placeholder, "0_"),
    "wide zeros": (placeholder.is_placeholder, "\uff10\u0301"),
    "functions": (placeholder.is_placeholder, "function ("),
    "what an object is": (placeholder.is_placeholder, "[object "),
    "objects": (lambda sent: validation.reject(cast("Event", event(properties=sent.encode())), NOW_US), '{"a":['),
}


@pytest.mark.parametrize(("judge", "piece"), WORST.values(), ids=WORST)
def test_the_worst_text_costs_time_in_proportion_to_its_length(judge: Callable[[str], object], piece: str) -> None:
    def seconds(size: int) -> float:
        sent = piece * (size // len(piece))
        best = float("inf")
        for attempt in range(5):
            began = time.thread_time()
            judge(f"{sent}{attempt}")
            best = min(best, time.thread_time() - began)
        return best

    # Eight times as long: eight times the time if it is linear, 64 times if it is quadratic.
    assert seconds(16_000) < 24 * seconds(2_000) + 0.0005


def unreadable(count: int, size: int) -> ingest_pb2.AcceptEventsRequest:
    return ingest_pb2.AcceptEventsRequest(
        unreadable=[ingest_pb2.UnreadableEvent(reason=1, payload=bytes(size)) for _ in range(count)]  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("count", "size"), [(1_001, 1), (200, 32 * 1024), (1, 32 * 1024 + 1)])
async def test_more_unreadable_events_than_may_be_kept_are_refused(count: int, size: int) -> None:
    async with running() as harness:
        with pytest.raises(InvalidArgument, match="unreadable"):
            await harness.stub.AcceptEvents(unreadable(count, size))
        assert not (await harness.failed.list(10, ""))[0]


LONG: dict[str, dict[str, Any]] = {
    "a detail": {"detail": "x" * 1_001},
    "a detail of megabytes": {"detail": "x" * 12_000_000},
    "an event's id": {"event_id": "x" * 101},
    "a user's id": {"user_id": "x" * 129},
    "a trace": {"trace_id": bytes(17)},
}


@pytest.mark.parametrize("members", LONG.values(), ids=LONG)
async def test_what_is_told_of_an_unreadable_event_is_bounded_too(members: dict[str, Any]) -> None:
    async with running() as harness:
        with pytest.raises(InvalidArgument) as refused:
            await harness.accept(event("a"), unreadable=[ingest_pb2.UnreadableEvent(payload=b"{", **members)])
        assert refused.value.reason == "REQUEST_TOO_LARGE"
        assert not (await harness.failed.list(10, ""))[0]
        longest = {"detail": "x" * 1_000, "event_id": "x" * 100, "user_id": "x" * 128, "trace_id": bytes(16)}
        sent = ingest_pb2.UnreadableEvent(payload=bytes(32 * 1024), **cast("Any", longest))
        assert (await harness.accept(event("a"), unreadable=[sent])).verdicts == [ACCEPTED]


async def test_a_request_is_bounded_as_a_whole() -> None:
    async with running() as harness:
        with pytest.raises(InvalidArgument) as refused:
            await harness.accept(*[event(f"{number}", properties=b" " * 32_000) for number in range(270)])
        assert refused.value.reason == "REQUEST_TOO_LARGE"
        many = [ingest_pb2.UnreadableEvent(detail="x" * 1_000, payload=bytes(4_000)) for _ in range(900)]
        with pytest.raises(InvalidArgument, match="unreadable"):
            await harness.accept(unreadable=many)


LARGE = b'{"a":"' + b"x" * 30_000 + b'"}'
HUGE: dict[str, dict[str, Any]] = {
    "properties": {"properties": b'{"a":"' + b"x" * 1_000_000 + b'"}'},
    "an event's id": {"event_id": "x" * 1_000_000},
    "a user's id": {"user_id": "x" * 1_000_000},
    "a session's": {"session_id": "s" * 1_000_000, "page": ""},
}


@pytest.mark.parametrize("members", HUGE.values(), ids=HUGE)
async def test_what_is_kept_of_a_refused_event_is_bounded(members: dict[str, Any]) -> None:
    async with running() as harness:
        assert (await harness.accept(event(**members))).verdicts == [REJECTED]
        ((kept,), _) = await harness.failed.list(10, "")
        assert len(kept.payload) <= 40 * 1024
        assert (len(kept.event_id) <= 100, len(kept.user_id) <= 128) == (True, True)


@pytest.mark.parametrize("letter", ["x", "é", "語", "😀", "\x00"])
async def test_a_list_tells_the_beginning_of_each_payload_and_the_single_read_all(letter: str) -> None:
    async with running() as harness:
        payload = ("-" + letter * 8_000).encode()
        await harness.accept(unreadable=[ingest_pb2.UnreadableEvent(payload=payload, reason=cast("Any", 1))])
        await harness.accept(unreadable=[ingest_pb2.UnreadableEvent(payload=b"short", reason=cast("Any", 1))])
        asked = ingest_pb2.ListFailedEventsRequest(payload_bytes=1_024)
        short, long = (await harness.stub.ListFailedEvents(asked)).failed_events
        assert (short.payload, short.is_payload_cut) == ("short", False)
        assert payload.decode().startswith(long.payload)
        assert 1_020 < len(long.payload.encode()) <= 1_024
        assert long.is_payload_cut
        whole = (await harness.stub.GetFailedEvent(ingest_pb2.GetFailedEventRequest(id=long.id))).failed_event
        assert (whole.payload, whole.is_payload_cut) == (payload.decode(), False)
        # An older gateway asks for all.
        sent = (await harness.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())).failed_events
        assert [one.payload for one in sent] == ["short", payload.decode()]


async def test_no_list_of_failed_events_is_large() -> None:
    async with running() as harness:
        for number in range(20):
            await harness.accept(*[event(f"{number}-{each}", page="", properties=LARGE) for each in range(10)])
        asked = ingest_pb2.ListFailedEventsRequest(page_size=100, payload_bytes=1_024)
        answer = await harness.stub.ListFailedEvents(asked)
        assert answer.ByteSize() < 64 * 1024
        assert answer.next_page_token
        payloads = [b"\xff" * 5_000, b"\x80" * 5_000, b"x" * 1_023 + b"\xf0\x9f\x98"]
        await harness.accept(unreadable=[ingest_pb2.UnreadableEvent(payload=each) for each in payloads])
        assert (await harness.stub.ListFailedEvents(asked)).ByteSize() < 64 * 1024


@pytest.mark.parametrize("ids", [{"span_id": bytes(1_000_000)}, {"trace_id": bytes(1_000_000)}, {"span_id": b"x"}])
async def test_a_trace_that_is_none_is_left_out_of_what_is_accepted(ids: dict[str, Any]) -> None:
    async with running() as harness:
        assert (await harness.accept(event("a", **ids))).verdicts == [ACCEPTED]
        await harness.dispatch()
        (made,) = harness.events()
        assert made.span_id == b""


EXTREMES = [-(1 << 63), -(1 << 62), -1, 0, 1, 253_402_300_799_999_999, 1 << 62, (1 << 63) - 1]


@pytest.mark.parametrize("received_us", [0, NOW_US, -(1 << 63), (1 << 63) - 1])
async def test_no_time_whatever_costs_another_event(received_us: int) -> None:
    async with running() as harness:
        for number, (event_us, sent_us) in enumerate(itertools.product(EXTREMES, [*EXTREMES, NOW_US])):
            odd = event(f"odd-{number}", event_time_us=event_us, sent_time_us=sent_us, received_time_us=received_us)
            answer = await harness.accept(event(f"good-{number}"), odd, event(f"after-{number}"))
            assert (answer.verdicts[0], answer.verdicts[2]) == (ACCEPTED, ACCEPTED)
            if abs(event_us) > 1 << 61:
                assert answer.verdicts[1] == REJECTED
                assert answer.rejections[0].reason in {
                    error_reason_pb2.ERROR_REASON_INVALID_TIME,
                    error_reason_pb2.ERROR_REASON_TIME_IN_FUTURE,
                }
        await harness.dispatch()
        await harness.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())


@pytest.mark.parametrize("received_us", EXTREMES)
async def test_no_time_of_receipt_of_what_is_unreadable_costs_the_list(received_us: int) -> None:
    async with running() as harness:
        await harness.accept(event("good"))
        kept = await harness.set_aside("good")
        odd = ingest_pb2.UnreadableEvent(reason=1, payload=b"{", received_time_us=received_us)  # type: ignore[arg-type]
        await harness.accept(unreadable=[odd])
        listed = (await harness.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())).failed_events
        assert kept in {one.id for one in listed}
        assert {one.failed_time.ToMicroseconds() for one in listed} == {NOW_US}


async def test_what_is_refused_never_pushes_out_what_was_accepted() -> None:
    async with running() as harness:
        await harness.accept(event("good"))
        kept = await harness.set_aside("good")
        for number in range(20):
            await harness.accept(*[event(f"{number}-{each}", page="") for each in range(600)])
        listed: list[str] = []
        token = ""
        while token or not listed:
            page, token = await harness.failed.list(20_000, token)
            listed += [one.id for one in page]
        assert kept in listed
        assert len(set(listed)) == len(listed) == 10_001


class Full:
    """A progress that knows the list of what was set aside to be full."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.is_so = True
        self.tenants = frozenset[str]()

    def lag_seconds(self) -> float | None:
        return None

    def is_full(self) -> bool:
        return self.is_so

    def full_tenants(self) -> frozenset[str]:
        return self.tenants

    async def checkpoint(self, shard: str) -> int:
        return await self.progress.checkpoint(shard)


async def test_intake_pauses_and_says_so_while_as_much_is_set_aside_as_may_be() -> None:
    async with running() as harness:
        full = Full(harness.ingest.progress)
        async with running(progress=full) as paused:
            with pytest.raises(ResourceExhausted, match="set-aside events is full") as refused:
                await paused.accept(event("a"))
            assert refused.value.reason == "BUFFER_FULL"
            full.is_so = False
            assert (await paused.accept(event("a"))).verdicts == [ACCEPTED]


async def test_intake_pauses_for_a_tenant_that_has_its_share_of_what_is_set_aside_and_for_no_other() -> None:
    async with running() as harness:
        full = Full(harness.ingest.progress)
        full.is_so, full.tenants = False, frozenset({"acme"})
        async with running(progress=full) as paused:
            answer = await paused.accept(
                of("acme", event("a")), of("acme", event("a")), of("other", event("b")), of("acme", event("c", page=""))
            )
            assert answer.verdicts == [REJECTED, REJECTED, ACCEPTED, REJECTED]
            assert {one.reason for one in answer.rejections} == {error_reason_pb2.ERROR_REASON_BUFFER_FULL}
            listed = await paused.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())
            assert not listed.failed_events
            full.tenants = frozenset()
            assert (await paused.accept(of("acme", event("a")))).verdicts == [ACCEPTED]
