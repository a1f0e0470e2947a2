"""Reads purchases from the archive of events: of one tenant, and in one currency."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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

NO_CURRENCY: Final = "none"
"""The currency of purchases that name none."""

_COLUMNS: Final = (
    *("shard", "sequence", "event_index", "is_set_aside", "event_id", "user_id", "event_time", "event_type", "is_bot"),
    *("copied_event_id", "purchase", "raw"),
)
_DAY_US: Final = 86_400_000_000


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


def histories(
    archive: ParquetArchive,
    found: Contents,
    progress: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]],
    *,
    tenant: str = tenants.DEFAULT,
) -> dict[str, Purchased]:
    """What each customer of a tenant bought, by user id, as the customers service keeps it; `history` tells the orders.

    Events of bots and failed events do not count. An event that was copied to a known user's journey is that user's as
    well as the anonymous one's.

    Args:
        archive: where the files are.
        found: the files to read; none: nobody bought anything.
        progress: is handed what is read, batch by batch.
        tenant: whose customers.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    made: dict[str, Purchased] = {}
    batches = progress(batch for file in found.files for batch in archive.batches(file, _COLUMNS))
    for each in itertools.chain.from_iterable(map(_purchases, batches)):
        event = each.event
        if each.is_set_aside or event.is_bot or tenants.tenant_of(event.user_id) != tenant:
            continue
        bought = bought_of(event.copied_event_id or event.event_id, event.event_time_us, event.purchase)
        add(made.setdefault(tenants.plain(event.user_id), Purchased({}, {})), bought)
    return made


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
