"""Saved segments in Redis, and in memory for tests: one value for each tenant, with the number of its changes."""

from typing import Final

import msgspec

from mesh.errors import VersionMismatch
from mesh.store import redis
from mesh.stored import reading
from services.analytics.adapters import changes
from services.analytics.domain.question import UserFilter
from services.analytics.domain.segment import Segment, Segments
from services.analytics.ports import Saved

_KEY: Final = "jm:{analytics}:segments:"
_VERSION: Final = 1

_MEMBER: Final = "segments"


class _Packed(msgspec.Struct, array_like=True):
    """A segment as it is stored; grows at its end."""

    version: int
    segment_id: str
    name: str
    description: str
    users: UserFilter
    revision: int
    created_us: int
    changed_us: int


class _Version(msgspec.Struct, array_like=True):
    version: int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(list[_Packed]).decode
_DECODE_VERSIONS: Final = msgspec.msgpack.Decoder(list[_Version]).decode


class RedisSegments:
    """Keeps saved segments in Redis."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def read(self, tenant: str) -> Saved:
        """See `ports.SegmentStore`."""
        count, blob = await changes.read(self._client, _KEY + tenant, _MEMBER)
        with reading("The list of segments"):
            return Saved(count, _decode(blob) if blob else ())

    async def replace(self, tenant: str, segments: Segments, seen: int) -> bool:
        """See `ports.SegmentStore`."""
        return await changes.replace(self._client, _KEY + tenant, _MEMBER, _encode(segments), seen)


class MemorySegments:
    """Keeps saved segments in a dictionary. No step is interrupted, so each is atomic."""

    def __init__(self) -> None:
        self._saved: dict[str, Saved] = {}

    async def read(self, tenant: str) -> Saved:
        """See `ports.SegmentStore`."""
        return self._saved.get(tenant, Saved(0, ()))

    async def replace(self, tenant: str, segments: Segments, seen: int) -> bool:
        """See `ports.SegmentStore`."""
        if (await self.read(tenant)).changes != seen:
            return False
        self._saved[tenant] = Saved(seen + 1, segments)
        return True


def _encode(segments: Segments) -> bytes:
    return _ENCODE(
        [
            _Packed(
                _VERSION,
                each.segment_id,
                each.name,
                each.description,
                each.users,
                each.revision,
                each.created_us,
                each.changed_us,
            )
            for each in segments
        ]
    )


def _decode(blob: bytes) -> Segments:
    if any(each.version > _VERSION for each in _DECODE_VERSIONS(blob)):
        raise VersionMismatch("A segment was stored by a newer version of the service.")
    return tuple(
        Segment(
            each.segment_id,
            each.name,
            each.description,
            each.users,
            each.revision,
            each.created_us,
            each.changed_us,
        )
        for each in _DECODE(blob)
    )
