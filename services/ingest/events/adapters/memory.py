"""The shared ports in memory: for tests. Nothing expires."""

import collections
from collections.abc import Collection, Mapping, Sequence

import msgspec

from records.tenants import DEFAULT, tenant_of
from services.ingest.events.adapters.paging import AT_ONCE, PAGE_BYTES, page_start
from services.ingest.events.domain.event import EventPosition, FailedEvent, Seen
from services.ingest.events.domain.suppression import SECRET_BYTES, Suppression
from services.ingest.events.ports import AppendedEvents, Claim


class MemorySeenEvents:
    """Event ids, and for each record how many of its events were remembered at their places, in dictionaries."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._owned: dict[tuple[str, int], int] = {}

    async def find(self, ids: Sequence[str], now_us: int) -> list[Seen | None]:  # noqa: ARG002 - nothing ends here
        """See `ports.SeenEvents`."""
        return [self._seen.get(event_id) for event_id in ids]

    async def remember(self, records: Sequence[AppendedEvents]) -> set[str]:
        """See `ports.SeenEvents`."""
        known: set[str] = set()
        for shard, sequence, *columns in records:
            elsewhere = set()
            for event_id, event_index, received_us, trace_id in zip(*columns, strict=True):
                seen = Seen(EventPosition(shard, sequence, event_index), received_us, trace_id)
                if self._seen.setdefault(event_id, seen).position != seen.position:
                    elsewhere.add(event_id)
            self._owned[shard, sequence] = len(columns[0]) - len(elsewhere)
            known |= elsewhere
        return known

    async def clean(self, shard: str, event_counts: Mapping[int, int]) -> set[int]:
        """See `ports.SeenEvents`."""
        return {at for at, event_count in event_counts.items() if self._owned.get((shard, at)) == event_count}

    async def forget_records(self, shard: str, through: int) -> None:
        """See `ports.SeenEvents`."""
        self._owned = {at: count for at, count in self._owned.items() if at[0] != shard or at[1] > through}

    async def claim(self, claims: Sequence[Claim]) -> list[Seen]:
        """See `ports.SeenEvents`."""
        return [self._seen.setdefault(claim.event_id, claim.seen) for claim in claims]

    async def release(self, claim: Claim) -> None:
        """See `ports.SeenEvents`."""
        if self._seen.get(claim.event_id) == claim.seen:
            del self._seen[claim.event_id]
            self._owned.pop(claim.seen.position[:2], None)


class MemoryFailedEvents:
    """Failed events in a dictionary, oldest first."""

    def __init__(
        self, most_refused: int = 10_000, most_failed: int = 10_000, refused_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._most_refused = most_refused
        self._most_failed = most_failed
        self._refused_bytes = refused_bytes
        self._failed: dict[str, FailedEvent] = {}

    async def add(self, failed: Sequence[FailedEvent]) -> None:
        """See `ports.FailedEvents`."""
        for one in failed:
            self._failed.pop(one.id, None)
            self._failed[one.id] = one
        refused = [one for one in self._failed.values() if one.position is None]
        for tenant in {_tenant(one) for one in failed} - {DEFAULT}:
            own = [one for one in refused if _tenant(one) == tenant]
            self._make_room(own, self._most_refused // 2, self._refused_bytes // 2)
        self._make_room([one for one in refused if one.id in self._failed], self._most_refused, self._refused_bytes)

    def _make_room(self, refused: "list[FailedEvent]", most: int, most_bytes: int) -> None:
        size = sum(map(_size, refused))
        while len(refused) > most or size > most_bytes:
            oldest = refused.pop(0)
            size -= _size(oldest)
            del self._failed[oldest.id]

    async def has_room(self, count: int) -> bool:
        """See `ports.FailedEvents`."""
        return sum(one.position is not None for one in self._failed.values()) + count <= self._most_failed

    async def full_tenants(self) -> frozenset[str]:
        """See `ports.FailedEvents`."""
        set_aside = (_tenant(one) for one in self._failed.values() if one.position is not None)
        counts = collections.Counter(tenant for tenant in set_aside if tenant != DEFAULT)
        return frozenset(tenant for tenant, count in counts.items() if count >= self._most_failed // 2)

    async def find(self, ids: Sequence[str]) -> list[FailedEvent | None]:
        """See `ports.FailedEvents`."""
        return [self._failed.get(failed_id) for failed_id in ids]

    async def list(self, page_size: int, before: str, reason: str = "") -> tuple[Sequence[FailedEvent], str]:
        """See `ports.FailedEvents`."""
        newest = [one for one in reversed(self._failed.values()) if reason in {"", one.reason}]
        start = page_start(before)
        end = min(start + page_size, len(newest))
        reached = start
        while reached < end and sum(len(one.payload) + len(one.record) for one in newest[start:reached]) < PAGE_BYTES:
            reached = min(reached + AT_ONCE, end)
        return newest[start:reached], str(reached) if reached < len(newest) else ""

    async def remove(self, failed_id: str) -> None:
        """See `ports.FailedEvents`."""
        self._failed.pop(failed_id, None)

    async def strike_off(self, failed: FailedEvent) -> None:
        """See `ports.FailedEvents`."""
        if self._failed.get(failed.id) == failed:
            del self._failed[failed.id]


def _tenant(failed: FailedEvent) -> str:
    return tenant_of(failed.user_id) or tenant_of(failed.event_id)


def _size(failed: FailedEvent) -> int:
    return len(msgspec.msgpack.encode(failed._replace(position=None)))


class MemoryFailedRecords:
    """Marks in a set."""

    def __init__(self) -> None:
        self._marks: set[tuple[str, int]] = set()

    async def add(self, shard: str, sequences: Sequence[int]) -> None:
        """See `ports.FailedRecords`."""
        self._marks.update((shard, sequence) for sequence in sequences)

    async def find(self, shard: str, sequences: Sequence[int]) -> set[int]:
        """See `ports.FailedRecords`."""
        return {sequence for sequence in sequences if (shard, sequence) in self._marks}

    async def forget(self, shard: str, through: int) -> None:
        """See `ports.FailedRecords`."""
        self._marks = {mark for mark in self._marks if mark[0] != shard or mark[1] > through}


class MemorySuppressions:
    """Pseudonyms in a dictionary."""

    def __init__(self) -> None:
        self._erasures: dict[str, str] = {}

    async def all(self) -> Suppression:
        """See `ports.Suppressions`."""
        return Suppression(await self.secret(), frozenset(self._erasures))

    async def secret(self) -> bytes:
        """See `ports.Suppressions`."""
        return bytes(SECRET_BYTES)

    async def add(self, pseudonyms: Collection[str], erasure_id: str) -> None:
        """See `ports.Suppressions`."""
        self._erasures.update(dict.fromkeys(pseudonyms, erasure_id))

    async def remove(self, pseudonyms: Collection[str]) -> None:
        """See `ports.Suppressions`."""
        for each in pseudonyms:
            self._erasures.pop(each, None)


class MemoryApplied:
    """Every checkpoint that was noted, with its time."""

    def __init__(self) -> None:
        self._times_us: dict[str, dict[int, int]] = {}

    async def note(self, shard: str, checkpoint: int, now_us: int) -> None:
        """See `ports.Applied`."""
        self._times_us.setdefault(shard, {}).setdefault(checkpoint, now_us)

    async def find(self, shard: str, sequence: int, now_us: int) -> int | None:  # noqa: ARG002 - nothing ends here
        """See `ports.Applied`."""
        times_us = self._times_us.get(shard, {})
        reached = [checkpoint for checkpoint in times_us if checkpoint >= sequence]
        return times_us[min(reached)] if reached else None
