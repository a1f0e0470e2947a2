"""What is watched, in Redis, and in memory for tests: a value for each tenant, and which ones somebody asks about."""

from collections.abc import Sequence
from typing import Final, cast

import msgspec

from mesh.errors import VersionMismatch
from mesh.store import redis
from mesh.stored import reading
from services.analytics.adapters import changes
from services.analytics.domain.answer import InsightPart, InsightSlice, Money
from services.analytics.domain.changes import Change
from services.analytics.domain.watched import BudgetAlarm, Message, Watched, WatchedInsight
from services.analytics.ports import KeptWatch

_KEY: Final = "jm:{analytics}:insights:"
_ASKED: Final = "jm:{analytics}:insights-asked"
_MEMBER: Final = "watched"
_VERSION: Final = 1


class _Part(msgspec.Struct, array_like=True):
    metric: str
    opened_us: int
    closed_us: int | None
    direction: str
    peak_us: int
    observed: float
    expected: float
    lower: float
    upper: float
    distance: float


class _Message(msgspec.Struct, array_like=True):
    kind: str
    state: str
    attempt_count: int
    time_us: int
    reason: str


class _Slice(msgspec.Struct, array_like=True):
    metric: str
    field: str
    value: str
    observed: float
    expected: float
    contribution: float
    surprise: float
    second_field: str = ""
    second_value: str = ""


class _Money(msgspec.Struct, array_like=True):
    currency: str
    amount: float


class _Change(msgspec.Struct, array_like=True):
    time_us: int
    kind: str
    name: str
    detail: str
    by: str


class _Insight(msgspec.Struct, array_like=True):
    insight_id: str
    opened_us: int
    closed_us: int | None
    severity: str
    affected_user_hours: float
    parts: list[_Part]
    found_us: int
    sequence: int
    acknowledged_by: str
    acknowledged_us: int | None
    snoozed_by: str
    snoozed_until_us: int | None
    snooze_reason: str
    messages: list[_Message]
    slices: list[_Slice] = []
    missing_money: list[_Money] = []
    changes: list[_Change] = []
    is_explained: bool = False


class _Alarm(msgspec.Struct, array_like=True):
    alarm_id: str
    day_us: int
    percent: int
    daily_usd: float
    used_usd: float
    found_us: int
    sequence: int
    message: _Message | None


class _Packed(msgspec.Struct, array_like=True):
    """What is stored; it and its parts grow at their ends."""

    version: int
    insights: list[_Insight]
    sequence: int
    since_us: int
    judged_us: int
    until_us: int
    needed_days: int
    noted: list[_Change] = []
    digest: _Message | None = None
    alarms: list[_Alarm] = []


class _Version(msgspec.Struct, array_like=True):
    version: int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode
_DECODE_VERSION: Final = msgspec.msgpack.Decoder(_Version).decode


class RedisWatches:
    """Keeps what is watched in Redis."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def read(self, tenant: str) -> KeptWatch:
        """See `ports.WatchStore`."""
        count, blob = await changes.read(self._client, _KEY + tenant, _MEMBER)
        with reading("What is watched"):
            return KeptWatch(count, _decode(blob) if blob else Watched())

    async def replace(self, tenant: str, watched: Watched, seen: int) -> bool:
        """See `ports.WatchStore`."""
        return await changes.replace(self._client, _KEY + tenant, _MEMBER, _encode(watched), seen)

    async def change_count(self, tenant: str) -> int:
        """See `ports.WatchStore`."""
        with redis.translating_errors():
            found = cast("bytes | None", await self._client.hget(_KEY + tenant, "changes"))
        return int(found or 0)

    async def note_asked(self, tenant: str, now_us: int) -> None:
        """See `ports.WatchStore`."""
        with redis.translating_errors():
            await self._client.zadd(_ASKED, {tenant: now_us}, gt=True)

    async def asked_since(self, since_us: int) -> Sequence[str]:
        """See `ports.WatchStore`."""
        with redis.translating_errors():
            await self._client.zremrangebyscore(_ASKED, "-inf", f"({since_us}")
            found = cast("list[bytes]", await self._client.zrange(_ASKED, 0, -1))
        return [each.decode() for each in found]


class MemoryWatches:
    """Keeps what is watched in dictionaries. No step is interrupted, so each is atomic."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptWatch] = {}
        self._asked: dict[str, int] = {}

    async def read(self, tenant: str) -> KeptWatch:
        """See `ports.WatchStore`."""
        return self._kept.get(tenant, KeptWatch(0, Watched()))

    async def replace(self, tenant: str, watched: Watched, seen: int) -> bool:
        """See `ports.WatchStore`."""
        if await self.change_count(tenant) != seen:
            return False
        self._kept[tenant] = KeptWatch(seen + 1, watched)
        return True

    async def change_count(self, tenant: str) -> int:
        """See `ports.WatchStore`."""
        return (await self.read(tenant)).changes

    async def note_asked(self, tenant: str, now_us: int) -> None:
        """See `ports.WatchStore`."""
        self._asked[tenant] = max(now_us, self._asked.get(tenant, now_us))

    async def asked_since(self, since_us: int) -> Sequence[str]:
        """See `ports.WatchStore`."""
        return sorted(tenant for tenant, at_us in self._asked.items() if at_us >= since_us)


def _encode(watched: Watched) -> bytes:
    members = watched._asdict() | {
        "insights": list(map(_packed, watched.insights)),
        "noted": [_Change(*each) for each in watched.noted],
        "digest": _message(watched.digest),
        "alarms": [_Alarm(*each[:-1], _message(each.message)) for each in watched.alarms],
    }
    return _ENCODE(_Packed(version=_VERSION, **members))


def _packed(of: WatchedInsight) -> _Insight:
    members = of._asdict() | {
        "parts": [_Part(*part[:-1]) for part in of.parts],
        "messages": [_Message(*each) for each in of.messages],
        "slices": [_Slice(*each) for each in of.slices],
        "missing_money": [_Money(*each) for each in of.missing_money],
        "changes": [_Change(*each) for each in of.changes],
    }
    return _Insight(**members)


def _decode(blob: bytes) -> Watched:
    if _DECODE_VERSION(blob).version > _VERSION:
        raise VersionMismatch("What is watched was stored by a newer version of the service.")
    packed = _DECODE(blob)
    members = msgspec.structs.asdict(packed) | {
        "insights": tuple(map(_insight, packed.insights)),
        "noted": tuple(map(_change, packed.noted)),
        "digest": _message_of(packed.digest),
        "alarms": tuple(
            BudgetAlarm._make((*msgspec.structs.astuple(each)[:-1], _message_of(each.message)))
            for each in packed.alarms
        ),
    }
    del members["version"]
    return Watched(**members)


def _insight(of: _Insight) -> WatchedInsight:
    members = msgspec.structs.asdict(of) | {
        "parts": tuple(InsightPart._make((*msgspec.structs.astuple(part), ())) for part in of.parts),
        "messages": tuple(Message(*msgspec.structs.astuple(each)) for each in of.messages),
        "slices": tuple(InsightSlice(*msgspec.structs.astuple(each)) for each in of.slices),
        "missing_money": tuple(Money(*msgspec.structs.astuple(each)) for each in of.missing_money),
        "changes": tuple(map(_change, of.changes)),
    }
    return WatchedInsight(**members)


def _message(of: Message | None) -> _Message | None:
    return None if of is None else _Message(*of)


def _message_of(of: _Message | None) -> Message | None:
    return None if of is None else Message(*msgspec.structs.astuple(of))


def _change(of: _Change) -> Change:
    return Change(*msgspec.structs.astuple(of))
