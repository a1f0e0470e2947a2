"""Gathers predictions from an archive: features are derived again from the events, outcomes from what came later.

A prediction is an archived decision about an event that the user made; those about bots, systems and mere reports of
outcomes or identity are left out. What an anonymous user did counts for the known user they turned out to be, as do
the predictions about them.
"""

import math
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
from journeymesh.common.v1 import event_pb2

from offline.decisions.archived import Record, Row, rows_of
from offline.decisions.deriving import Journeys
from offline.decisions.what_if import each_alone
from offline.declared import moments
from offline.declared.label import Label
from offline.declared.mapping import KINDS
from offline.declared.moments import Span, Timeline
from offline.predictions.predictions import NAMES, Predictions
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DECISIONS
from services.ingest.dispatch.translation.deciding import vectors_of
from services.ingest.dispatch.translation.groups import are_uses, groups_of
from services.scoring.domain.schema import FEATURE_COUNT, HISTORY

_BATCH_EVENTS: Final = 1_000
_OUTCOME: Final = "model_outcome"


class _Made(NamedTuple):
    user_id: str
    event_us: int
    received_us: int
    version: str
    score: float
    rule_score: float
    model_score: float
    told: float
    outcome: str


class Gathering:
    """Reads records; holds every user's event times and every prediction in memory.

    Args:
        label: what is predicted. It is asked at each prediction, whatever moments it names.
        one_in: takes one user in so many, drawn by a hash of the id.
    """

    def __init__(self, label: Label, one_in: int = 1) -> None:
        self._label = label
        self.one_in = one_in
        self._kind = KINDS.get(label.of)
        self._journeys = Journeys()
        self._events: defaultdict[str, list[tuple[int, bool]]] = defaultdict(list)
        self._links: dict[str, str] = {}
        self._made: list[_Made] = []
        self._values = array("d")
        self.first_us, self.last_us = 1 << 62, 0
        self.undecided_count = 0

    async def run(self, records: Iterable[Record]) -> None:
        """Takes the records of `offline.decisions.archived.records`, from the archive's beginning."""
        for batch in _batches(each for record in records if (each := self._taken(record)).events):
            await self._apply(batch)

    def predictions(self) -> Predictions:
        """What was gathered, in the order of the archive."""
        events = defaultdict[str, list[tuple[int, bool]]](list)
        for user_id, its in self._events.items():
            events[self._known(user_id)] += its
        span = Span(self.first_us, self.last_us)
        lines = {user_id: _line(its, span) for user_id, its in events.items()}
        users = [self._known(each.user_id) for each in self._made]
        answers = [
            self._answer(lines.get(user_id), each.event_us) for user_id, each in zip(users, self._made, strict=True)
        ]
        found = Predictions(
            np.array(users, np.str_),
            np.array([each.received_us for each in self._made], np.int64),
            np.array([each.version for each in self._made], np.str_),
            np.array([each.score for each in self._made], np.float64),
            np.array([each.rule_score for each in self._made], np.float64),
            np.array([each.model_score for each in self._made], np.float64),
            np.array([each.told for each in self._made], np.float64),
            np.array([each.outcome for each in self._made], np.str_),
            np.array([each is not None for each in answers], np.bool_),
            np.array([bool(each) for each in answers], np.bool_),
            np.array(self._values).reshape(len(self._made), len(NAMES)),
        )
        # A known user who was not drawn has only some of their events here.
        return found.where(np.array([self._is_drawn(user_id) for user_id in users], np.bool_))

    def _taken(self, record: Record) -> Record:
        """A record with the events of the users drawn."""
        for each in record.events.values():
            self.first_us = min(self.first_us, each.event.received_time_us)
            self.last_us = max(self.last_us, each.event.received_time_us)
        if self.one_in == 1:
            return record
        return record._replace(
            events={index: each for index, each in record.events.items() if self._is_drawn(each.event.user_id)}
        )

    async def _apply(self, batch: list[Record]) -> None:
        rows = rows_of(batch)
        groups = each_alone(rows) if batch[0].is_decided_by_event else groups_of(rows)
        applied = await self._journeys.apply(batch[0].shard, [each.sequence for each in batch], rows, groups)
        vectors = vectors_of(rows, groups, applied.features)
        values, history = list(vectors.values), list(vectors.inputs.values)
        uses = are_uses(rows.table)
        for event, is_use in zip(rows.events, uses, strict=True):
            if event.linked_user_id:
                self._links[event.user_id] = event.linked_user_id
            if is_use:
                self._events[event.user_id].append((event.event_time_us, event.event_type == self._kind))
        for number, row in enumerate(groups.deciding):
            record, index = batch[rows.record_indexes[row]], rows.event_indexes[row]
            decision, event = record.decisions.get(index), record.events[index].event
            self.undecided_count += decision is None
            if decision is not None and decision["model_version"] and uses[row]:
                self._made.append(_made(decision, event))
                self._values.extend(values[number * FEATURE_COUNT : (number + 1) * FEATURE_COUNT])
                self._values.extend(history[number * len(HISTORY) : (number + 1) * len(HISTORY)])

    def _answer(self, line: Timeline | None, event_us: int) -> bool | None:
        if line is None:
            return None
        found = moments.answer(self._label, line, bisect_right(line.times_us, event_us) - 1, event_us)
        return None if found is None else found[0]

    def _known(self, user_id: str) -> str:
        seen = {user_id}
        while (linked := self._links.get(user_id)) is not None and linked not in seen:
            user_id = linked
            seen.add(user_id)
        return user_id

    def _is_drawn(self, user_id: str) -> bool:
        return crc32(user_id.encode()) % self.one_in == 0


def latest_outcome(files: ParquetArchive) -> str:
    """What a model of the latest hour tells the probability of, in words; empty if no decision says so.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    for file in sorted(files.files(DECISIONS), key=lambda each: (each.hour, each.last), reverse=True):
        for batch in files.batches(file, [_OUTCOME]):
            found = batch.column(_OUTCOME).drop_null().to_pylist() if _OUTCOME in batch.schema.names else []
            if found:
                return str(found[-1])
    return ""


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records of one shard that were decided alike."""
    batch: list[Record] = []
    count = 0
    for record in records:
        is_other = batch and (record.shard, record.is_decided_by_event) != (
            batch[0].shard,
            batch[0].is_decided_by_event,
        )
        if is_other or count >= _BATCH_EVENTS:
            yield batch
            batch, count = [], 0
        batch.append(record)
        count += len(record.events)
    if batch:
        yield batch


def _line(events: list[tuple[int, bool]], span: Span) -> Timeline:
    events.sort()
    return moments.timeline([at_us for at_us, _ in events], [is_reached for _, is_reached in events], span)


def _made(row: Row, event: event_pb2.Event) -> _Made:
    return _Made(
        event.user_id,
        event.event_time_us,
        event.received_time_us,
        row["model_version"],
        row["score"],
        row["rule_score"],
        row["model_score"],
        math.nan if row.get("probability") is None else row["probability"],
        row.get(_OUTCOME) or "",
    )
