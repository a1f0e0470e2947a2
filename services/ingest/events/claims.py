"""Which events of records count: of duplicates, one."""

from collections.abc import Sequence

from services.ingest.events.domain.event import EventPosition, Seen
from services.ingest.events.ports import Claim, SeenEvents
from services.ingest.events.translation.records import Decoded, Rows, counted


async def claimed(seen: SeenEvents, shard: str, batch: Sequence[Decoded]) -> Rows:
    """The events of a batch that count, in stream order: of duplicates the one whose position is remembered.

    All events of a clean record count; other ids are looked up, and claimed if the api has not remembered them yet.
    """
    clean = await seen.clean(shard, {record.sequence: len(record.table) for record in batch})
    rows = [record.rows_that_count(range(len(record.table))) for record in batch]
    doubtful = [
        (record_index, row)
        for record_index, record in enumerate(batch)
        if record.sequence not in clean
        for row in rows[record_index]
    ]
    claims = [_claim(shard, batch[record_index], row) for record_index, row in doubtful]
    duplicates: dict[int, set[int]] = {}
    for (record_index, row), claim, owner in zip(doubtful, claims, await _owners(seen, claims), strict=True):
        if owner.position != claim.seen.position:
            duplicates.setdefault(record_index, set()).add(row)
    for record_index, its in duplicates.items():
        rows[record_index] = [row for row in rows[record_index] if row not in its]
    return counted(batch, rows)


def _claim(shard: str, record: Decoded, row: int) -> Claim:
    table = record.table
    seen = Seen(EventPosition(shard, record.sequence, row), table.received_time_us[row], table.trace_id[row])
    return Claim(table.event_id[row], seen)


async def _owners(seen: SeenEvents, claims: Sequence[Claim]) -> list[Seen]:
    """What is remembered of each id. Most are claimed already, and a lookup is cheaper than a claim."""
    if not claims:
        return []
    newest_us = max(claim.seen.received_time_us for claim in claims)
    found = await seen.find([claim.event_id for claim in claims], newest_us)
    missing = [claim for claim, known in zip(claims, found, strict=True) if known is None]
    now_claimed = iter(await seen.claim(missing) if missing else ())
    return [known if known is not None else next(now_claimed) for known in found]
