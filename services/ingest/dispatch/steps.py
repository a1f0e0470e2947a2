"""Takes a batch through the mesh, step by step.

    claim → video → features → scoring → intervention → customers → copies

The claim decides which of two duplicates is applied: the one whose position is remembered. Every step may be repeated:
services answer a repeated batch as they did at first, and appended events have computed ids.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import Final, NamedTuple

from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.customers.v1 import customers_pb2, customers_pb2_grpc
from journeymesh.features.v1 import features_pb2, features_pb2_grpc
from journeymesh.intervention.v1 import intervention_pb2, intervention_pb2_grpc
from journeymesh.scoring.v1 import scoring_pb2_grpc
from journeymesh.video.v1 import video_pb2, video_pb2_grpc
from opentelemetry import trace

from mesh.errors import InvalidArgument, VersionMismatch
from mesh.leases.port import Lease
from mesh.observability import registry, semconv, telemetry
from mesh.observability.telemetry import Telemetry
from mesh.rpc import channel
from mesh.rpc.tls import Tls
from records.table import Table, of_events
from services.ingest.dispatch.translation.deciding import (
    apply_request,
    assess_request,
    check_answered,
    decide_request,
    vectors_of,
)
from services.ingest.dispatch.translation.groups import groups_of
from services.ingest.dispatch.translation.journeys import Departure, arrivals, copies, departures
from services.ingest.dispatch.translation.purchases import purchases_of, traits_of
from services.ingest.events.claims import claimed
from services.ingest.events.ports import EventLog, SeenEvents
from services.ingest.events.translation.records import Decoded, Rows, covered

_STEP_SECONDS: Final = 20.0
# Each journey has up to 20 events of about 6 KB; those of 50 are read in one response and appended at once.
_JOURNEYS_AT_ONCE: Final = 50

_MOST_LINKS: Final = 64
_OTHER_VERSION: Final = "Intervention is of another version than its caller; it must be upgraded first."
_PLAYBACK: Final = event_pb2.EVENT_TYPE_VIDEO_PLAYBACK


class Peers(NamedTuple):
    """The services a batch goes through, in this order."""

    video: "video_pb2_grpc.VideoServiceAsyncStub"
    features: "features_pb2_grpc.FeaturesServiceAsyncStub"
    scoring: "scoring_pb2_grpc.ScoringServiceAsyncStub"
    intervention: "intervention_pb2_grpc.InterventionServiceAsyncStub"
    customers: "customers_pb2_grpc.CustomersServiceAsyncStub"

    @classmethod
    def dial(cls, targets: Sequence[str], traced: Telemetry, tls: Tls | None = None) -> "Peers":
        """Stubs of the services at these targets, in the same order."""
        video, features, scoring, intervention, customers = (channel.dial(target, traced, tls) for target in targets)
        return cls(
            video_pb2_grpc.VideoServiceStub(video),
            features_pb2_grpc.FeaturesServiceStub(features),
            scoring_pb2_grpc.ScoringServiceStub(scoring),
            intervention_pb2_grpc.InterventionServiceStub(intervention),
            customers_pb2_grpc.CustomersServiceStub(customers),
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
        """Applies a batch of the leased shard, or retracts it up to the step that cannot apply it.

        Raises:
            FailedPrecondition: the shard was lost to another.
            MeshError: a step or a store cannot be reached, or cannot apply the batch.
        """
        step = functools.partial(self.telemetry.metrics.timing, registry.STEP_SECONDS)
        with step("claim"):
            rows = await claimed(self.seen, lease.shard, batch)
        if not len(rows.table):
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
            groups = groups_of(rows)
            with step("features"):
                applied = await self.peers.features.ApplyEvents(
                    apply_request(position, batch, rows, groups, engagements), timeout=_STEP_SECONDS
                )
            vectors = vectors_of(rows, groups, applied)
            with step("scoring"):
                assessed = await self.peers.scoring.AssessUsers(
                    assess_request(position, rows, groups, applied, vectors), timeout=_STEP_SECONDS
                )
            check_answered(groups.deciding, assessed.assessments)
            with step("intervention"):
                request = decide_request(position, rows, groups, applied, vectors, assessed)
                decided = await self._decide(request)
            await self._apply_purchases(position, rows)
            if is_retraction:
                return
            linked = [each.row for each in request.linked_rows]
            moving = departures({row: rows.table.event(row) for row in linked}, applied, decided)
            for start in range(0, len(moving), _JOURNEYS_AT_ONCE):
                with step("copies"):
                    await self._move_journeys(moving[start : start + _JOURNEYS_AT_ONCE])
        self.telemetry.metrics.count(registry.APPLIED_EVENTS, len(rows.table))

    async def _decide(
        self, request: intervention_pb2.DecideInterventionsRequest
    ) -> intervention_pb2.DecideInterventionsResponse:
        try:
            return await self.peers.intervention.DecideInterventions(request, timeout=_STEP_SECONDS)
        except InvalidArgument as error:
            if error.reason != "INVALID_TYPE":
                raise
            # Not the fault of the events: an older intervention service does not know the columns of this request.
            raise VersionMismatch(_OTHER_VERSION) from error

    async def decided(self, shard: str, records: Sequence[Decoded]) -> dict[int, frozenset[int]]:
        """The indexes of the events that led to decisions, by sequence number, as far as the ledger reaches back."""

        async def ask(sequences: Sequence[str]) -> Sequence[intervention_pb2.LedgerRecord]:
            request = intervention_pb2.ReadLedgerRequest(shard=shard, sequences=sequences)
            return (await self.peers.intervention.ReadLedger(request, timeout=_STEP_SECONDS)).records

        found = await channel.in_pieces(ask, [str(record.sequence) for record in records])
        return {int(record.sequence): frozenset(covered(record)) for record in found}

    async def _apply_playback(
        self, position: position_pb2.BatchPosition, rows: Rows
    ) -> list[features_pb2.EngagementUpdate]:
        played = [row for row, kind in enumerate(rows.table.event_type) if kind == _PLAYBACK]
        if not played:
            return []
        with self.telemetry.metrics.timing(registry.STEP_SECONDS, "video"):
            response = await self.peers.video.ApplyPlayback(
                video_pb2.ApplyPlaybackRequest(position=position, events=[*map(rows.table.event, played)]),
                timeout=_STEP_SECONDS,
            )
        check_answered(played, response.engagement_scores)
        return [
            features_pb2.EngagementUpdate(row=row, score=score)
            for row, score in zip(played, response.engagement_scores, strict=True)
        ]

    async def _apply_purchases(self, position: position_pb2.BatchPosition, rows: Rows) -> None:
        bought, declared = purchases_of(rows.table), traits_of(rows.table)
        if bought or declared:
            with self.telemetry.metrics.timing(registry.STEP_SECONDS, "customers"):
                await self.peers.customers.ApplyPurchases(
                    customers_pb2.ApplyPurchasesRequest(position=position, purchases=bought, declared=declared),
                    timeout=_STEP_SECONDS,
                )

    async def _move_journeys(self, moving: Sequence[Departure]) -> None:
        """Moves anonymous journeys to their users: appends what moves, and copies of the last session.

        All ids are computed from those of the events, so repeating this changes nothing.
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
        """The span of a batch: within its producers' trace if they share one, else linked to each recorded producer.

        If no producer is recorded, neither is the batch.
        """
        if not self.telemetry.is_on:
            return contextlib.nullcontext()
        producers = _origins(rows.table)
        is_shared = len({trace_id for trace_id, _ in producers}) > 1
        first = producers[0] if producers else (rows.table.trace_id[0], b"")
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
                semconv.EVENT_COUNT: len(rows.table),
            },
        )


def _origins(table: Table) -> list[tuple[bytes, bytes]]:
    """The recorded traces and spans of the events' producers, without duplicates, at most 64."""
    if not table.has("span_id"):
        return []
    pairs = dict.fromkeys(zip(table.trace_id, table.span_id, strict=True))
    return [(trace_id, span_id) for trace_id, span_id in pairs if span_id][:_MOST_LINKS]
