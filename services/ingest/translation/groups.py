"""Whom a batch is about: all rows of one user in one record are a group, which is judged once.

A record never changes once it is on the stream, so the groups are the same however the stream is cut into batches, and
also where a record is applied user by user.
"""

import operator
from typing import Final, NamedTuple

from journeymesh.common.v1 import event_pb2

from services.ingest.translation.messages import Rows

_OUTCOME: Final = event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME
_RANKED: Final = operator.attrgetter("copied_event_id", "is_system", "event_type", "event_time_us")
_TOLD, _ANSWERED, _DONE = range(3)
"""What a row may be: made elsewhere or by a system; an answer to help; what the user did here."""


class Groups(NamedTuple):
    """The groups of a batch, numbered by their deciding rows, which ascend.

    A decision is about the deciding row: of the rows that the user made here the one with the latest event time, of
    equals the last. So what comes late or from a system does not hide somebody who struggles now, and neither does the
    report of an outcome: these decide only where there is nothing else.
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

    @property
    def are_single(self) -> bool:
        """Whether every row is a group of its own."""
        return len(self.deciding) == len(self.of_rows)


def groups_of(rows: Rows) -> Groups:
    """The groups of a batch."""
    found = Groups([], [], [], [], [])
    of_rows, user_ids, deciding, last, sizes = found
    numbers: dict[str, int] = {}
    ranks: dict[int, tuple[int, int]] = {}
    current = -1
    for row, (record, event) in enumerate(zip(rows.record_indexes, rows.events, strict=True)):
        if record != current:
            numbers, current = {}, record
        user_id = event.user_id
        number = numbers.get(user_id)
        if number is None:
            number = numbers[user_id] = len(user_ids)
            user_ids.append(user_id)
            deciding.append(row)
            last.append(row)
            sizes.append(1)
        else:
            last[number] = row
            sizes[number] += 1
            rank = _rank(event)
            if rank >= (ranks.get(number) or _rank(rows.events[deciding[number]])):
                deciding[number], ranks[number] = row, rank
        of_rows.append(number)
    return found if found.are_single else _ascending(found)


def each_alone(rows: Rows) -> Groups:
    """Every row as a group of its own, as they were before records were judged as a whole."""
    every = list(range(len(rows.events)))
    return Groups(every, [event.user_id for event in rows.events], every, every, [1] * len(every))


def _rank(event: event_pb2.Event) -> tuple[int, int]:
    """Of two rows of a group that with the higher one decides."""
    copied_id, is_system, kind, event_us = _RANKED(event)
    return _TOLD if copied_id or is_system else _ANSWERED if kind == _OUTCOME else _DONE, event_us


def _ascending(groups: Groups) -> Groups:
    """The groups, numbered by their deciding rows."""
    deciding = groups.deciding
    order = sorted(range(len(deciding)), key=deciding.__getitem__)
    numbers = {before: after for after, before in enumerate(order)}
    return Groups(
        [numbers[each] for each in groups.of_rows],
        [groups.user_ids[each] for each in order],
        [deciding[each] for each in order],
        [groups.last[each] for each in order],
        [groups.sizes[each] for each in order],
    )
