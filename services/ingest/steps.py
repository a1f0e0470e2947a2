"""The way of a batch through the mesh, step by step.

    claim → video → features → scoring → intervention → copies

The claim decides which of two copies of an event is applied: the one whose place is remembered. Every step may be
repeated: services answer a repeated batch as the first time, and what is appended has ids of its own.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import Final, NamedTuple

from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2, features_pb2_grpc
from journeymesh.intervention.v1 import intervention_pb2, intervention_pb2_grpc
from journeymesh.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from journeymesh.video.v1 import video_pb2, video_pb2_grpc
from opentelemetry import trace

from mesh import channel, registry, semconv, telemetry
from mesh.leases import Lease
from mesh.telemetry import Telemetry
from mesh.tls import Tls
from records.table import of_events
from services.ingest.domain.event import Place, Seen
from services.ingest.ports import Claim, EventLog, SeenEvents
from services.ingest.translation.deciding import decide_request
from services.ingest.translation.journeys import Departure, arrivals, copies, departures
from services.ingest.translation.messages import Decoded, Rows, origins

_STEP_SECONDS: Final = 20.0
# Each with 20 events of at most about 6 KB, read in one answer and appended at once.
_JOURNEYS_AT_ONCE: Final = 50

_PLAYBACK: Final = event_pb2.EVENT_TYPE_VIDEO_PLAYBACK


class Peers(NamedTuple):
    """The services a batch goes through, in this order."""

    video: "video_pb2_grpc.VideoServiceAsyncStub"
    features: "features_pb2_grpc.FeaturesServiceAsyncStub"
    scoring: "scoring_pb2_grpc.ScoringServiceAsyncStub"
    intervention: "intervention_pb2_grpc.InterventionServiceAsyncStub"

    @classmethod
    def dial(
        cls, video: str, features: str, scoring: str, intervention: str, traced: Telemetry, tls: Tls | None = None
    ) -> "Peers":
        """Stubs of the services at these targets."""
        return cls(
            video_pb2_grpc.VideoServiceStub(channel.dial(video, traced, tls)),
            features_pb2_grpc.FeaturesServiceStub(channel.dial(features, traced, tls)),
            scoring_pb2_grpc.ScoringServiceStub(channel.dial(scoring, traced, tls)),
            intervention_pb2_grpc.InterventionServiceStub(channel.dial(intervention, traced, tls)),
        )


@dataclasses.dataclass(frozen=True)
class Steps:
    """Takes batches of one stream through the mesh."""

    stream: str
    seen: SeenEvents
    log: EventLog
    peers: Peers
    telemetry: Telemetry

    async def apply(self, lease: Lease, batch: Sequence[Decoded], *, is_retraction: bool = False) -> None:
        """Applies a batch of the leased shard, or takes back what was applied of it, up to the step that cannot.

        Raises:
            FailedPrecondition: the shard was lost to another.
            MeshError: a step or store is away, or cannot apply it.
        """
        step = functools.partial(self.telemetry.metrics.timing, registry.STEP_SECONDS)
        with step("claim"):
            rows = await claimed(self.seen, lease.shard, batch)
        if not rows.events:
            return
        position = position_pb2.BatchPosition(
            stream=self.stream,
            shard=lease.shard,
            sequences=[str(record.sequence) for record in batch],
            lease_epoch=lease.epoch,
            is_retraction=is_retraction,
        )
        with self._span(lease.shard, len(batch), rows):
            engagements = await self._apply_playback(position, rows)
            with step("features"):
                applied = await self.peers.features.ApplyEvents(
                    features_pb2.ApplyEventsRequest(
                        position=position, events=rows.events, engagements=engagements, brings_arrivals=True
                    ),
                    timeout=_STEP_SECONDS,
                )
            with step("scoring"):
                assessed = await self.peers.scoring.AssessUsers(
                    scoring_pb2.AssessUsersRequest(
                        position=position,
                        user_ids=[event.user_id for event in rows.events],
                        event_times_us=[event.event_time_us for event in rows.events],
                        values=applied.values,
                        feature_schema_version=applied.feature_schema_version,
                        signals=applied.signals,
                        settled=applied.settled,
                    ),
                    timeout=_STEP_SECONDS,
                )
            with step("intervention"):
                request = decide_request(position, rows, applied, assessed)
                decided = await self.peers.intervention.DecideInterventions(request, timeout=_STEP_SECONDS)
            if is_retraction:
                return
            linked = [each.row for each in request.linked_rows]
            moving = departures(rows.events, linked, applied, decided) if linked else []
            for start in range(0, len(moving), _JOURNEYS_AT_ONCE):
                with step("copies"):
                    await self._move_journeys(moving[start : start + _JOURNEYS_AT_ONCE])
        self.telemetry.metrics.count(registry.APPLIED_EVENTS, len(rows.events))

    async def decided(self, shard: str, records: Sequence[Decoded]) -> dict[int, frozenset[int]]:
        """By sequence number, which events of records were decided on, as far as the ledger still knows."""

        async def ask(sequences: Sequence[str]) -> Sequence[intervention_pb2.LedgerRecord]:
            request = intervention_pb2.ReadLedgerRequest(shard=shard, sequences=sequences)
            return (await self.peers.intervention.ReadLedger(request, timeout=_STEP_SECONDS)).records

        told = await channel.in_pieces(ask, [str(record.sequence) for record in records])
        return {int(record.sequence): frozenset(record.event_indexes) for record in told}

    async def _apply_playback(
        self, position: position_pb2.BatchPosition, rows: Rows
    ) -> list[features_pb2.EngagementUpdate]:
        played = [row for row, event in enumerate(rows.events) if event.event_type == _PLAYBACK]
        if not played:
            return []
        with self.telemetry.metrics.timing(registry.STEP_SECONDS, "video"):
            answer = await self.peers.video.ApplyPlayback(
                video_pb2.ApplyPlaybackRequest(position=position, events=[rows.events[row] for row in played]),
                timeout=_STEP_SECONDS,
            )
        return [
            features_pb2.EngagementUpdate(row=row, score=score)
            for row, score in zip(played, answer.engagement_scores, strict=True)
        ]

    async def _move_journeys(self, moving: Sequence[Departure]) -> None:
        """Makes anonymous journeys part of their users': appends what moves, and copies of the last session.

        All of it has ids of its own, computed from the events', so that repeating it changes nothing.
        """

        async def ask(user_ids: Sequence[str]) -> Sequence[features_pb2.ListRecentEventsResponse]:
            request = features_pb2.BatchListRecentEventsRequest(user_ids=user_ids)
            return (await self.peers.features.BatchListRecentEvents(request, timeout=_STEP_SECONDS)).users

        recent = await channel.in_pieces(ask, [each.linked.user_id for each in moving])
        made = [
            event
            for each, of_user in zip(moving, recent, strict=True)
            for event in (*arrivals(each), *copies(of_user.events, each.linked))
        ]
        if made:
            await self.log.append(of_events(made))

    def _span(self, shard: str, record_count: int, rows: Rows) -> contextlib.AbstractContextManager[trace.Span | None]:
        """The span of a batch: in the trace of its producer where one is recorded, else linked to each that is.

        Where none is, nothing is recorded of the batch either.
        """
        if not self.telemetry.is_on:
            return contextlib.nullcontext()
        producers = origins(rows.events)
        is_shared = len({trace_id for trace_id, _ in producers}) > 1
        first = producers[0] if producers else (rows.events[0].trace_id, b"")
        parent = None if is_shared else telemetry.span_context(*first)
        return self.telemetry.tracer.start_as_current_span(
            semconv.SPAN_DISPATCH,
            context=telemetry.within(parent),
            kind=trace.SpanKind.CONSUMER,
            links=telemetry.links(producers),
            attributes={
                semconv.STREAM: self.stream,
                semconv.SHARD: shard,
                semconv.RECORD_COUNT: record_count,
                semconv.EVENT_COUNT: len(rows.events),
            },
        )


async def claimed(seen: SeenEvents, shard: str, batch: Sequence[Decoded]) -> Rows:
    """The events of a batch that count: of two copies the one whose place is remembered, in the order of the stream.

    Of a clean record all count; the ids of others are looked up, and claimed where ingest has not come so far.
    """
    clean = await seen.clean(shard, {record.sequence: len(record.events) for record in batch})
    claims = [
        Claim(event.event_id, Seen(Place(shard, record.sequence, index), event.received_time_us, event.trace_id))
        for record in batch
        if record.sequence not in clean
        for index, event in ((index, record.events[index]) for index in _wanted(record))
    ]
    owners = await _owners(seen, claims)
    copied = {claim.seen.place for claim, owner in zip(claims, owners, strict=True) if owner.place != claim.seen.place}
    rows = Rows([], [], [])
    for record_index, record in enumerate(batch):
        counted = _wanted(record)
        if copied:
            counted = [index for index in counted if Place(shard, record.sequence, index) not in copied]
        rows.events.extend(record.events[index] for index in counted)
        rows.record_indexes.extend([record_index] * len(counted))
        rows.event_indexes.extend(counted)
    return rows


def _wanted(record: Decoded) -> Sequence[int]:
    """The events of a record that are asked for."""
    if record.users is None:
        return range(len(record.events))
    return [index for index, event in enumerate(record.events) if event.user_id in record.users]


async def _owners(seen: SeenEvents, claims: Sequence[Claim]) -> list[Seen]:
    """Who each id belongs to. Mostly somebody has claimed it, and a look is cheaper than a claim."""
    if not claims:
        return []
    newest_us = max(claim.seen.received_time_us for claim in claims)
    found = await seen.find([claim.event_id for claim in claims], newest_us)
    missing = [claim for claim, known in zip(claims, found, strict=True) if known is None]
    now_claimed = iter(await seen.claim(missing) if missing else ())
    return [known if known is not None else next(now_claimed) for known in found]
