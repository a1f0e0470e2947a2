"""The stream face of ingest: takes a shard's records, batch by batch, through the mesh.

    read → decode → claim → video → features → scoring → intervention → checkpoint

The checkpoint comes last, so a crash anywhere repeats the batch, and every service answers a repeated batch as the
first time. The claim decides which of two copies of an event is applied: the one whose place is remembered.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError
from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2, features_pb2_grpc
from journeymesh.intervention.v1 import intervention_pb2_grpc
from journeymesh.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from journeymesh.video.v1 import video_pb2, video_pb2_grpc
from opentelemetry import trace

from mesh import channel, semconv, telemetry
from mesh.clock import Clock
from mesh.errors import DeadlineExceeded, FailedPrecondition, MeshError, Unavailable
from mesh.stream import Checkpoints, Record, StreamReader
from mesh.telemetry import Telemetry
from services.ingest.domain.event import FailedEvent, Place, Seen, failed_event_id
from services.ingest.ports import Claim, FailedEvents, SeenEvents
from services.ingest.translation import Decoded, Rows, cut, decide_request, event_json, origins

_READ_RECORDS: Final = 200
_WAIT_SECONDS: Final = 1.0
_TRIM_BATCHES: Final = 20
_TRIES: Final = 5
_POISON_MOST: Final = 3
_PAUSE_SECONDS: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_STEP_SECONDS: Final = 20.0

_PLAYBACK: Final = event_pb2.EVENT_TYPE_VIDEO_PLAYBACK

_log = logging.getLogger(__name__)


class Peers(NamedTuple):
    """The services a batch goes through, in this order."""

    video: "video_pb2_grpc.VideoServiceAsyncStub"
    features: "features_pb2_grpc.FeaturesServiceAsyncStub"
    scoring: "scoring_pb2_grpc.ScoringServiceAsyncStub"
    intervention: "intervention_pb2_grpc.InterventionServiceAsyncStub"

    @classmethod
    def dial(cls, video: str, features: str, scoring: str, intervention: str, traced: Telemetry) -> "Peers":
        """Stubs of the services at these targets."""
        return cls(
            video_pb2_grpc.VideoServiceStub(channel.dial(video, traced)),
            features_pb2_grpc.FeaturesServiceStub(channel.dial(features, traced)),
            scoring_pb2_grpc.ScoringServiceStub(channel.dial(scoring, traced)),
            intervention_pb2_grpc.InterventionServiceStub(channel.dial(intervention, traced)),
        )


@dataclasses.dataclass(frozen=True)
class Dispatcher:
    """Takes every shard through the mesh, each in an order of its own, all side by side."""

    name: str
    reader: StreamReader
    checkpoints: Checkpoints
    seen: SeenEvents
    failed: FailedEvents
    peers: Peers
    clock: Clock
    telemetry: Telemetry
    max_batch_events: int
    period_seconds: float
    poison_in_a_row: Counter[str] = dataclasses.field(default_factory=Counter)
    """How many records of a shard could not be applied since one could."""

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for shard in await self.reader.shards():
                tasks.create_task(self._follow(shard))

    async def _follow(self, shard: str) -> None:
        failures = 0
        while True:
            try:
                checkpoint = trimmed = await self.checkpoints.load(shard)
                batches = 0
                while True:
                    before, checkpoint = checkpoint, await self.advance(shard, checkpoint)
                    failures = 0
                    # What comes meanwhile makes one batch, which costs the same for ten events as for a hundred.
                    await asyncio.sleep(0 if before == checkpoint else self.period_seconds)
                    # A call a batch would be too many; a stream that is at rest is trimmed to its end.
                    batches = 0 if before == checkpoint else batches + 1
                    if trimmed != checkpoint and batches % _TRIM_BATCHES == 0:
                        await self.reader.trim(shard, checkpoint)
                        trimmed = checkpoint
            except MeshError as error:
                # Whatever it was, the place is kept: the next round reads from the checkpoint.
                failures += 1
                level = logging.WARNING if failures in (5, 50) or failures % 500 == 0 else logging.DEBUG
                _log.log(level, "shard %s waits, try %d: %s", shard, failures, error.reason)
                await asyncio.sleep(_PAUSE_SECONDS[min(failures, len(_PAUSE_SECONDS)) - 1])

    async def advance(self, shard: str, checkpoint: int) -> int:
        """Takes what waits in a shard beyond its checkpoint through the mesh; returns the checkpoint from then on.

        Raises:
            Unavailable: the stream, a store or a service cannot be reached.
        """
        records = await self.reader.read(shard, checkpoint, _READ_RECORDS, _WAIT_SECONDS)
        decoded = [record for record in [await self._decode(shard, record) for record in records] if record]
        for batch in cut(decoded, self.max_batch_events):
            await self._apply_or_set_aside(shard, batch)
            checkpoint = batch[-1].sequence
            await self.checkpoints.save(shard, checkpoint)
        if records and records[-1].sequence != checkpoint:  # the last did not decode
            checkpoint = records[-1].sequence
            await self.checkpoints.save(shard, checkpoint)
        return checkpoint

    async def _decode(self, shard: str, record: Record) -> Decoded | None:
        try:
            return Decoded(record.sequence, event_pb2.EventRecord.FromString(record.payload).events)
        except DecodeError:
            _log.error("record %d of shard %s does not decode and is set aside", record.sequence, shard)
            place = f"{shard}-{record.sequence}"
            failed_id = failed_event_id(place, record.payload)
            detail = f"The record {place} does not decode."
            await self.failed.add(
                [FailedEvent(failed_id, "POISON", detail, self.clock(), "", "", record.payload, b"", "dispatcher")]
            )
            return None

    async def _apply_or_set_aside(self, shard: str, batch: Sequence[Decoded]) -> None:
        """Applies a batch; sets records aside that cannot be applied while others can.

        Raises:
            Unavailable: a step or store is away, or no record can be applied: then it is not the records. They wait
                where nothing is lost until somebody mends the step.
        """
        poison = await self._find_poison(shard, batch, _PAUSE_SECONDS[:_TRIES])
        if len(poison) < len(batch):
            self.poison_in_a_row[shard] = 0
        else:
            self.poison_in_a_row[shard] += len(poison)
            if self.poison_in_a_row[shard] > _POISON_MOST:
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "No record can be applied.")
        for record in poison:
            _log.error("record %d of shard %s is set aside", record.sequence, shard)
            await self.failed.add([self._set_aside(event) for event in record.events])

    async def _find_poison(self, shard: str, batch: Sequence[Decoded], pauses: Sequence[float]) -> list[Decoded]:
        """Applies a batch; a fault that stays is traced to its records by halving. Returns those."""
        for pause in pauses:
            try:
                await self._apply(shard, batch)
            except (Unavailable, DeadlineExceeded, FailedPrecondition):
                raise
            except MeshError as error:
                _log.warning("a batch of shard %s cannot be applied: %s", shard, error)
                await asyncio.sleep(pause)
            else:
                return []
        if len(batch) == 1:
            return [*batch]
        middle, once = len(batch) // 2, pauses[:1]
        first = await self._find_poison(shard, batch[:middle], once)
        return first + await self._find_poison(shard, batch[middle:], once)

    def _set_aside(self, event: event_pb2.Event) -> FailedEvent:
        payload = event_json(event)
        failed_id = failed_event_id(event.event_id, payload)
        detail = "A service could not apply the event."
        trace_id = event.trace_id
        return FailedEvent(
            failed_id, "POISON", detail, self.clock(), event.event_id, event.user_id, payload, trace_id, "dispatcher"
        )

    async def _apply(self, shard: str, batch: Sequence[Decoded]) -> None:
        rows = await self._claim(shard, batch)
        if not rows.events:
            return
        position = position_pb2.BatchPosition(
            stream=self.name, shard=shard, sequences=[str(record.sequence) for record in batch]
        )
        with self._span(shard, batch, rows):
            engagements = await self._apply_playback(position, rows)
            applied = await self.peers.features.ApplyEvents(
                features_pb2.ApplyEventsRequest(
                    position=position,
                    events=rows.events,
                    engagements=engagements,
                ),
                timeout=_STEP_SECONDS,
            )
            assessed = await self.peers.scoring.AssessUsers(
                scoring_pb2.AssessUsersRequest(
                    position=position,
                    user_ids=[event.user_id for event in rows.events],
                    event_times_us=[event.event_time_us for event in rows.events],
                    values=applied.values,
                    feature_schema_version=applied.feature_schema_version,
                    signals=applied.signals,
                ),
                timeout=_STEP_SECONDS,
            )
            await self.peers.intervention.DecideInterventions(
                decide_request(position, rows, assessed), timeout=_STEP_SECONDS
            )

    async def _claim(self, shard: str, batch: Sequence[Decoded]) -> Rows:
        places = [
            (record_index, event_index, event)
            for record_index, record in enumerate(batch)
            for event_index, event in enumerate(record.events)
        ]
        claims = [
            Claim(
                event.event_id,
                Seen(Place(shard, batch[record_index].sequence, event_index), event.received_time_us, event.trace_id),
            )
            for record_index, event_index, event in places
        ]
        owners = await self._owners(claims)
        rows = Rows([], [], [])
        taken: set[str] = set()
        for (record_index, event_index, event), claim, owner in zip(places, claims, owners, strict=True):
            if owner.place == claim.seen.place and event.event_id not in taken:
                taken.add(event.event_id)
                rows.events.append(event)
                rows.record_indexes.append(record_index)
                rows.event_indexes.append(event_index)
        return rows

    async def _owners(self, claims: Sequence[Claim]) -> list[Seen]:
        """Who each id belongs to. Nearly always the api has claimed it, and a look is cheaper than a claim."""
        newest_us = max(claim.seen.received_time_us for claim in claims)
        found = await self.seen.find([claim.event_id for claim in claims], newest_us)
        missing = [claim for claim, seen in zip(claims, found, strict=True) if seen is None]
        claimed = iter(await self.seen.claim(missing) if missing else ())
        return [seen if seen is not None else next(claimed) for seen in found]

    async def _apply_playback(
        self, position: position_pb2.BatchPosition, rows: Rows
    ) -> list[features_pb2.EngagementUpdate]:
        played = [row for row, event in enumerate(rows.events) if event.event_type == _PLAYBACK]
        if not played:
            return []
        answer = await self.peers.video.ApplyPlayback(
            video_pb2.ApplyPlaybackRequest(
                position=position,
                events=[rows.events[row] for row in played],
            ),
            timeout=_STEP_SECONDS,
        )
        return [
            features_pb2.EngagementUpdate(row=row, score=score)
            for row, score in zip(played, answer.engagement_scores, strict=True)
        ]

    def _span(
        self, shard: str, batch: Sequence[Decoded], rows: Rows
    ) -> contextlib.AbstractContextManager[trace.Span | None]:
        """The span of a batch: in the trace of its producer where there is one, else linked to each."""
        if not self.telemetry.is_on:
            return contextlib.nullcontext()
        producers = origins(rows.events)
        parent = telemetry.span_context(*producers[0]) if len({trace_id for trace_id, _ in producers}) == 1 else None
        return self.telemetry.tracer.start_as_current_span(
            semconv.SPAN_DISPATCH,
            context=telemetry.within(parent),
            kind=trace.SpanKind.CONSUMER,
            links=telemetry.links(producers),
            attributes={
                semconv.STREAM: self.name,
                semconv.SHARD: shard,
                semconv.RECORD_COUNT: len(batch),
                semconv.EVENT_COUNT: len(rows.events),
            },
        )
