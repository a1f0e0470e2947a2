"""One trace from the POST to the decision, across the stream: all services in this process, one exporter, real gRPC."""

import asyncio
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from mesh import semconv
from tests.e2e.house import applied, event, housed

# Who calls whom while an event goes through the mesh; ARCHITECTURE.md tells it in words.
EDGES: Final = {
    ("gateway", "ingest"),
    ("ingest-dispatcher", "video"),
    ("ingest-dispatcher", "features"),
    ("ingest-dispatcher", "scoring"),
    ("ingest-dispatcher", "intervention"),
}


def service(span: ReadableSpan) -> str:
    return str(span.resource.attributes["service.name"]).removeprefix(semconv.SERVICE_PREFIX)


async def test_one_trace_leads_from_the_post_to_the_decision() -> None:
    async with housed() as house:
        beat: dict[str, Any] = {"videoId": "v", "action": "heartbeat", "positionSeconds": 10, "watchedSeconds": 10}
        batch = [
            event(1, "page_view", page="/calculator"),
            event(2, "video_playback", **beat),
            event(3, "struggle_signal", page="/calculator", attempts=3),
        ]
        answer = (await house.client.post("/api/events/track", json={"events": batch})).json()
        receipt = await applied(house, "ada-3")
        (decision, *_) = (await house.client.get(f"/api/decisions?traceId={answer['traceId']}")).json()["decisions"]
        spans = [
            span for span in house.spans() if span.context and f"{span.context.trace_id:032x}" == answer["traceId"]
        ]

    assert receipt["traceId"] == decision["traceId"] == answer["traceId"]
    assert receipt["decisionId"] == decision["id"]
    by_id = {span.context.span_id: span for span in spans if span.context}
    parents = {span: by_id.get(span.parent.span_id) for span in spans if span.parent}
    orphans = [span.name for span, parent in parents.items() if parent is None]
    assert orphans == []
    (root,) = [span for span in spans if span.parent is None]
    assert service(root) == "gateway"

    edges = {
        (service(parent), service(span).removesuffix("-api"))
        for span, parent in parents.items()
        if parent is not None and service(parent) != service(span)
    }
    # Besides the calls: the stream, from request to dispatcher, and the event, from request to decision.
    assert edges == EDGES | {("gateway", "ingest-dispatcher"), ("gateway", "intervention")}
    (made,) = [span for span in spans if span.name == semconv.SPAN_DECIDE]
    assert made.attributes is not None
    assert made.attributes[semconv.DECISION_ID] == decision["id"]


async def test_a_batch_of_several_requests_is_linked_to_each_and_every_decision_is_in_its_own_trace() -> None:
    async with housed() as house:
        users = [f"user-{number}" for number in range(12)]
        answers = await asyncio.gather(
            *(
                house.client.post("/api/events/track", json=event(1, "struggle_signal", user, page="/p", attempts=3))
                for user in users
            )
        )
        for user in users:
            await applied(house, f"{user}-1")
        traces = {answer.json()["traceId"] for answer in answers}
        assert len(traces) == len(users)
        spans = house.spans()

    reached = set()
    for span in spans:
        if span.name == semconv.SPAN_DISPATCH and span.context:
            reached.add(f"{span.context.trace_id:032x}")
            reached |= {f"{link.context.trace_id:032x}" for link in span.links}
    assert traces <= reached
    made = {f"{span.context.trace_id:032x}" for span in spans if span.name == semconv.SPAN_DECIDE and span.context}
    assert made == traces


@pytest.mark.parametrize("header", ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])
async def test_the_client_s_own_trace_goes_on(header: str) -> None:
    async with housed() as house:
        answer = await house.client.post(
            "/api/events/track", json=event(1, "page_view", page="/p"), headers={"traceparent": header}
        )
        assert answer.json()["traceId"] == "0af7651916cd43dd8448eb211c80319c"
        assert (await applied(house, "ada-1"))["traceId"] == "0af7651916cd43dd8448eb211c80319c"
