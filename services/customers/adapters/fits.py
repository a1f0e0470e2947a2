"""Fits in Redis: a value per tenant, its customers by segment and id, and of each the group and what was published.

A file of all customers is a hash beside them: what it is about, and compressed pieces by number.
"""

import itertools
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import msgspec

from mesh.errors import NotFound, ResourceExhausted, VersionMismatch
from mesh.store import redis
from mesh.stored import readable
from records import tenants
from services.customers.domain.fit import Fit
from services.customers.domain.publishing import Published
from services.customers.domain.segments import SEGMENTS
from services.customers.ports import EXPORT_SECONDS, MOST_EXPORTED_BYTES, Exported, Standing

_PREFIX: Final = "jm:{customers}:"
_VERSION: Final = 1
_AT_ONCE: Final = 1_000
_CACHED: Final = 4
_ALL: Final = "all"
"""The field of what is erased that counts all erasures; the others count by segment, and by group behind a prefix."""
_OF_GROUP: Final = "group:"
_ABOUT: Final = "about"
"""The field of an export that says what it is about; the others are its pieces, by number from 0 on."""

# KEYS: the fit, what is erased, then pairs of what is new and what is replaced. ARGV: erasures seen, revision, fit.
_REPLACE: Final = redis.Script("""
local is_current = (redis.call('HGET', KEYS[2], 'all') or '0') == ARGV[1]
for place = 3, #KEYS, 2 do
  if not is_current then
    redis.call('DEL', KEYS[place])
  else
    redis.call('DEL', KEYS[place + 1])
    if redis.call('EXISTS', KEYS[place]) == 1 then
      redis.call('RENAME', KEYS[place], KEYS[place + 1])
      redis.call('PERSIST', KEYS[place + 1])
    end
  end
end
if not is_current then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'all', ARGV[1])
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'fit', ARGV[3])
return 1
""")

# KEYS: what is erased, the groups, what was published, the export, the members of each segment, then what is being
# written beside these, by whoever then finds that it cannot be put in place. ARGV: a user, the prefix of groups, then
# the segments.
_ERASE: Final = redis.Script("""
redis.call('HINCRBY', KEYS[1], 'all', 1)
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[4])
local group = redis.call('HGET', KEYS[2], ARGV[1])
if group then
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('HINCRBY', KEYS[1], ARGV[2] .. group, 1)
end
local members = 2 + #ARGV
for place = members + 1, #KEYS do redis.call('DEL', KEYS[place]) end
for place = 5, members do
  if redis.call('ZREM', KEYS[place], ARGV[1]) == 1 then redis.call('HINCRBY', KEYS[1], ARGV[place - 2], 1) end
end
return 1
""")
# KEYS: what was published, the members of a segment. ARGV: users, each before what is kept of them.
_PUBLISH: Final = redis.Script("""
for place = 1, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[2], ARGV[place]) then redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1]) end
end
return 1
""")

# KEYS: what is erased, the export beside. ARGV: erasures seen, a field, its bytes, seconds to keep it.
_WRITE_EXPORT: Final = redis.Script("""
if (redis.call('HGET', KEYS[1], 'all') or '0') ~= ARGV[1] then
  redis.call('DEL', KEYS[2])
  return 0
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
""")

# KEYS: what is erased, the export beside, the export. ARGV: erasures seen, how many fields it has, seconds to keep it.
_KEEP_EXPORT: Final = redis.Script("""
if (redis.call('HGET', KEYS[1], 'all') or '0') ~= ARGV[1] or redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[2])
  return 0
end
redis.call('RENAME', KEYS[2], KEYS[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])
return 1
""")

_STAGED_SECONDS: Final = 3_600
"""How long it is kept what was not put in place, because its process was killed."""

_Put: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[Any]]


class Packed(msgspec.Struct, array_like=True):
    """A fit as it is stored."""

    version: int
    fit: Fit


class _About(msgspec.Struct, array_like=True):
    """What a file of all customers is about."""

    version: int
    job_id: str
    customers: int
    pieces: int


class _Version(msgspec.Struct, array_like=True):
    version: int


_ENCODE: Final = msgspec.msgpack.Encoder(order="sorted").encode
_DECODE: Final = msgspec.msgpack.Decoder(Packed).decode
_DECODE_PUBLISHED: Final = msgspec.msgpack.Decoder(tuple[int, str, str, tuple[str, ...], int, int]).decode
_DECODE_ABOUT: Final = msgspec.msgpack.Decoder(_About).decode
_DECODE_VERSION: Final = msgspec.msgpack.Decoder(_Version).decode


class RedisFits:
    """Keeps fits in Redis, and the few that were asked for last in memory."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client
        self._cached: dict[str, tuple[bytes, Fit]] = {}

    async def fit(self, tenant: str) -> Fit | None:
        """See `ports.FitStore`."""
        with redis.translating_errors():
            revision = cast("bytes | None", await self._client.hget(_fit(tenant), "revision"))
            if revision is None:
                return None
            known = self._cached.get(tenant)
            if known and known[0] == revision:
                return known[1]
            found, blob = cast("list[bytes]", await self._client.hmget(_fit(tenant), ["revision", "fit"]))
        learnt = readable("What was learnt of customers, which can be learnt again,", [blob], decode).get(blob)
        if learnt is None:
            return None
        self._cached.pop(tenant, None)
        self._cached = dict(itertools.islice(self._cached.items(), max(len(self._cached) - _CACHED + 1, 0), None))
        self._cached[tenant] = found, learnt
        return learnt

    async def standing(self, tenant: str) -> Standing:
        """See `ports.FitStore`."""
        with redis.translating_errors():
            kept = cast("dict[bytes, bytes]", await self._client.hgetall(_erased(tenant)))
        counts = {key.decode(): int(count) for key, count in kept.items()}
        members, grouped = dict[str, str](), dict[str, str]()
        for segment in SEGMENTS:
            after = ""
            while found := await self.members(tenant, segment, after, _AT_ONCE):
                members.update(dict.fromkeys(found, segment))
                groups = await self.groups(tenant, found)
                grouped.update((name, sys.intern(group)) for name, group in zip(found, groups, strict=True) if group)
                after = found[-1]
        erasures = counts.pop(_ALL, 0)
        of_groups = {name: counts.pop(name) for name in [*counts] if name.startswith(_OF_GROUP)}
        erased_groups = {name.removeprefix(_OF_GROUP): count for name, count in of_groups.items()}
        return Standing(members, counts, erasures, grouped, erased_groups)

    async def replace(
        self, tenant: str, fit: Fit, members: Mapping[str, str], grouped: Mapping[str, str], seen: int
    ) -> bool:
        """See `ports.FitStore`."""
        keys = [_fit(tenant), _erased(tenant)]
        for segment in SEGMENTS:
            names = [name for name, each in members.items() if each == segment]
            keys += await self._staged(_members(tenant, segment), dict.fromkeys(names, 0), self._client.zadd)
        keys += await self._staged(_groups(tenant), grouped, self._put)
        (is_done,) = await _REPLACE.run(self._client, redis.Call(keys, [seen, fit.fitted_ms, encode(fit)]))
        return bool(is_done)

    async def _staged(self, key: str, items: Mapping[str, Any], put: _Put) -> tuple[str, str]:
        """Puts what will replace a key beside it, in parts; returns both keys."""
        new = _beside(key)
        every = iter(items.items())
        with redis.translating_errors():
            await self._client.delete(new)
            while part := dict(itertools.islice(every, _AT_ONCE)):
                await put(new, part)
                await self._client.expire(new, _STAGED_SECONDS)
        return new, key

    async def _put(self, key: str, items: dict[str, Any]) -> Any:  # noqa: ANN401 - as the client's own
        return await self._client.hset(key, mapping=cast("Any", items))

    async def members(self, tenant: str, segment: str, after: str, count: int) -> Sequence[str]:
        """See `ports.FitStore`."""
        with redis.translating_errors():
            found = await self._client.zrangebylex(
                _members(tenant, segment), f"({after}" if after else "-", "+", start=0, num=count
            )
        return [name.decode() for name in cast("list[bytes]", found)]

    async def segment(self, user_id: str) -> str:
        """See `ports.FitStore`."""
        tenant = tenants.tenant_of(user_id)
        pipeline = self._client.pipeline(transaction=False)
        for segment in SEGMENTS:
            pipeline.zscore(_members(tenant, segment), user_id)
        with redis.translating_errors():
            scores = await pipeline.execute()
        return next((name for name, score in zip(SEGMENTS, scores, strict=True) if score is not None), "")

    async def groups(self, tenant: str, user_ids: Sequence[str]) -> Sequence[str]:
        """See `ports.FitStore`."""
        if not user_ids:
            return ()
        with redis.translating_errors():
            found = cast("list[bytes | None]", await self._client.hmget(_groups(tenant), [*user_ids]))
        return [(group or b"").decode() for group in found]

    async def published(self, tenant: str, user_ids: Sequence[str]) -> Sequence[Published | None]:
        """See `ports.FitStore`."""
        if not user_ids:
            return ()
        with redis.translating_errors():
            found = cast("list[bytes | None]", await self._client.hmget(_published(tenant), [*user_ids]))
        known = readable("What was published of a customer", filter(None, found), _decode_published)
        return [None if blob is None else known.get(blob) for blob in found]

    async def publish(self, tenant: str, segment: str, published: Mapping[str, Published]) -> None:
        """See `ports.FitStore`."""
        arguments = [part for name, each in published.items() for part in (name, _encode_published(each))]
        await _PUBLISH.run(self._client, redis.Call([_published(tenant), _members(tenant, segment)], arguments))

    async def departed(self, tenant: str) -> AsyncIterator[Mapping[str, Published]]:
        """See `ports.FitStore`."""
        cursor, is_begun = 0, False
        while cursor or not is_begun:
            is_begun = True
            with redis.translating_errors():
                cursor, found = cast(
                    "tuple[int, dict[bytes, bytes]]",
                    await self._client.hscan(_published(tenant), cursor, count=_AT_ONCE),
                )
                pipeline = self._client.pipeline(transaction=False)
                for segment in SEGMENTS if found else ():
                    pipeline.zmscore(_members(tenant, segment), cast("list[str]", [*found]))
                scores = cast("list[list[float | None]]", await pipeline.execute())
            are_inside = [any(each is not None for each in of) for of in zip(*scores, strict=True)]
            if gone := {
                name.decode(): _decode_published(blob)
                for (name, blob), is_inside in zip(found.items(), are_inside, strict=True)
                if not is_inside
            }:
                yield gone

    async def unpublish(self, tenant: str, user_ids: Sequence[str]) -> None:
        """See `ports.FitStore`."""
        if user_ids:
            with redis.translating_errors():
                await self._client.hdel(_published(tenant), *user_ids)

    async def erase(self, user_ids: Sequence[str]) -> None:
        """See `ports.FitStore`."""
        calls = []
        for user_id in user_ids:
            tenant = tenants.tenant_of(user_id)
            members = [_members(tenant, segment) for segment in SEGMENTS]
            beside = map(_beside, (_groups(tenant), _export(tenant), *members))
            keys = [_erased(tenant), _groups(tenant), _published(tenant), _export(tenant), *members, *beside]
            calls.append(redis.Call(keys, [user_id, _OF_GROUP, *SEGMENTS]))
        if calls:
            await _ERASE.run(self._client, *calls)

    async def erasures(self, tenant: str) -> int:
        """See `ports.FitStore`."""
        with redis.translating_errors():
            return int(cast("bytes | None", await self._client.hget(_erased(tenant), _ALL)) or 0)

    async def keep_export(self, tenant: str, exported: Exported, seen: int) -> bool:
        """See `ports.FitStore`."""
        key = _export(tenant)
        new, count, size = _beside(key), 0, 0
        with redis.translating_errors():
            await self._client.delete(new)
        for piece in exported.pieces:
            packed = zlib.compress(piece)
            size += len(packed)
            if size > MOST_EXPORTED_BYTES:
                with redis.translating_errors():
                    await self._client.delete(new)
                message = f"The file has more than {MOST_EXPORTED_BYTES >> 20} MiB, compressed."
                raise ResourceExhausted("EXPORT_TOO_LARGE", message)
            if not await self._written(tenant, seen, str(count), packed):
                return False
            count += 1
        about = _ENCODE(_About(_VERSION, exported.job_id, exported.customers, count))
        if not await self._written(tenant, seen, _ABOUT, about):
            return False
        call = redis.Call([_erased(tenant), new, key], [seen, count + 1, EXPORT_SECONDS])
        (is_done,) = await _KEEP_EXPORT.run(self._client, call)
        return bool(is_done)

    async def _written(self, tenant: str, seen: int, field: str, content: bytes) -> bool:
        """Writes a field of an export, unless somebody was erased, whom an attempt of before could bring back."""
        keys = [_erased(tenant), _beside(_export(tenant))]
        (is_done,) = await _WRITE_EXPORT.run(self._client, redis.Call(keys, [seen, field, content, EXPORT_SECONDS]))
        return bool(is_done)

    async def exported(self, tenant: str, job_id: str) -> int | None:
        """See `ports.FitStore`."""
        with redis.translating_errors():
            blob = cast("bytes | None", await self._client.hget(_export(tenant), _ABOUT))
        about = _about(blob, job_id)
        return about.customers if about else None

    async def export(self, tenant: str, job_id: str) -> AsyncIterator[bytes]:
        """See `ports.FitStore`."""
        number, count = 0, 1
        while number < count:
            with redis.translating_errors():
                found = await self._client.hmget(_export(tenant), [_ABOUT, str(number)])
            blob, packed = cast("list[bytes | None]", found)
            about = _about(blob, job_id)
            if about is None or packed is None:
                raise NotFound("EXPORT_NOT_FOUND", "This job has no file, or not any more.")
            number, count = number + 1, about.pieces
            yield zlib.decompress(packed)


def _about(blob: bytes | None, job_id: str) -> _About | None:
    """What a file is about; None if it is not that of the job."""
    about = None if blob is None else readable("A file of all customers", [blob], _decode_about).get(blob)
    return about if about is not None and about.job_id == job_id else None


def _decode_about(blob: bytes) -> _About:
    if _DECODE_VERSION(blob).version > _VERSION:
        raise VersionMismatch("The file of all customers was stored by a newer version.")
    return _DECODE_ABOUT(blob)


def encode(fit: Fit) -> bytes:
    """A fit as it is stored."""
    return _ENCODE(Packed(_VERSION, fit))


def decode(blob: bytes) -> Fit:
    """A stored fit.

    Raises:
        VersionMismatch: a newer version wrote it.
    """
    if _DECODE_VERSION(blob).version > _VERSION:
        raise VersionMismatch("What was learnt of customers was stored by a newer version.")
    return _DECODE(blob).fit


def _encode_published(of: Published) -> bytes:
    return _ENCODE((_VERSION, *of))


def _decode_published(blob: bytes) -> Published:
    if _DECODE_VERSION(blob).version > _VERSION:
        raise VersionMismatch("What was published of customers was stored by a newer version.")
    return Published(*_DECODE_PUBLISHED(blob)[1:])


def _fit(tenant: str) -> str:
    return f"{_PREFIX}fit:{tenant}"


def _erased(tenant: str) -> str:
    return f"{_PREFIX}erased:{tenant}"


def _members(tenant: str, segment: str) -> str:
    return f"{_PREFIX}members:{tenant}:{segment}"


def _groups(tenant: str) -> str:
    return f"{_PREFIX}groups:{tenant}"


def _published(tenant: str) -> str:
    return f"{_PREFIX}published:{tenant}"


def _export(tenant: str) -> str:
    return f"{_PREFIX}export:{tenant}"


def _beside(key: str) -> str:
    """Where what will replace a key is written."""
    return f"{key}:new"
