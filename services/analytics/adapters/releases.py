"""What is known of releases, in Redis, and in memory for tests."""

from typing import Final

import msgspec

from mesh.errors import VersionMismatch
from mesh.store import redis
from mesh.stored import readable
from services.analytics.adapters import changes
from services.analytics.domain.changes import Change
from services.analytics.domain.releases import Releases, Start
from services.analytics.ports import KeptReleases

_KEY: Final = "jm:{analytics}:releases"
_MEMBER: Final = "releases"
_VERSION: Final = 1


class _Start(msgspec.Struct, array_like=True):
    replica: str
    version: str


class _Change(msgspec.Struct, array_like=True):
    time_us: int
    name: str


class _Packed(msgspec.Struct, array_like=True):
    """What is stored; it and its parts grow at their ends."""

    format: int
    version: str
    starts: list[_Start]
    changes: list[_Change]


class _Format(msgspec.Struct, array_like=True):
    format: int


class RedisReleases:
    """Keeps what is known of releases in Redis. A value that cannot be read is begun anew."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def read(self) -> KeptReleases:
        """See `ports.ReleaseStore`."""
        count, blob = await changes.read(self._client, _KEY, _MEMBER)
        found = readable("What is known of releases", [blob] if blob else [], _decode)
        return KeptReleases(count, next(iter(found.values()), Releases()))

    async def replace(self, releases: Releases, seen: int) -> bool:
        """See `ports.ReleaseStore`."""
        return await changes.replace(self._client, _KEY, _MEMBER, _encode(releases), seen)


class MemoryReleases:
    """Keeps what is known of releases in a variable. No step is interrupted, so each is atomic."""

    def __init__(self) -> None:
        self._kept = KeptReleases(0, Releases())

    async def read(self) -> KeptReleases:
        """See `ports.ReleaseStore`."""
        return self._kept

    async def replace(self, releases: Releases, seen: int) -> bool:
        """See `ports.ReleaseStore`."""
        if self._kept.changes != seen:
            return False
        self._kept = KeptReleases(seen + 1, releases)
        return True


def _encode(of: Releases) -> bytes:
    starts = [_Start(*each) for each in of.starts]
    return msgspec.msgpack.encode(
        _Packed(_VERSION, of.version, starts, [_Change(each.time_us, each.name) for each in of.changes])
    )


def _decode(blob: bytes) -> Releases:
    if msgspec.msgpack.decode(blob, type=_Format).format > _VERSION:
        raise VersionMismatch("What is known of releases was stored by a newer version of the service.")
    packed = msgspec.msgpack.decode(blob, type=_Packed)
    return Releases(
        packed.version,
        tuple(Start(each.replica, each.version) for each in packed.starts),
        tuple(Change(each.time_us, "deploy", each.name) for each in packed.changes),
    )
