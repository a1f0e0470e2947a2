"""Takes a batch through the steps: whole or, if that fails, in parts.

Halving the batch traces a persistent fault to its records and, within a record, to its users. Parts come in stream
order, and the caller moves the checkpoint past each before the next is tried. So at most one part beyond the checkpoint
is applied, and it may come again in batches of any size.
"""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from mesh.errors import (
    AlreadyApplied,
    DeadlineExceeded,
    FailedPrecondition,
    MeshError,
    ResourceExhausted,
    TooLarge,
    Unavailable,
)
from mesh.leases.port import Lease
from mesh.observability import log
from services.ingest.dispatch.steps import Steps
from services.ingest.events.claims import claimed
from services.ingest.events.ports import FailedRecords
from services.ingest.events.translation.records import Decoded

_PAUSE_SECONDS: Final[tuple[float, ...]] = (0.02, 0.05, 0.1, 0.2, 0.5)
_ONCE: Final = _PAUSE_SECONDS[:1]
# If events of more users of a record fail, the record as a whole is at fault.
_MOST_BAD_USERS: Final = 16

# These are not the records' fault: they pass by themselves, or the shard is lost.
_PASSING: Final = (Unavailable, DeadlineExceeded, FailedPrecondition, ResourceExhausted)
# By this invalid argument scoring 0.1.0 reports that scoring or features has not been upgraded yet.
_OF_VERSIONS: Final = frozenset({"FEATURE_SCHEMA_MISMATCH"})

_log = logging.getLogger(__name__)


class Part(NamedTuple):
    """The next records of a batch. All but `failed` are applied; a failed one may name users: only theirs fail."""

    records: Sequence[Decoded]
    failed: Sequence[Decoded]


async def parts(
    steps: Steps, failed_records: FailedRecords, lease: Lease, batch: Sequence[Decoded]
) -> AsyncIterator[Part]:
    """Takes a batch through the steps. The caller settles each part before it asks for the next.

    Failed records are held back until a later one is applied: until then the fault may lie elsewhere.

    Raises:
        FailedPrecondition: the shard was lost to another.
        Unavailable: a step or a store cannot be reached.
    """
    untried, pauses = [list(batch)], _PAUSE_SECONDS
    held: list[Decoded] = []
    failed: list[Decoded] = []
    while untried:
        some = untried.pop()
        try:
            fails = await _fails(steps, lease, some, pauses)
        except AlreadyApplied as error:
            some, rest = _split_at(some, error.through)
            if not some:
                raise
            fails = False
            failed += await _unsettled(steps, failed_records, lease.shard, some)
            if rest:
                untried.append(rest)
        pauses = _ONCE
        if fails and len(some) > 1:
            middle = len(some) // 2
            untried += [some[middle:], some[:middle]]
            continue
        held += some
        failed += [record for record in some if record.broken is not None]
        if fails:
            bad = await _isolate(steps, lease, some[0])
            failed.append(bad)
            fails = bad.users is None
        if not fails or not untried:
            yield Part(held, failed)
            held, failed = [], []


async def _fails(steps: Steps, lease: Lease, batch: Sequence[Decoded], pauses: Sequence[float]) -> bool:
    """Applies records; returns whether that still fails after all retries."""
    readable = [record for record in batch if record.broken is None]
    if not readable:
        return False
    for pause in pauses:
        try:
            await steps.apply(lease, readable)
        except _PASSING:
            raise
        except TooLarge:
            return True
        except MeshError as error:
            if error.reason in _OF_VERSIONS:
                raise Unavailable(error.reason, error.detail) from error
            _log.warning("a batch of shard %s cannot be applied: %s", lease.shard, error)
            await asyncio.sleep(pause)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the records'; if not, the failure rate stops the shard
            if pauses is not _ONCE:
                _log.error("a batch of shard %s cannot be applied: %s", lease.shard, log.fault(error))
            return True
        else:
            return False
    return True


async def _isolate(steps: Steps, lease: Lease, record: Decoded) -> Decoded:
    """Applies what it can of a record that fails as a whole; retracts and returns the rest.

    Last, the record is tried without the bad users at once: what users share, such as the counts of a video, includes
    all others or nobody.
    """
    users = [user for user in dict.fromkeys(record.table.user_id) if record.users is None or user in record.users]
    bad = await _bad_users(steps, lease, record, users) if len(users) > 1 else users
    if 0 < len(bad) < len(users):
        others = dataclasses.replace(record, users=frozenset(users).difference(bad))
        if not await _fails(steps, lease, [others], _ONCE):
            return dataclasses.replace(record, users=frozenset(bad))
    await _retract(steps, lease, record)
    return record


async def _bad_users(steps: Steps, lease: Lease, record: Decoded, users: Sequence[str]) -> Sequence[str]:
    """The users whose own events cannot be applied; all users if more than 16 are."""
    bad: list[str] = []
    untried = [users[len(users) // 2 :], users[: len(users) // 2]]
    while untried:
        some = untried.pop()
        part = dataclasses.replace(record, users=frozenset(some))
        if not await _fails(steps, lease, [part], _ONCE):
            continue
        if len(some) > 1:
            untried += [some[len(some) // 2 :], some[: len(some) // 2]]
            continue
        await _retract(steps, lease, part)
        bad += some
        if len(bad) > _MOST_BAD_USERS:
            return users
    return bad


async def _retract(steps: Steps, lease: Lease, record: Decoded) -> None:
    """Retracts a record from the steps before the one that cannot apply it, so that it may come again."""
    try:
        await steps.apply(lease, [record], is_retraction=True)
    except _PASSING:
        raise
    except Exception:  # noqa: BLE001 - the step that fails when applying fails here too
        _log.debug("retracted up to the step that fails")


async def _unsettled(
    steps: Steps, failed_records: FailedRecords, shard: str, records: Sequence[Decoded]
) -> list[Decoded]:
    """The events of records before the checkpoint that were neither decided nor kept as failed.

    A dispatcher leaves such events if it stops after it retracted them and before it kept them as failed.
    """
    rows = await claimed(steps.seen, shard, records)
    decided = await steps.decided(shard, records)
    kept = await failed_records.find(shard, [record.sequence for record in records])
    users: dict[int, set[str]] = {}
    for at, index, user_id in zip(rows.record_indexes, rows.event_indexes, rows.table.user_id, strict=True):
        sequence = records[at].sequence
        if sequence not in kept and index not in decided.get(sequence, ()):
            users.setdefault(at, set()).add(user_id)
    return [dataclasses.replace(records[at], users=frozenset(its)) for at, its in users.items()]


def _split_at(records: Sequence[Decoded], through: int) -> tuple[list[Decoded], list[Decoded]]:
    return (
        [record for record in records if record.sequence <= through],
        [record for record in records if record.sequence > through],
    )
