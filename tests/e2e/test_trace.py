"""One trace from the POST to the decision, across the stream: all services in this process, one exporter, real gRPC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
from journeymesh.features.v1.features_pb2_grpc import add_FeaturesServiceServicer_to_server
from journeymesh.ingest.v1.ingest_pb2_grpc import add_IngestServiceServicer_to_server
from journeymesh.intervention.v1.intervention_pb2_grpc import add_InterventionServiceServicer_to_server
from journeymesh.scoring.v1.scoring_pb2_grpc import add_ScoringServiceServicer_to_server
from journeymesh.video.v1.video_pb2_grpc import add_VideoServiceServicer_to_server
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway import peers as gateway_peers
from gateway.app import Application
from gateway.core import assemble
from gateway.settings import Settings
from mesh import channel, semconv, telemetry
from mesh.clock import system_clock
from mesh.server import Register, serving
from mesh.states.memory import MemoryState
from mesh.streams.memory import MemoryCheckpoints, MemoryStream
from mesh.telemetry import Telemetry
from services.features.servicer import FeaturesServicer
from services.ingest.adapters.event_log import StreamEventLog
from services.ingest.adapters.memory import MemoryFailedEvents, MemorySeenEvents
from services.ingest.adapters.progress import CheckpointProgress
from services.ingest.dispatcher import Dispatcher, Peers
from services.ingest.servicer import IngestServicer
from services.ingest.usecases import Ingest
from services.intervention.adapters.listeners import LocalListeners
from services.intervention.adapters.memory import MemoryLedger
from services.intervention.adapters.spans import SpanWitness
from services.intervention.servicer import InterventionServicer
from services.intervention.usecases import Interventions
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.servicer import ScoringServicer
from services.scoring.usecases import Scoring
from services.video.adapters.memory import MemoryShards
from services.video.servicer import VideoServicer
from services.video.usecases import Playback

MODELS: Final = Path(__file__).parents[2] / "models" / "exit-risk"

# Who calls whom while an event goes through the mesh; ARCHITECTURE.md tells it in words.
EDGES: Final = {
    ("gateway", "ingest"),
    ("ingest-dispatcher", "video"),
    ("ingest-dispatcher", "features"),
    ("ingest-dispatcher", "scoring"),
    ("ingest-dispatcher", "intervention"),
}


class House(NamedTuple):
    """The mesh in this process."""

    client: httpx.AsyncClient
    exporter: InMemorySpanExporter
    traced: Mapping[str, Telemetry]

    def spans(self) -> Sequence[ReadableSpan]:
        """All spans that have ended."""
        for one in self.traced.values():
            one.provider.force_flush()
        return self.exporter.get_finished_spans()


@contextlib.asynccontextmanager
async def housed() -> AsyncIterator[House]:
    exporter = InMemorySpanExporter()
    names = ("gateway", "ingest-api", "ingest-dispatcher", "video", "features", "scoring", "intervention")
    traced = {name: telemetry.exporting(name, exporter) for name in names}
    stream, checkpoints = MemoryStream(), MemoryCheckpoints()
    seen, failed = MemorySeenEvents(), MemoryFailedEvents()
    witness = SpanWitness(traced["intervention"])
    listeners = LocalListeners(10)
    interventions = Interventions(MemoryState(), MemoryLedger(), witness, listeners, system_clock, poll_seconds=1)
    ingest = Ingest(StreamEventLog(stream), seen, failed, CheckpointProgress(checkpoints), system_clock)
    registers: dict[str, Register] = {
        "ingest-api": lambda to: add_IngestServiceServicer_to_server(IngestServicer(ingest), to),
        "video": lambda to: add_VideoServiceServicer_to_server(
            VideoServicer(Playback(MemoryState(), MemoryShards())), to
        ),
        "features": lambda to: add_FeaturesServiceServicer_to_server(FeaturesServicer(MemoryState()), to),
        "scoring": lambda to: add_ScoringServiceServicer_to_server(
            ScoringServicer(Scoring(ModelDirectory(MODELS), MemoryState())), to
        ),
        "intervention": lambda to: add_InterventionServiceServicer_to_server(InterventionServicer(interventions), to),
    }
    async with contextlib.AsyncExitStack() as stack:
        targets = {
            name: "127.0.0.1:"
            + str(await stack.enter_async_context(serving("127.0.0.1:0", [register], [], {}, traced[name])))
            for name, register in registers.items()
        }
        behind = Peers.dial(
            targets["video"],
            targets["features"],
            targets["scoring"],
            targets["intervention"],
            traced["ingest-dispatcher"],
        )
        dispatcher = Dispatcher(
            "events", stream, checkpoints, seen, failed, behind, system_clock, traced["ingest-dispatcher"], 100, 0
        )
        channels = {
            name.removesuffix("-api"): await stack.enter_async_context(channel.dial(target, traced["gateway"]))
            for name, target in targets.items()
        }
        core = assemble(Settings(), gateway_peers.over(channels), traced["gateway"], asyncio.Event())
        transport = httpx.ASGITransport(Application(core, system_clock))
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://gateway"))
        dispatching = asyncio.create_task(dispatcher.run())
        try:
            yield House(client, exporter, traced)
        finally:
            dispatching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await dispatching


def event(number: int, kind: str, user: str = "ada", **properties: object) -> dict[str, object]:
    return {"eventId": f"{user}-{number}", "userId": user, "eventType": kind, "properties": properties}


async def applied(house: House, event_id: str) -> dict[str, object]:
    """The receipt of an event, once it is applied."""
    async with asyncio.timeout(20):
        while True:
            receipt: dict[str, object] = (await house.client.get(f"/api/events/{event_id}")).json()
            if receipt["state"] == "applied":
                return receipt
            await asyncio.sleep(0.01)


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
