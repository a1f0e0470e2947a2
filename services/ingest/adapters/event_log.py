"""Events on the mesh's stream: one record a lane and call, or a few where one would grow too large."""

from collections.abc import Iterator, Sequence
from typing import Final, cast

from journeymesh.common.v1 import event_pb2

from mesh import registry
from mesh.metrics import Metrics
from mesh.stream import MAX_RECORD_BYTES, Entry, StreamWriter
from services.ingest.domain.event import Event, Place
from services.ingest.ports import EventLog

# What an event costs in a record beside its own bytes: a tag and a length.
_FRAME_BYTES: Final = 6


class StreamEventLog:
    """Packs the events of a lane into one record, so that a batch of any size is a few records."""

    def __init__(self, stream: StreamWriter) -> None:
        self._stream = stream

    async def append(self, events: Sequence[Event]) -> list[Place]:
        """See `ports.EventLog`."""
        # What the servicer hands in is the wire's own object, seen by shape.
        wire = cast("Sequence[event_pb2.Event]", events)
        lanes: dict[str, list[int]] = {}
        for index, event in enumerate(wire):
            lanes.setdefault(self._stream.lane(event.user_id), []).append(index)
        packed = [(lane, some) for lane, indexes in lanes.items() for some in _pack(wire, indexes)]
        entries = [
            Entry(lane, event_pb2.EventRecord(events=[wire[index] for index in some]).SerializeToString())
            for lane, some in packed
        ]
        positions = await self._stream.append(entries)
        places: dict[int, Place] = {}
        for (shard, sequence), (_, some) in zip(positions, packed, strict=True):
            for event_index, index in enumerate(some):
                places[index] = Place(shard, sequence, event_index)
        return [places[index] for index in range(len(wire))]


class TimedEventLog:
    """Measures how long another log takes."""

    def __init__(self, log: EventLog, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics

    async def append(self, events: Sequence[Event]) -> list[Place]:
        """See `ports.EventLog`."""
        with self._metrics.timing(registry.APPEND_SECONDS):
            return await self._log.append(events)


def _pack(events: Sequence[event_pb2.Event], indexes: Sequence[int]) -> Iterator[list[int]]:
    """The events of a lane, in their order, as many in a record as it may hold."""
    some: list[int] = []
    size = 0
    for index in indexes:
        event_bytes = events[index].ByteSize() + _FRAME_BYTES
        if some and size + event_bytes > MAX_RECORD_BYTES:
            yield some
            some, size = [], 0
        some.append(index)
        size += event_bytes
    yield some
