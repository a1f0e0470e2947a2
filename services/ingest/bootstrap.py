"""Builds each role of ingest: settings → adapters → use cases.

With `__main__` the composition root: nothing else names concrete adapters.
"""

import contextlib
import dataclasses
import random
import secrets
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, Final, NamedTuple

from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub
from journeymesh.ingest.v1 import retention_pb2
from journeymesh.ingest.v1.erasure_pb2_grpc import add_ErasureServiceServicer_to_server
from journeymesh.ingest.v1.export_pb2_grpc import add_ExportServiceServicer_to_server
from journeymesh.ingest.v1.ingest_pb2_grpc import add_IngestServiceServicer_to_server
from journeymesh.ingest.v1.retention_pb2_grpc import add_RetentionServiceServicer_to_server
from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceStub

from mesh import clock, settings
from mesh.leases.redis import RedisLeases
from mesh.leases.sharing import Sharing
from mesh.observability.telemetry import Telemetry
from mesh.process.health import Check
from mesh.process.server import Register
from mesh.process.site import Site
from mesh.rpc import channel
from mesh.store import redis
from mesh.stream.port import StreamReader, StreamWriter
from mesh.stream.redis import RedisStream
from services.ingest.accept.adapters import gauges
from services.ingest.accept.adapters.lag import MeasuredPipeline
from services.ingest.accept.adapters.progress import LeasePipeline, LeaseProgress
from services.ingest.accept.adapters.redis import RedisDuplicates, RedisIdentities, RedisSkews
from services.ingest.accept.domain.masking.kinds import Masking, chosen
from services.ingest.accept.domain.page import PageRules
from services.ingest.accept.domain.placeholder import plain
from services.ingest.accept.domain.rate_limit import UserRateLimiter
from services.ingest.accept.domain.tidying import Rules
from services.ingest.accept.servicer import IngestServicer
from services.ingest.accept.usecases import Ingest, MaskingOfTenants
from services.ingest.archive import archiver
from services.ingest.archive.archiver import Archiver
from services.ingest.dispatch import dispatcher
from services.ingest.dispatch.dispatcher import Dispatcher
from services.ingest.dispatch.steps import Peers, Steps
from services.ingest.erasure.adapters import peers
from services.ingest.erasure.adapters.own import OwnRecords
from services.ingest.erasure.adapters.redis import RedisErasures
from services.ingest.erasure.servicer import ErasureServicer
from services.ingest.erasure.usecases import ArchiveErasing, Behind, Erasing
from services.ingest.events.adapters.event_log import StreamEventLog, TimedEventLog
from services.ingest.events.adapters.peer_tenants import PeerTenants
from services.ingest.events.adapters.redis_applied import RedisApplied
from services.ingest.events.adapters.redis_failed import RedisFailedEvents, RedisFailedRecords
from services.ingest.events.adapters.redis_seen import RedisSeenEvents
from services.ingest.events.adapters.redis_suppressed import RedisSuppressions
from services.ingest.events.usecases import SettingsOfTenants, Suppressing
from services.ingest.export.adapters.redis import RedisExports
from services.ingest.export.servicer import ExportServicer
from services.ingest.export.usecases import ArchiveExporting, Exported, Exporting
from services.ingest.retention.adapters.redis import RedisPasses
from services.ingest.retention.domain.terms import Terms
from services.ingest.retention.servicer import RetentionServicer
from services.ingest.retention.usecases import Expiring, Retention
from services.ingest.settings import Settings

# A Kinesis shard serves five reads per second to all consumers together.
_DISPATCHER_READS: Final = 4.0
_ARCHIVER_READS: Final = 0.5


@dataclasses.dataclass(frozen=True)
class Resources:
    """What all roles need: the store, the stream to write and to read, its name on the wire, and health checks."""

    own: Settings
    traced: Telemetry
    site: Site
    client: redis.Client
    stream: str
    writer: StreamWriter
    reader: StreamReader
    checks: dict[str, Check]
    suppressing: Suppressing
    tenants: SettingsOfTenants = dataclasses.field(default_factory=lambda: SettingsOfTenants(None))

    def leases(self, consumer: str) -> RedisLeases:
        """The leases of a consumer group of the stream."""
        return RedisLeases(self.client, self.stream, consumer, self.own.lease_seconds)


@contextlib.asynccontextmanager
async def resources(own: Settings, traced: Telemetry, site: Site, role: str) -> AsyncIterator[Resources]:
    """Opens the store and the stream for the block. Exits the process if a setting cannot be used."""
    client = await redis.connect_or_exit(settings.read_or_exit(redis.RedisSettings))
    checks: dict[str, Check] = {"store": lambda: redis.ping(client)}
    name = f"{own.stream}/{own.stream_name}"
    suppressing = Suppressing()
    await settings.or_exit(lambda: suppressing.read(RedisSuppressions(client)))
    if own.stream == "redis":
        stream = RedisStream(client, own.stream_name, own.shard_count, own.max_waiting_bytes)
        await settings.or_exit(stream.keep_shard_count)
        yield Resources(own, traced, site, client, name, stream, stream, checks, suppressing)
    else:
        from mesh.stream import kinesis  # an AWS client takes a second to load, and memory

        draw = random.Random()  # noqa: S311 - jitter, not a secret
        reads = _ARCHIVER_READS if role == "archiver" else _DISPATCHER_READS
        async with kinesis.connect() as aws:
            writer = kinesis.KinesisWriter(aws, own.stream_name, own.lane_count, draw.random)
            reader = kinesis.KinesisReader(aws, own.stream_name, reads, draw.random)
            checks["stream"] = writer.ping
            await settings.or_exit(lambda: writer.keep_lane_count(client))
            yield Resources(own, traced, site, client, name, writer, reader, checks, suppressing)


def servicer(on: Resources) -> IngestServicer:
    """The gRPC face of the api.

    Raises:
        SettingError: a kind of what is to be masked is unknown.
    """
    own, client, failed = on.own, on.client, RedisFailedEvents(on.client)
    ingest = Ingest(
        log=TimedEventLog(StreamEventLog(on.writer), on.traced.metrics),
        seen=RedisSeenEvents(client),
        duplicates=RedisDuplicates(client),
        failed=failed,
        skews=RedisSkews(client),
        identities=RedisIdentities(client),
        progress=LeaseProgress(on.leases("dispatcher"), failed, clock.monotonic_clock),
        applied=RedisApplied(client),
        limiter=UserRateLimiter(own.user_events_per_second, own.user_burst_events),
        clock=clock.system_clock,
        monotonic=clock.monotonic_clock,
        max_lag_seconds=own.max_lag_seconds,
        rules=_rules(own),
        masking=MaskingOfTenants(_masking(own), on.tenants),
        suppressing=on.suppressing,
    )
    return IngestServicer(ingest, _pipeline(on), on.traced.metrics)


def following(on: Resources) -> Coroutine[Any, Any, None]:
    """Keeps the list of suppressed people current, until it is cancelled."""
    return on.suppressing.follow(RedisSuppressions(on.client))


class People(NamedTuple):
    """What the api does about people, which it begins and works on."""

    erasing: Erasing
    exporting: Exporting


def faces(on: Resources, people: People) -> list[Register]:
    """The gRPC services of the api."""
    ingest, erasures, exports = servicer(on), ErasureServicer(people.erasing), ExportServicer(people.exporting)
    return [
        lambda to: add_IngestServiceServicer_to_server(ingest, to),
        lambda to: add_ErasureServiceServicer_to_server(erasures, to),
        lambda to: add_ExportServiceServicer_to_server(exports, to),
    ]


def _targets(own: Settings) -> Sequence[str]:
    """Where the services that a batch goes through are reached, in the order of `Peers`."""
    return own.video_target, own.features_target, own.scoring_target, own.intervention_target, own.customers_target


def people(on: Resources) -> People:
    """Erasures and exports, of which an erasure erases those of the person."""
    own, client = on.own, on.client
    records = OwnRecords(RedisIdentities(client), RedisSkews(client), RedisFailedEvents(client))
    targets = (*_targets(own), own.experiments_target)
    kept, exports, suppressions = RedisErasures(client), RedisExports(client), RedisSuppressions(client)
    services = peers.services(targets, on.traced, on.site.tls)
    audit = peers.PeerAuditLog(own.access_target, on.traced, on.site.tls)
    erasing = Erasing(
        kept=kept,
        suppressions=suppressions,
        links=records,
        services=[*services, records, Exported(exports, suppressions)],
        pipeline=_pipeline(on),
        audit=audit,
        signer=audit,
        clock=clock.system_clock,
        random_bytes=secrets.token_bytes,
        has_archive=bool(own.archive_url),
    )
    exporting = Exporting(
        kept=exports,
        turns=kept,
        suppressions=suppressions,
        links=records,
        sources=[*services, records],
        audit=audit,
        clock=clock.system_clock,
        random_bytes=secrets.token_bytes,
        has_archive=bool(own.archive_url),
    )
    return People(erasing, exporting)


def working(on: Resources, people: People) -> tuple[Coroutine[Any, Any, None], ...]:
    """What the api does while it serves, each until it is cancelled: it samples gauges, erases and exports people."""
    metrics = on.traced.metrics
    return (
        gauges.report_consumers(_pipeline(on), metrics),
        gauges.report_store(on.client, metrics),
        following(on),
        on.tenants.follow(_tenants(on)),
        people.erasing.run(_owner(on.own, on.own.listen)),
        people.exporting.run(_owner(on.own, on.own.listen)),
    )


def dispatching(on: Resources) -> Sharing:
    """The dispatcher, on its share of the shards."""
    own, client, leases = on.own, on.client, on.leases("dispatcher")
    targets = _targets(own)
    behind = Peers.dial(targets, on.traced, on.site.tls)
    runs = Dispatcher(
        reader=on.reader,
        leases=leases,
        steps=Steps(on.stream, RedisSeenEvents(client), StreamEventLog(on.writer), behind, on.traced),
        failed=RedisFailedEvents(client),
        failed_records=RedisFailedRecords(client),
        applied=RedisApplied(client),
        clock=clock.system_clock,
        limits=dispatcher.Limits(own.max_batch_events, own.dispatch_period_seconds, own.tolerated_failure_share),
        metrics=on.traced.metrics,
        trims=not own.archive_url,
        suppressing=on.suppressing,
    )
    return Sharing(on.reader, leases, _owner(own, own.dispatcher_listen), runs.follow, own.lease_seconds)


def archiving(on: Resources) -> Sharing:
    """The archiver, on its share of the shards."""
    from services.ingest.archive.adapters.files import ParquetArchive  # Parquet takes a second to load, and memory
    from services.ingest.archive.adapters.plans import RedisPlans
    from services.ingest.archive.adapters.tail import ArrowTail

    own, client, leases = on.own, on.client, on.leases("archiver")
    runs = Archiver(
        reader=on.reader,
        leases=leases,
        dispatched=on.leases("dispatcher"),
        plans=RedisPlans(client, on.stream),
        archive=ParquetArchive(own.archive_url, suppression=lambda: on.suppressing.now),
        tail=ArrowTail(own.archive_url),
        seen=RedisSeenEvents(client),
        failed_records=RedisFailedRecords(client),
        intervention=InterventionServiceStub(channel.dial(own.intervention_target, on.traced, on.site.tls)),
        limits=archiver.Limits(
            # What is gathered is still on the stream, and must leave room there for what arrives.
            flush_bytes=min(archiver.Limits.flush_bytes, own.max_waiting_bytes // 4),
            period_seconds=own.archive_period_seconds,
            tail_seconds=own.archive_tail_seconds,
        ),
        metrics=on.traced.metrics,
        suppressing=on.suppressing,
    )
    return Sharing(on.reader, leases, _owner(own, own.archiver_listen), runs.follow, own.lease_seconds)


class Beside(NamedTuple):
    """What a consumer of the stream does beside: gRPC services by their names, and work until it is cancelled."""

    faces: Sequence[Register] = ()
    names: Sequence[str] = ()
    works: Sequence[Coroutine[Any, Any, None]] = ()


NOTHING: Final = Beside()


def archive_works(on: Resources) -> Beside:
    """Erases people from the archive, exports them, and lets go what is over its days."""
    from services.ingest.archive.adapters.files import ParquetArchive  # as above
    from services.ingest.archive.adapters.tail import ArrowTail

    own, kept, behind = on.own, RedisErasures(on.client), Behind(_pipeline(on))
    archive = ParquetArchive(own.archive_url, suppression=lambda: on.suppressing.now)
    tenants = _tenants(on)

    async def terms() -> Terms:
        its = await tenants.all()
        return Terms(own.retention_days, {name: each.retention_days for name, each in its.items()})

    retention = Retention(archive, terms, clock.system_clock)
    erases = ArchiveErasing(kept, archive, ArrowTail(own.archive_url), behind)
    exports = ArchiveExporting(RedisExports(on.client), kept, archive, behind, clock.system_clock)
    expires = Expiring(retention, RedisPasses(on.client), kept, on.traced.metrics)
    owner, servicer = _owner(own, own.archiver_listen), RetentionServicer(retention)
    return Beside(
        [lambda to: add_RetentionServiceServicer_to_server(servicer, to)],
        [retention_pb2.DESCRIPTOR.services_by_name["RetentionService"].full_name],
        (erases.run(owner), exports.run(owner), expires.run(owner)),
    )


def _rules(own: Settings) -> Rules:
    more = map(plain, own.placeholder_ids.split(","))
    return Rules(PageRules(own.page_hash_routes, own.page_query), frozenset(filter(None, more)))


def _masking(own: Settings) -> Masking:
    try:
        return chosen(own.masking, own.masked_keys)
    except ValueError as error:
        message = f"JOURNEYMESH_MASKING must be {error}, not {own.masking!r}."
        raise settings.SettingError(message) from None


def _tenants(on: Resources) -> PeerTenants:
    return PeerTenants(AccessServiceStub(channel.dial(on.own.access_target, on.traced, on.site.tls)))


def _pipeline(on: Resources) -> MeasuredPipeline:
    consumers = ("dispatcher", "archiver") if on.own.archive_url else ("dispatcher",)
    # Kinesis serves five reads per second and shard.
    always = ("dispatcher",) if on.own.stream == "redis" else ()
    reported = LeasePipeline({consumer: on.leases(consumer) for consumer in consumers})
    return MeasuredPipeline(reported, on.reader, clock.monotonic_clock, consumers=consumers, always=always)


def _owner(own: Settings, listen: str) -> str:
    """The name under which a process holds shards: unique, and the same after a restart."""
    return own.reader_name or f"{socket.gethostname()} {listen}"
