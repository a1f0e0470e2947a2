"""Reads purchases from the archive of events: of one tenant, and in one currency."""

import itertools
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from journeymesh.common.v1 import event_pb2

from offline.archive import NOTHING_YET, Contents
from offline.customers.purchases import EPOCH_DAY, PurchaseError, Purchases, summed
from records import tenants
from services.customers.domain.history import Purchased, add
from services.customers.translation import bought_of
from services.ingest.archive.adapters.event_rows import Archived, archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import ArchiveFile

NO_CURRENCY: Final = "none"
"""The currency of purchases that name none."""

_COLUMNS: Final = (
    *("shard", "sequence", "event_index", "is_set_aside", "event_id", "user_id", "event_time", "event_type", "is_bot"),
    *("copied_event_id", "purchase", "raw"),
)
_DAY_US: Final = 86_400_000_000
_ROWS_AT_ONCE: Final = 4_096


class Part(NamedTuple):
    """One of `among` parts of all customers, by a hash of their ids."""

    number: int
    among: int

    def has(self, user_id: str) -> bool:
        """Whether a customer is in it."""
        return zlib.crc32(user_id.encode()) % self.among == self.number


ALL: Final = Part(0, 1)


class _Bought(NamedTuple):
    customer: str
    day: int
    amount: float
    currency: str
    is_refund: bool


def read(
    archive: ParquetArchive,
    found: Contents,
    progress: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]],
    *,
    tenant: str = tenants.DEFAULT,
    currency: str = "",
) -> Purchases:
    """Reads the purchases and refunds of a tenant's customers; days are those of UTC.

    Each event counts once, an event that was copied to a known user's journey for that user. Events of bots and failed
    events do not count. A refund of an unknown amount is skipped and counted.

    Args:
        archive: where the files are.
        found: the files to read.
        progress: is handed what is read, batch by batch.
        tenant: whose customers.
        currency: which purchases: an ISO 4217 code, or `none` for those that name no currency. May be empty if all
            are of one.

    Raises:
        PurchaseError: there is no such purchase, or no currency was said and there are several.
        Unavailable: the storage cannot be reached.
    """
    if not found.files:
        raise PurchaseError(NOTHING_YET)
    batches = progress(batch for file in found.files for batch in archive.batches(file, _COLUMNS))
    counted = _counted(batches, tenant)
    only = _currency(counted, currency)
    spent_on: dict[tuple[str, int], list[float]] = {}
    skipped = 0
    for each in counted:
        if each.currency != only:
            continue
        if each.is_refund and not each.amount:
            skipped += 1
            continue
        spent_on.setdefault((each.customer, each.day), []).append(each.amount)
    return summed(spent_on, skipped)


def with_purchases(
    archive: ParquetArchive,
    found: Contents,
    progress: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]],
    *,
    tenant: str = tenants.DEFAULT,
) -> tuple[list[ArchiveFile], int]:
    """The files that hold purchases and refunds of a tenant's customers, and how many they hold.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    counts = Counter[ArchiveFile]()
    for file in found.files:
        for batch in progress(archive.batches(file, _COLUMNS)):
            counts[file] += len(_of_part(batch, tenant, ALL))
    return [file for file in found.files if counts[file]], counts.total()


def histories(
    archive: ParquetArchive, files: Iterable[ArchiveFile], *, tenant: str = tenants.DEFAULT, part: Part = ALL
) -> Iterator[tuple[str, Purchased]]:
    """What each customer of a part bought, as the customers service keeps it, by qualified id, in the order of ids.

    Events of bots and failed events do not count. An event that was copied to a known user's journey is that user's as
    well as the anonymous one's. The part's purchases are held in memory as columns, its customers one by one.

    Args:
        archive: where the files are.
        files: what to read; none: nobody bought anything.
        tenant: whose customers.
        part: which of the customers.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    batches = (_of_part(batch, tenant, part) for file in files for batch in archive.batches(file, _COLUMNS))
    some = [pa.Table.from_batches([batch]) for batch in batches if len(batch)]
    if not some:
        return
    rows = pa.concat_tables(some, promote_options="permissive").combine_chunks()
    del some
    # Stable: of one customer's the events stay in the order of the stream.
    order = pc.sort_indices(rows.column("user_id"))
    events = (
        each.event
        for start in range(0, len(rows), _ROWS_AT_ONCE)
        for batch in rows.take(order[start : start + _ROWS_AT_ONCE]).to_batches()
        for each in archived(batch)
    )
    for user_id, its in itertools.groupby(events, key=lambda event: event.user_id):
        made = Purchased({}, {})
        for event in its:
            add(made, bought_of(event.copied_event_id or event.event_id, event.event_time_us, event.purchase))
        yield user_id, made


def _of_part(batch: pa.RecordBatch, tenant: str, part: Part) -> pa.RecordBatch:
    """The purchases and refunds of a part of a tenant's customers, columns of words as text."""
    if "purchase" not in batch.schema.names:
        return batch.slice(0, 0)
    counts = pc.and_(
        pc.is_valid(batch.column("purchase")),
        pc.invert(pc.or_(batch.column("is_set_aside"), batch.column("is_bot"))),
    )
    batch = batch.filter(counts)
    for place, field in enumerate(batch.schema):
        if pa.types.is_dictionary(field.type):
            batch = batch.set_column(place, field.name, batch.column(place).cast(field.type.value_type))
    users = batch.column("user_id").dictionary_encode()
    names = users.dictionary.to_pylist()
    inside = pa.array([part.has(name) and tenants.tenant_of(name) == tenant for name in names], pa.bool_())
    return batch.filter(inside.take(users.indices))


def _counted(batches: Iterable[pa.RecordBatch], tenant: str) -> Sequence[_Bought]:
    """What a tenant's customers bought, each purchase once."""
    bought: dict[str, _Bought] = {}
    originals: set[str] = set()
    for each in itertools.chain.from_iterable(map(_purchases, batches)):
        event = each.event
        if each.is_set_aside or event.is_bot or tenants.tenant_of(event.user_id) != tenant:
            continue
        bought[event.event_id] = _bought(event)
        if event.copied_event_id:
            originals.add(event.copied_event_id)
    return [each for event_id, each in bought.items() if event_id not in originals]


def _purchases(batch: pa.RecordBatch) -> Iterable[Archived]:
    if "purchase" not in batch.schema.names:
        return ()
    return archived(batch.filter(pc.is_valid(batch.column("purchase"))))


def _bought(event: event_pb2.Event) -> _Bought:
    of = event.purchase
    day = EPOCH_DAY + event.event_time_us // _DAY_US
    return _Bought(tenants.plain(event.user_id), day, of.amount, of.currency or NO_CURRENCY, of.is_refund)


def _currency(bought: Iterable[_Bought], said: str) -> str:
    counts = Counter(each.currency for each in bought)
    if said and said not in counts:
        message = f"There is no purchase in {said}. There are {_told(counts)}."
        raise PurchaseError(message if counts else "The archive holds no purchase.")
    if len(counts) > 1 and not said:
        message = f"Purchases are of several currencies: {_told(counts)}. Say which (--currency)."
        raise PurchaseError(message)
    return said or next(iter(counts), NO_CURRENCY)


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} in {name}" for name, count in sorted(counts.items()))
