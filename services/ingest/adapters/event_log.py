"""Events on the mesh's stream: one record a lane and call."""

from collections.abc import Sequence
from typing import cast

from journeymesh.common.v1 import event_pb2

from mesh.stream import Entry, StreamWriter
from services.ingest.domain.event import Event, Place


class StreamEventLog:
    """Packs the events of a lane into one record, so that a batch of any size is a few records."""

    def __init__(self, stream: StreamWriter) -> None:
        self._stream = stream

    async def append(self, events: Sequence[Event]) -> list[Place]:
        """See `ports.EventLog`."""
        lanes: dict[str, list[int]] = {}
        for index, event in enumerate(events):
            lanes.setdefault(self._stream.lane(event.user_id), []).append(index)
        entries = [
            Entry(lane, event_pb2.EventRecord(events=_wire(events, indexes)).SerializeToString())
            for lane, indexes in lanes.items()
        ]
        positions = await self._stream.append(entries)
        places: dict[int, Place] = {}
        for (shard, sequence), indexes in zip(positions, lanes.values(), strict=True):
            for event_index, index in enumerate(indexes):
                places[index] = Place(shard, sequence, event_index)
        return [places[index] for index in range(len(events))]


def _wire(events: Sequence[Event], indexes: Sequence[int]) -> list[event_pb2.Event]:
    # What the servicer hands in is the wire's own object, seen by shape.
    return [cast("event_pb2.Event", events[index]) for index in indexes]
