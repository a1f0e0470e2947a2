"""Joining requests into RPCs: order, limits, verdicts per request, errors for all."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import error_reason_pb2
from journeymesh.ingest.v1 import ingest_pb2
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.accepting.coalescer import Coalescer, Submission, Verdicts
from gateway.accepting.rows import Rows
from gateway.http.shares import Shares
from mesh.errors import Internal, InvalidArgument, Unavailable
from mesh.observability import semconv, telemetry
from tests.gateway.fakes import events_of, rows_of

SPAN = (bytes(range(16)), bytes(range(8)))
ADDRESS = "198.51.100.1"


class Ingest:
    """Records what comes; refuses events of the user `bad`; takes a few turns of the loop."""

    def __init__(self) -> None:
        self.requests: list[ingest_pb2.AcceptEventsRequest] = []
        self.underway = self.most_underway = 0
        self.error: Exception | None = None
        self.arrived = asyncio.Event()

    async def __call__(self, message: bytes) -> ingest_pb2.AcceptEventsResponse:
        self.underway += 1
        self.most_underway = max(self.most_underway, self.underway)
        request = ingest_pb2.AcceptEventsRequest.FromString(message)
        self.requests.append(request)
        self.arrived.set()
        if len(request.unreadable) > 1_000:
            raise InvalidArgument("REQUEST_TOO_LARGE", "Too many unreadable events.")
        for _ in range(3):  # others come meanwhile
            await asyncio.sleep(0)
        self.underway -= 1
        if self.error is not None:
            raise self.error
        response = ingest_pb2.AcceptEventsResponse()
        for index, event in enumerate(events_of(request)):
            is_bad = event.user_id == "bad"
            response.verdicts.append(ingest_pb2.VERDICT_REJECTED if is_bad else ingest_pb2.VERDICT_ACCEPTED)
            if is_bad:
                reason = error_reason_pb2.ERROR_REASON_MISSING_FIELD
                response.rejections.add(event_index=index, reason=reason, detail=event.event_id)
        return response


def request_of(ids: Sequence[str], users: Sequence[str]) -> Submission:
    others = ingest_pb2.AcceptEventsRequest()
    others.unreadable.add(event_id=f"unreadable-{ids[0] if ids else ''}")
    return Submission(rows_of(ids, users), 50 * len(ids), others)


users = st.lists(st.sampled_from(["good", "bad"]), max_size=5)


@given(st.lists(users, min_size=1, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12), st.integers(1, 8))
async def test_order_is_kept_and_each_gets_its_own_verdicts(
    batches: list[list[str]], waits: list[bool], max_events: int
) -> None:
    ingest = Ingest()
    coalescer = Coalescer(ingest, telemetry.off(), max_events, Shares(1_000_000, 1_000_000))
    tasks: list[asyncio.Task[Verdicts]] = []
    sent: list[str] = []
    for number, (batch, wait) in enumerate(zip(batches, waits, strict=False)):
        ids = [f"{number}-{index}" for index in range(len(batch))]
        sent += ids
        tasks.append(asyncio.create_task(coalescer.accept(request_of(ids, batch), SPAN, ADDRESS)))
        if wait:
            await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks)
    assert [event.event_id for request in ingest.requests for event in events_of(request)] == sent
    assert sum(len(request.unreadable) for request in ingest.requests) == len(batches)
    assert ingest.most_underway == 1
    for request in ingest.requests:
        assert len(events_of(request)) <= max(max_events, 5)
    for number, (batch, answer) in enumerate(zip(batches, answers, strict=True)):
        refused = [index for index, user in enumerate(batch) if user == "bad"]
        assert [index for index, verdict in enumerate(answer.verdicts) if verdict == 3] == refused
        assert [(each.event_index, each.detail) for each in answer.rejections] == [
            (index, f"{number}-{index}") for index in refused
        ]


async def test_a_lone_request_goes_at_once_and_those_meanwhile_go_together() -> None:
    ingest = Ingest()
    coalescer = Coalescer(ingest, telemetry.off(), 2_000, Shares(1_000_000, 1_000_000))
    first = asyncio.create_task(coalescer.accept(request_of(["a"], ["u"]), SPAN, ADDRESS))
    await ingest.arrived.wait()
    others = [asyncio.create_task(coalescer.accept(request_of([str(n)], ["u"]), SPAN, ADDRESS)) for n in range(20)]
    await asyncio.gather(first, *others)
    assert [len(events_of(request)) for request in ingest.requests] == [1, 20]


@pytest.mark.parametrize("counts", [[100] * 11, [500, 500, 1], [520] * 4, [1_000, 1, 1_000]])
async def test_what_others_sent_that_is_no_event_never_costs_anybody_theirs(counts: list[int]) -> None:
    ingest = Ingest()
    coalescer = Coalescer(ingest, telemetry.off(), 5_000, Shares(1_000_000, 1_000_000))
    first = asyncio.create_task(coalescer.accept(request_of(["first"], ["u"]), SPAN, ADDRESS))
    await ingest.arrived.wait()
    unreadable = ingest_pb2.UnreadableEvent()
    garbage = [
        Submission(Rows(), 0, ingest_pb2.AcceptEventsRequest(unreadable=[unreadable] * count)) for count in counts
    ]
    requests = [*garbage, Submission(rows_of(["victim"]), 50, ingest_pb2.AcceptEventsRequest())]
    answers = await asyncio.gather(*(coalescer.accept(each, SPAN, ADDRESS) for each in requests))
    assert answers[-1].verdicts == [ingest_pb2.VERDICT_ACCEPTED]
    assert (await first).verdicts == [ingest_pb2.VERDICT_ACCEPTED]
    assert sum(len(each.unreadable) for each in ingest.requests) == sum(counts) + 1


async def test_an_error_reaches_everybody_and_the_next_go_on() -> None:
    ingest = Ingest()
    coalescer = Coalescer(ingest, telemetry.off(), 2_000, Shares(1_000_000, 1_000_000))
    ingest.error = Unavailable("DEPENDENCY_UNAVAILABLE", "Gone.")
    tasks = [coalescer.accept(request_of([str(n)], ["u"]), SPAN, ADDRESS) for n in range(3)]
    assert all(isinstance(each, Unavailable) for each in await asyncio.gather(*tasks, return_exceptions=True))
    ingest.error = None
    assert (await coalescer.accept(request_of(["a"], ["u"]), SPAN, ADDRESS)).verdicts == [ingest_pb2.VERDICT_ACCEPTED]


async def test_verdicts_that_do_not_match_are_given_to_nobody() -> None:
    async def short(message: bytes) -> ingest_pb2.AcceptEventsResponse:
        return ingest_pb2.AcceptEventsResponse(verdicts=[ingest_pb2.VERDICT_ACCEPTED])

    coalescer = Coalescer(short, telemetry.off(), 2_000, Shares(1_000_000, 1_000_000))
    with pytest.raises(Internal):
        await coalescer.accept(request_of(["a", "b"], ["u", "u"]), SPAN, ADDRESS)


async def test_a_client_that_hangs_up_does_not_affect_others() -> None:
    ingest = Ingest()
    coalescer = Coalescer(ingest, telemetry.off(), 2_000, Shares(1_000_000, 1_000_000))
    leaving, staying = (
        asyncio.create_task(coalescer.accept(request_of([name], ["u"]), SPAN, ADDRESS)) for name in ("leaves", "stays")
    )
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).verdicts == [ingest_pb2.VERDICT_ACCEPTED]


async def test_the_span_of_an_rpc_belongs_to_the_first_and_links_to_the_others() -> None:
    exporter = InMemorySpanExporter()
    traced = telemetry.exporting("gateway", exporter)
    coalescer = Coalescer(Ingest(), traced, 2_000, Shares(1_000_000, 1_000_000))
    spans = [(bytes([n]) * 16, bytes([n]) * 8) for n in (1, 2, 3)]
    await asyncio.gather(
        *(coalescer.accept(request_of([str(n)], ["u"]), span, ADDRESS) for n, span in enumerate(spans))
    )
    traced.provider.force_flush()
    span: ReadableSpan
    (span,) = exporter.get_finished_spans()
    assert span.name == semconv.SPAN_COALESCE
    assert span.parent is not None
    assert span.parent.trace_id.to_bytes(16, "big") == spans[0][0]
    assert [link.context.trace_id.to_bytes(16, "big") for link in span.links] == [spans[1][0], spans[2][0]]
    assert span.attributes is not None
    assert span.attributes[semconv.EVENT_COUNT] == 3
    traced.close()


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_the_span_of_an_rpc_is_recorded_where_a_request_is(ratio: float) -> None:
    exporter = InMemorySpanExporter()
    traced = telemetry.exporting("gateway", exporter, ratio)
    coalescer = Coalescer(Ingest(), traced, 2_000, Shares(1_000_000, 1_000_000))
    unrecorded = [(bytes([n]) * 16, b"") for n in (1, 2)]
    await asyncio.gather(*(coalescer.accept(request_of(["a"], ["u"]), span, ADDRESS) for span in unrecorded))
    spans = [*unrecorded, SPAN]
    await asyncio.gather(*(coalescer.accept(request_of(["b"], ["u"]), span, ADDRESS) for span in spans))
    traced.provider.force_flush()
    (span,) = exporter.get_finished_spans()
    assert span.parent is not None
    assert span.parent.trace_id.to_bytes(16, "big") == SPAN[0]
    assert not span.links
    traced.close()
