"""One trace from the POST to the decision, across the stream, and to what came of it; and what of it is recorded.

All services in this process, one exporter, real gRPC.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from mesh import VERSION
from mesh.observability import semconv, telemetry
from tests.e2e.in_process import Mesh, applied, event, running_mesh

# Who calls whom while an event goes through the mesh; ARCHITECTURE.md describes it.
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
    async with running_mesh() as mesh:
        playback: dict[str, Any] = {"videoId": "v", "action": "heartbeat", "positionSeconds": 10, "watchedSeconds": 10}
        batch = [
            event(1, "page_view", page="/calculator"),
            event(2, "video_playback", **playback),
            event(3, "struggle_signal", page="/calculator", attempts=3),
        ]
        answer = (await mesh.client.post("/api/events/track", json={"events": batch})).json()
        receipt = await applied(mesh, "ada-3")
        (decision, *_) = (await mesh.client.get(f"/api/decisions?traceId={answer['traceId']}")).json()["decisions"]
        spans = [span for span in mesh.spans() if span.context and f"{span.context.trace_id:032x}" == answer["traceId"]]

    assert receipt["traceId"] == decision["traceId"] == answer["traceId"]
    assert receipt["decisionId"] == decision["id"]
    by_id = {span.context.span_id: span for span in spans if span.context}
    assert {span.resource.attributes["service.version"] for span in spans} == {VERSION}
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
    # Besides the calls: the stream, from request to dispatcher.
    assert edges == EDGES | {("gateway", "ingest-dispatcher")}
    (made,) = [span for span in spans if span.name == semconv.SPAN_DECIDE]
    assert made.attributes is not None
    assert made.attributes[semconv.DECISION_ID] == decision["id"]


async def test_a_batch_of_several_requests_is_linked_to_each_and_every_decision_is_in_its_own_trace() -> None:
    async with running_mesh() as mesh:
        users = [f"user-{number}" for number in range(12)]
        answers = await asyncio.gather(
            *(
                mesh.client.post("/api/events/track", json=event(1, "struggle_signal", user, page="/p", attempts=3))
                for user in users
            )
        )
        for user in users:
            await applied(mesh, f"{user}-1")
        traces = {answer.json()["traceId"] for answer in answers}
        assert len(traces) == len(users)
        spans = mesh.spans()

    reached = set()
    for span in spans:
        if span.name == semconv.SPAN_DISPATCH and span.context:
            reached.add(f"{span.context.trace_id:032x}")
            reached |= {f"{link.context.trace_id:032x}" for link in span.links}
    assert traces <= reached
    made = {f"{span.context.trace_id:032x}" for span in spans if span.name == semconv.SPAN_DECIDE and span.context}
    assert made == traces


async def test_probes_and_scrapes_leave_no_trace() -> None:
    async with running_mesh() as mesh:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await mesh.client.get(path)).headers["x-trace-id"]
        assert not mesh.spans()
        await mesh.client.get("/api/pipeline")
        assert mesh.spans()


@pytest.mark.parametrize("header", ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])
async def test_the_client_s_own_trace_goes_on(header: str) -> None:
    async with running_mesh() as mesh:
        answer = await mesh.client.post(
            "/api/events/track", json=event(1, "page_view", page="/p"), headers={"traceparent": header}
        )
        assert answer.json()["traceId"] == "0af7651916cd43dd8448eb211c80319c"
        assert (await applied(mesh, "ada-1"))["traceId"] == "0af7651916cd43dd8448eb211c80319c"


ALWAYS: Final = {semconv.SPAN_DECIDE, semconv.SPAN_OUTCOME}
CLIENT: Final = int("b7ad6b7169203331", 16)


async def help_and_accept(mesh: Mesh, user: str, **headers: str) -> tuple[str, str]:
    """A user struggles, is helped and accepts: the traces of both requests."""
    struggle = event(1, "struggle_signal", user, page="/p", attempts=3)
    help_trace = (await mesh.client.post("/api/events/track", json=struggle, headers=headers)).json()["traceId"]
    await applied(mesh, f"{user}-1")
    waiting = (await mesh.client.get(f"/api/interventions/{user}/pending", headers=headers)).json()
    path = f"/api/interventions/{waiting['intervention']['id']}/outcome"
    outcome_trace = (await mesh.client.post(path, json={"outcome": "accepted"}, headers=headers)).json()
    await applied(mesh, outcome_trace["eventId"])
    return help_trace, outcome_trace["traceId"]


def of_trace(spans: Sequence[ReadableSpan], trace_id: str) -> list[ReadableSpan]:
    return [span for span in spans if span.context and f"{span.context.trace_id:032x}" == trace_id]


def unmet(spans: Sequence[ReadableSpan]) -> list[str]:
    """Spans whose parent, or one they are linked to, was not recorded. A client's own span is not ours to record."""
    known = {(span.context.trace_id, span.context.span_id) for span in spans if span.context}
    return [
        span.name
        for span in spans
        for other in (*(link.context for link in span.links), *([span.parent] if span.parent else []))
        if (other.trace_id, other.span_id) not in known and other.span_id != CLIENT
    ]


async def test_the_outcome_is_linked_to_the_decision_and_both_stand_below_the_call_that_made_them() -> None:
    async with running_mesh() as mesh:
        help_trace, outcome_trace = await help_and_accept(mesh, "ada")
        spans = mesh.spans()
    assert unmet(spans) == []
    (decided,) = [span for span in of_trace(spans, help_trace) if span.name == semconv.SPAN_DECIDE]
    (settled,) = [span for span in of_trace(spans, outcome_trace) if span.name == semconv.SPAN_OUTCOME]
    assert decided.context is not None
    assert decided.attributes is not None
    assert settled.attributes is not None
    (link,) = settled.links
    assert (link.context.trace_id, link.context.span_id) == (decided.context.trace_id, decided.context.span_id)
    assert dict(settled.attributes) == {
        semconv.DECISION_ID: decided.attributes[semconv.DECISION_ID],
        semconv.INTERVENTION_ID: decided.attributes[semconv.INTERVENTION_ID],
        semconv.OUTCOME: "accepted",
    }
    by_id = {span.context.span_id: span for span in spans if span.context}
    for span in (decided, settled):
        assert span.parent is not None
        assert by_id[span.parent.span_id].name.endswith("/DecideInterventions")


async def test_at_ratio_0_only_help_and_outcomes_are_recorded_each_as_the_root_of_a_trace() -> None:
    async with running_mesh(sample_ratio=0.0) as mesh:
        help_trace, outcome_trace = await help_and_accept(mesh, "ada")
        spans = mesh.spans()
    assert sorted(span.name for span in spans) == sorted(ALWAYS)
    assert unmet(spans) == []
    assert all(span.parent is None for span in spans)
    ((decided,), (settled,)) = of_trace(spans, help_trace), of_trace(spans, outcome_trace)
    assert decided.name == semconv.SPAN_DECIDE
    assert decided.links == ()
    assert decided.context is not None
    assert [link.context.span_id for link in settled.links] == [decided.context.span_id]


async def test_between_0_and_1_each_request_is_recorded_whole_or_not_at_all() -> None:
    ratio = 0.1
    bound = TraceIdRatioBased.get_bound_for_rate(ratio)
    stories = dict[str, bool]()
    async with running_mesh(sample_ratio=ratio) as mesh:
        number = 0
        while set(stories.values()) != {True, False}:  # ten at once, so that batches hold requests of both kinds
            users = [f"user-{number + each}" for each in range(10)]
            number += 10
            for traces in await asyncio.gather(*(help_and_accept(mesh, user) for user in users)):
                stories |= {each: int(each, 16) & (2**64 - 1) < bound for each in traces}
        spans = mesh.spans()
    assert unmet(spans) == []
    for trace_id, is_recorded in stories.items():
        story = of_trace(spans, trace_id)
        names = [span.name for span in story]
        assert len(ALWAYS & set(names)) == 1
        if is_recorded:
            (root,) = [span for span in story if span.parent is None]
            assert root.name.startswith("POST /api/")
        else:
            assert len(names) == 1
            assert story[0].parent is None
    # Beside the requests' own traces: batches of several recorded requests, and what was asked by GET.
    others = [span for span in spans if span.context and f"{span.context.trace_id:032x}" not in stories]
    roots = {span.name for span in others if span.parent is None}
    assert roots <= {semconv.SPAN_DISPATCH, "GET /api/events/{eventId}", "GET /api/interventions/{userId}/pending"}


@pytest.mark.parametrize(("ratio", "flag"), [(0.0, "01"), (1.0, "00")])
async def test_the_client_s_flag_is_respected(ratio: float, flag: str) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    async with running_mesh(sample_ratio=ratio) as mesh:
        help_trace, outcome_trace = await help_and_accept(
            mesh, "ada", traceparent=f"00-{trace_id}-{CLIENT:016x}-{flag}"
        )
        spans = mesh.spans()
    assert help_trace == outcome_trace == trace_id
    assert unmet(spans) == []
    story = of_trace(spans, trace_id)
    if flag == "00":
        assert sorted(span.name for span in story) == sorted(ALWAYS)
        assert all(span.parent is None for span in story)
    else:
        services = {service(span) for span in story}
        assert services == {"gateway", "ingest-api", "ingest-dispatcher", "features", "scoring", "intervention"}
        assert all(span.parent for span in story)


def test_the_span_of_a_decision_has_an_id_that_all_processes_know() -> None:
    assert telemetry.span_id_of("d-1-2-0").hex() == "7ca8f56dce84c027"
