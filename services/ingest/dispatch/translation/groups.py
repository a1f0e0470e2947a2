"""Groups: all rows of one user in one record, which are judged once.

A record never changes once it is on the stream, so the groups are the same however the stream is cut into batches, and
also where a record is applied user by user.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from journeymesh.common.v1 import event_pb2

from records.table import Table
from services.ingest.events.translation.records import Rows

_REPORTS: Final = frozenset({event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME, event_pb2.EVENT_TYPE_IDENTIFY})
_MADE_ELSEWHERE, _REPORTED, _DONE = range(3)
"""Ranks of a row: made elsewhere, by a system or by a bot; a report of an outcome or an identity; done here."""
_MARKS: Final = ("copied_event_id", "is_system", "is_bot")


class Groups(NamedTuple):
    """The groups of a batch, numbered by their deciding rows, which ascend.

    A decision is about the deciding row. Of the rows that the user made here, it is the one with the latest event time;
    of equals, the last. So an event that comes late, from a system or from a bot does not hide somebody who struggles
    now. Neither does the report of an outcome or of who the user is: these decide only where there is nothing else.
    """

    of_rows: list[int]
    """For each row, the number of its group."""
    user_ids: list[str]
    """For each group, its user."""
    deciding: list[int]
    """For each group, the deciding row."""
    last: list[int]
    """For each group, the last row: after it the user is assessed."""
    sizes: list[int]
    """For each group, how many rows it has."""
    uses: list[int]
    """For each group, how many of its rows are something that the user did here."""

    @property
    def are_single(self) -> bool:
        """Whether every row is a group of its own."""
        return len(self.deciding) == len(self.of_rows)


def groups_of(rows: Rows) -> Groups:
    """The groups of a batch."""
    ranks = _ranks(rows.table)
    sizes: list[int] = []
    found = Groups([], [], [], [], sizes, sizes if ranks is None else [])
    of_rows, user_ids, deciding, last, _, uses = found
    times_us = rows.table.event_time_us
    order: Sequence[Any] = times_us if ranks is None else [*zip(ranks, times_us, strict=True)]
    numbers: dict[str, int] = {}
    current = -1
    for row, (record, user_id) in enumerate(zip(rows.record_indexes, rows.table.user_id, strict=True)):
        if record != current:
            numbers, current = {}, record
        number = numbers.setdefault(user_id, len(user_ids))
        of_rows.append(number)
        if number == len(user_ids):
            user_ids.append(user_id)
            deciding.append(row)
            last.append(row)
            sizes.append(1)
            continue
        last[number] = row
        sizes[number] += 1
        if order[row] >= order[deciding[number]]:
            deciding[number] = row
    if ranks is not None:
        uses.extend([0] * len(sizes))
        for number, rank in zip(of_rows, ranks, strict=True):
            uses[number] += rank == _DONE
    return found if found.are_single else _ascending(found)


def are_uses(table: Table) -> list[bool]:
    """For each row, whether it is something that the user did here: at such an event the risk is told."""
    ranks = _ranks(table)
    return [True] * len(table) if ranks is None else [rank == _DONE for rank in ranks]


def _ranks(table: Table) -> list[int] | None:
    """How much each row says of what its user does now; None if all were done here."""
    if not any(map(table.has, _MARKS)) and _REPORTS.isdisjoint(table.event_type):
        return None
    marks = zip(*(getattr(table, name) for name in _MARKS), strict=True)
    return [
        _MADE_ELSEWHERE if any(marked) else _REPORTED if kind in _REPORTS else _DONE
        for kind, marked in zip(table.event_type, marks, strict=True)
    ]


def _ascending(groups: Groups) -> Groups:
    """The groups, numbered by their deciding rows."""
    deciding = groups.deciding
    if all(before < after for before, after in itertools.pairwise(deciding)):
        return groups
    order = sorted(range(len(deciding)), key=deciding.__getitem__)
    numbers = {before: after for after, before in enumerate(order)}
    return Groups(
        [numbers[each] for each in groups.of_rows],
        [groups.user_ids[each] for each in order],
        [deciding[each] for each in order],
        [groups.last[each] for each in order],
        [groups.sizes[each] for each in order],
        [groups.uses[each] for each in order],
    )
