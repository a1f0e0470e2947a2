"""CPU and memory of the archiver, and CPU of intervention's answers to it: `python -m bench.archive [events]`.

The events are those of `bench.harness.load`. The stream and the ledger are in memory; intervention is called in this
process, through its messages as bytes, and measured by itself. Files go to a folder. Measures one shard that is behind,
read to its end.
"""

import asyncio
import dataclasses
import gc
import json
import math
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from journeymesh.common.v1 import event_pb2, event_table_pb2
from journeymesh.intervention.v1 import intervention_pb2

from bench.harness import load
from mesh.clock import system_clock
from mesh.leases.memory import MemoryLeases
from mesh.observability.metrics import Metrics
from mesh.state.applied import Batch
from mesh.stream.memory import MemoryStream
from mesh.stream.port import END, Entry
from records import wire
from records.table import Detail, Table
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.adapters.plans import MemoryPlans
from services.ingest.archive.adapters.tail import ArrowTail
from services.ingest.archive.archiver import Archiver, Limits
from services.ingest.archive.domain.layout import EVENTS
from services.ingest.events.adapters.memory import MemoryFailedRecords, MemorySeenEvents
from services.intervention.batch.rows import Rows
from services.intervention.bootstrap import in_memory
from services.intervention.decision.domain.facts import Assessment
from services.intervention.servicer import InterventionServicer

_EVENTS_PER_RECORD: Final = 100
_RUN: Final = 5
_USERS: Final = 5_000
_POLICY: Final = Path(__file__).parents[1] / "policies" / "default.yaml"
_TARGETS: Final = ("target", "feature", "element", "form", "task")


@dataclasses.dataclass
class _Intervention:
    """The service, called through serialized messages."""

    servicer: InterventionServicer
    cpu_seconds: float = 0.0

    async def ReadLedger(self, request: Any, timeout: float) -> Any:  # noqa: ANN401, ARG002, ASYNC109, N802
        asked = request.SerializeToString()
        started = time.thread_time()
        answer = await self.servicer.ReadLedger(intervention_pb2.ReadLedgerRequest.FromString(asked), None)  # type: ignore[arg-type]
        sent = answer.SerializeToString()
        self.cpu_seconds += time.thread_time() - started
        return intervention_pb2.ReadLedgerResponse.FromString(sent)


async def main(folder: Path, event_count: int) -> None:
    """Measures and prints."""
    stream = MemoryStream(shard_count=1)
    interventions = in_memory([(0, _POLICY.read_text())], system_clock)
    intervention = _Intervention(InterventionServicer(*interventions, Metrics()))
    bodies = load.requests(0, _EVENTS_PER_RECORD, _USERS, _RUN)
    for sequence in range(event_count // _EVENTS_PER_RECORD):
        table = _table(json.loads(next(bodies))["events"], sequence)
        record = event_table_pb2.StreamRecord(table=wire.encoded(table), format_version=1)
        await stream.append([Entry("0", record.SerializeToString())])
        await interventions.deciding.decide(Batch("events", "0", (sequence,)), _rows(table, sequence))
    await stream.split("0")
    dispatched, leases = MemoryLeases(system_clock), MemoryLeases(system_clock)
    lease = await dispatched.acquire("0", "dispatcher")
    if lease:
        await dispatched.save(lease, END, 0.0)
    archive = ParquetArchive(f"file://{folder}")
    behind: Any = intervention
    archiver = Archiver(
        stream, leases, dispatched, MemoryPlans(), archive, ArrowTail(f"file://{folder}"), MemorySeenEvents(),
        MemoryFailedRecords(), behind, Limits(), Metrics(),
    )  # fmt: skip
    held = await leases.acquire("0", "archiver")
    # Arrow imports pandas, if installed, with its first list; the images do not have it.
    pa.array([0])
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # as in every process
    before = resource.getrusage(resource.RUSAGE_SELF)
    started, elapsed = time.process_time(), time.perf_counter()
    if held:
        await archiver.follow(held)
    used, elapsed = time.process_time() - started, time.perf_counter() - elapsed
    after = resource.getrusage(resource.RUSAGE_SELF)
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))  # noqa: ASYNC240 - nothing else runs
    print(f"{event_count:,} events in {elapsed:.1f} s, {len(archive.files(EVENTS))} files of events")
    print(f"    archiver: {(used - intervention.cpu_seconds) / event_count * 1e6:5.1f} µs CPU per event")
    print(f"intervention: {intervention.cpu_seconds / event_count * 1e6:5.1f} µs CPU per event")
    print(f"        disk: {size / event_count:5.1f} bytes per event with its decision")
    print(f"      memory: {(after.ru_maxrss - before.ru_maxrss) / 1024:5.0f} MiB more than before")


def _table(events: list[dict[str, Any]], number: int) -> Table:
    """A body's events as they are on the stream, one request per ten milliseconds."""
    count = len(events)
    received_us = 1_767_348_000_500_000 + number * 10_000
    properties = [event["properties"] for event in events]
    details: dict[int, Detail] = {}
    for row, its in enumerate(properties):
        if "effectObserved" in its:
            details[row] = event_pb2.Click(x=its["x"], y=its["y"], effect_observed=its["effectObserved"])
        if "videoId" in its:
            details[row] = event_pb2.Playback(video_id=its["videoId"], position_seconds=its["positionSeconds"])
    columns: dict[str, list[Any]] = {
        "event_id": [event["eventId"] for event in events],
        "user_id": [event["userId"] for event in events],
        "session_id": [f"{event['userId']}-session" for event in events],
        "event_type": [event_pb2.EventType.Value(f"EVENT_TYPE_{event['eventType'].upper()}") for event in events],
        "event_time_us": [received_us - 500_000] * count,
        "received_time_us": [received_us] * count,
        "page": [its["page"] for its in properties],
        "target": [next((its[name] for name in _TARGETS if name in its), "") for its in properties],
        "platform": [event_pb2.PLATFORM_WEB] * count,
        "device_class": [event_pb2.DEVICE_CLASS_PHONE] * count,
        "user_agent": ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"] * count,
        "properties": [json.dumps(its).encode() for its in properties],
        "trace_id": [(number * 0x9E3779B97F4A7C15 % (1 << 128)).to_bytes(16, "big")] * count,
        "span_id": [bytes(range(8))] * count,
    }
    return Table(count, columns, details)


def _rows(table: Table, number: int) -> Rows:
    count = len(table)
    scores = [10 + math.sin(number * count + row) for row in range(count)]
    return Rows(
        record_indexes=[0] * count,
        event_indexes=[*range(count)],
        user_ids=table.user_id,
        event_ids=table.event_id,
        received_us=table.received_time_us,
        trace_ids=table.trace_id,
        span_ids=table.span_id,
        pages=table.page,
        time_zones=[""] * count,
        assessments=[Assessment(score, 1, 0.7, 1.0, 9.0 + score, 0) for score in scores],
        bot_rows=[],
        outcomes={},
        model_version="exit-risk-1",
        rules_version="rules-1",
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made), int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
