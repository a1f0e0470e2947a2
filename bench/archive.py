"""CPU and memory of the archiver, and CPU of intervention's answers to it: `python -m bench.archive [events]`.

The stream and the ledger are in memory; intervention is called in this process, through its messages as bytes, and
measured by itself. Files go to a folder. What is measured is one shard that is behind, read to its end.
"""

import asyncio
import dataclasses
import itertools
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2 as wire

from mesh.applied import Batch
from mesh.clock import system_clock
from mesh.leasing.memory import MemoryLeases
from mesh.metrics import Metrics
from mesh.stream import END, Entry
from mesh.streams.memory import MemoryStream
from services.ingest.adapters.archive_files import ParquetArchive
from services.ingest.adapters.archive_plans import MemoryPlans
from services.ingest.adapters.memory import MemorySeenEvents, MemorySetAside
from services.ingest.archiver import Archiver, Limits
from services.ingest.domain.archive import EVENTS
from services.intervention.assembly import in_memory
from services.intervention.domain.facts import Assessment
from services.intervention.servicer import InterventionServicer
from services.intervention.usecases.rows import Rows

_EVENTS_A_RECORD: Final = 100
_USERS: Final = 5_000
_POLICY: Final = Path(__file__).parents[1] / "policies" / "default.yaml"
_KINDS: Final = [
    event_pb2.EVENT_TYPE_PAGE_VIEW,
    event_pb2.EVENT_TYPE_FEATURE_INTERACTION,
    event_pb2.EVENT_TYPE_CLICK,
    event_pb2.EVENT_TYPE_VIDEO_PLAYBACK,
]


@dataclasses.dataclass
class _Intervention:
    """The service behind its messages."""

    servicer: InterventionServicer
    cpu_seconds: float = 0.0

    async def ReadLedger(self, request: Any, timeout: float) -> Any:  # noqa: ANN401, ARG002, ASYNC109, N802
        asked = request.SerializeToString()
        started = time.thread_time()
        answer = await self.servicer.ReadLedger(wire.ReadLedgerRequest.FromString(asked), None)  # type: ignore[arg-type]
        sent = answer.SerializeToString()
        self.cpu_seconds += time.thread_time() - started
        return wire.ReadLedgerResponse.FromString(sent)


async def main(folder: Path, event_count: int) -> None:
    """Measures and prints."""
    stream = MemoryStream(shard_count=1)
    interventions = in_memory([(0, _POLICY.read_text())], system_clock)
    intervention = _Intervention(InterventionServicer(*interventions, Metrics()))
    numbers = itertools.count()
    for sequence in range(event_count // _EVENTS_A_RECORD):
        events = [_event(next(numbers)) for _ in range(_EVENTS_A_RECORD)]
        await stream.append([Entry("0", event_pb2.EventRecord(events=events).SerializeToString())])
        await interventions.deciding.decide(Batch("events", "0", (sequence,)), _rows(events))
    await stream.split("0")
    dispatched, leases = MemoryLeases(system_clock), MemoryLeases(system_clock)
    lease = await dispatched.acquire("0", "dispatcher")
    if lease:
        await dispatched.save(lease, END, 0.0)
    archive = ParquetArchive(f"file://{folder}")
    behind: Any = intervention
    archiver = Archiver(
        stream, leases, dispatched, MemoryPlans(), archive, MemorySeenEvents(), MemorySetAside(), behind,
        Limits(), Metrics(),
    )  # fmt: skip
    held = await leases.acquire("0", "archiver")
    before = resource.getrusage(resource.RUSAGE_SELF)
    started, elapsed = time.process_time(), time.perf_counter()
    if held:
        await archiver.follow(held)
    used, elapsed = time.process_time() - started, time.perf_counter() - elapsed
    after = resource.getrusage(resource.RUSAGE_SELF)
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))  # noqa: ASYNC240 - nothing else runs
    print(f"{event_count:,} events in {elapsed:.1f} s, {len(archive.files(EVENTS))} files of events")
    print(f"    archiver: {(used - intervention.cpu_seconds) / event_count * 1e6:5.1f} µs CPU an event")
    print(f"intervention: {intervention.cpu_seconds / event_count * 1e6:5.1f} µs CPU an event")
    print(f"        disk: {size / event_count:5.1f} bytes an event with its decision")
    print(f"      memory: {(after.ru_maxrss - before.ru_maxrss) / 1024:5.0f} MiB more than before")


def _event(number: int) -> event_pb2.Event:
    kind = _KINDS[number % len(_KINDS)]
    made = event_pb2.Event(
        event_id=f"01JDX0000000000000{number:08}",
        user_id=f"user-{number * 7 % _USERS}",
        session_id=f"session-{number * 7 % _USERS}",
        event_type=kind,
        event_time_us=1_767_348_000_000_000 + number * 100_000,
        received_time_us=1_767_348_000_500_000 + number * 100,
        page=f"/products/{number % 97}",
        target="loan_amount",
        platform=event_pb2.PLATFORM_WEB,
        device_class=event_pb2.DEVICE_CLASS_PHONE,
        user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15",
        properties=b'{"page": "/products/7", "value": %d, "referrer": "/home"}' % number,
        trace_id=(number // _EVENTS_A_RECORD * 0x9E3779B97F4A7C15 % (1 << 128)).to_bytes(16, "big"),
        span_id=bytes(range(8)),
    )
    if kind == event_pb2.EVENT_TYPE_CLICK:
        made.click.x, made.click.y = number % 1280, number % 720
    if kind == event_pb2.EVENT_TYPE_VIDEO_PLAYBACK:
        made.playback.video_id, made.playback.position_seconds = "video-7", number % 600
    return made


def _rows(events: list[event_pb2.Event]) -> Rows:
    count = len(events)
    return Rows(
        record_indexes=[0] * count,
        event_indexes=[*range(count)],
        user_ids=[event.user_id for event in events],
        event_ids=[event.event_id for event in events],
        received_us=[event.received_time_us for event in events],
        trace_ids=[event.trace_id for event in events],
        span_ids=[event.span_id for event in events],
        pages=[event.page for event in events],
        time_zones=[""] * count,
        assessments=[Assessment(10 + 1 / (1 + row), 1, 0.7 + 1 / (3 + row), 1.0, 9.0, 0) for row in range(count)],
        bot_rows=[],
        outcomes={},
        model_version="exit-risk-1",
        rules_version="rules-1",
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made), int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
