"""Events on the mesh's stream: one record per ordering group, tenant and call, or a few if one would be too large."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, cast

from journeymesh.common.v1 import event_table_pb2

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.stream.port import MAX_RECORD_BYTES, Entry, StreamWriter
from records import table as records
from records import wire
from records.tenants import tenant_of
from services.ingest.events.domain.event import Table
from services.ingest.events.ports import AppendedRecord, EventLog

_FORMAT_VERSION: Final = 1


class _Packed(NamedTuple):
    """Rows that become one record, as it will stand on the stream."""

    rows: Sequence[int]
    payload: bytes


class StreamEventLog:
    """Packs the events of an ordering group into one record per tenant: a batch of any size is a few records.

    All users of a record are of one tenant, so that one policy decides on it.
    """

    def __init__(self, stream: StreamWriter) -> None:
        self._stream = stream

    async def append(self, table: Table) -> list[AppendedRecord]:
        """See `ports.EventLog`."""
        # The table passed in is a `records.table.Table`, known by shape only.
        whole = cast("records.Table", table)
        group_of = {each: (self._stream.ordering_group(each), tenant_of(each)) for each in {*whole.user_id}}
        groups: dict[tuple[str, str], list[int]] = {}
        for row, user_id in enumerate(whole.user_id):
            groups.setdefault(group_of[user_id], []).append(row)
        packed = [(group, each) for (group, _), rows in groups.items() for each in _pack(whole, rows)]
        positions = await self._stream.append([Entry(group, each.payload) for group, each in packed])
        return [
            AppendedRecord(shard, sequence, each.rows)
            for (shard, sequence), (_, each) in zip(positions, packed, strict=True)
        ]


class TimedEventLog:
    """Measures how long another log takes."""

    def __init__(self, log: EventLog, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics

    async def append(self, table: Table) -> list[AppendedRecord]:
        """See `ports.EventLog`."""
        with self._metrics.timing(registry.APPEND_SECONDS):
            return await self._log.append(table)


def _pack(whole: records.Table, rows: Sequence[int]) -> Iterator[_Packed]:
    """The rows of an ordering group, in their order, as one record; split in halves if that would be too large."""
    some = whole if len(rows) == len(whole) else whole.take(rows)
    record = event_table_pb2.StreamRecord(table=wire.encoded(some), format_version=_FORMAT_VERSION)
    payload = record.SerializeToString()
    if len(payload) <= MAX_RECORD_BYTES or len(rows) == 1:
        yield _Packed(rows, payload)
        return
    middle = len(rows) // 2
    yield from _pack(whole, rows[:middle])
    yield from _pack(whole, rows[middle:])
