"""The rows of a batch, and which of them need a closer look."""

import bisect
import collections
import dataclasses
import itertools
import operator
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mesh.state.applied import Batch
from services.intervention.decision.domain import eligibility, ledger
from services.intervention.decision.domain.decision import Decided
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import (
    Assessment,
    Contact,
    EventPosition,
    Facts,
    OutcomeReport,
    Purchase,
)
from services.intervention.decision.domain.linking import UserTransfer
from services.intervention.decision.domain.segment import Segment
from services.intervention.policy.domain.policy import EventKind, Policy


class Struggle(NamedTuple):
    """A signal found at a row: its type, its strength (0 to 100), what it is about, and a sentence that says why."""

    row: int
    signal: int
    strength: float
    target: str
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """A batch of events and the assessments of their users, column by column; `record_indexes` never descend.

    All rows of a user group lead to one decision. `decided_rows` holds the rows that are decided on, ascending, and
    `decisions` holds for each row the number of its decision among them. Both are empty where every row is decided on.
    Users, event ids, pages, time zones and assessments have one value per decision, the other columns one per row.

    `kinds`, `targets` and `event_us` (when events happened, Unix microseconds) are empty where the sender leaves them
    out; then events count as happened when they were received. Lists and mappings of rows ascend; only decided rows
    have features and settled signals. `products` has what was bought, and no refunds. `struggles` are told to those who
    watch, and decide nothing. `model_outcomes` has, by version of a model, what it tells the probability of.
    """

    record_indexes: Sequence[int]
    event_indexes: Sequence[int]
    user_ids: Sequence[str]
    event_ids: Sequence[str]
    received_us: Sequence[int]
    trace_ids: Sequence[bytes]
    span_ids: Sequence[bytes]
    pages: Sequence[str]
    time_zones: Sequence[str]
    assessments: Sequence[Assessment]
    bot_rows: Sequence[int]
    outcomes: Mapping[int, OutcomeReport]
    model_version: str
    rules_version: str
    kinds: Sequence[int] = ()
    targets: Sequence[str] = ()
    purchases: Mapping[int, Purchase] = dataclasses.field(default_factory=dict)
    products: Mapping[int, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    segments: Mapping[int, Segment] = dataclasses.field(default_factory=dict)
    contacts: Mapping[int, Contact] = dataclasses.field(default_factory=dict)
    features: Mapping[int, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    feature_names: tuple[str, ...] = ()
    feature_schema_version: str = ""
    event_us: Sequence[int] = ()
    copied_rows: Sequence[int] = ()
    system_rows: Sequence[int] = ()
    settled_rows: Sequence[int] = ()
    transfers: Mapping[int, UserTransfer] = dataclasses.field(default_factory=dict)
    linked: Mapping[int, str] = dataclasses.field(default_factory=dict)
    struggles: Sequence[Struggle] = ()
    decided_rows: Sequence[int] = ()
    decisions: Sequence[int] = ()
    other_models: Mapping[int, str] = dataclasses.field(default_factory=dict)
    model_outcomes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def decided(self) -> Sequence[int]:
        """The rows that are decided on, ascending."""
        return self.decided_rows or range(len(self.record_indexes))

    def number(self, row: int) -> int:
        """The number of a row's decision."""
        return self.decisions[row] if self.decisions else row

    def user(self, row: int) -> str:
        """The user of a row."""
        return self.user_ids[self.number(row)]

    def is_decided(self, row: int) -> bool:
        """Whether a row is decided on; any other row takes effect before its decision."""
        return not self.decisions or self.decided_rows[self.decisions[row]] == row


class Part(NamedTuple):
    """One record's part of a batch: its rows, and the numbers of its decisions."""

    rows: slice
    decisions: slice


def records_of(batch: Batch, rows: Rows) -> dict[int, Part]:
    """The part of each record that has rows, by the record's index."""
    bounds = [bisect.bisect_left(rows.record_indexes, record) for record in range(len(batch.sequences) + 1)]
    return {
        record: Part(slice(start, end), slice(*(bisect.bisect_left(rows.decided, bound) for bound in (start, end))))
        for record, (start, end) in enumerate(itertools.pairwise(bounds))
        if start < end
    }


def unanswered(policies: Mapping[int, Policy], rows: Rows, records: Mapping[int, Part]) -> Mapping[int, Reason]:
    """The rows that bring no help whatever the risk, each with the reason. Outcomes are left out."""
    old: list[int] = []
    # Nearly always a whole batch is fresh, as its earliest and latest times show.
    strictest_us = min((each.freshness_us for each in policies.values()), default=0)
    if rows.event_us and max(rows.received_us) - min(rows.event_us) > strictest_us:
        old = [row for record, part in records.items() for row in _too_old(policies[record], rows, part.rows)]
    return ledger.unanswered_rows(old, rows.system_rows, rows.bot_rows, rows.copied_rows)


def rows_in_question(
    policies: Mapping[int, Policy], rows: Rows, records: Mapping[int, Part], no_help: Mapping[int, Reason]
) -> list[int]:
    """The rows whose decision may need the state of their user, and the rows that change it.

    They come in the order of the records. Within a record, rows that are decided on follow the others. Rows that link
    an anonymous user come last: what the record decides on that user then moves to the known user as well.

    Args:
        policies: the policy of each record.
        rows: the batch.
        records: the part of each record.
        no_help: the rows that bring no help whatever the risk, each with the reason.
    """
    asked: set[int] = set()
    goals: list[int] = []
    decided = rows.decided
    for record, part in records.items():
        policy = policies[record]
        numbers = eligibility.rows_needing_standing(policy, rows.assessments[part.decisions])
        asked.update([decided[part.decisions.start + number] for number in numbers])
        if rows.kinds:
            wanted = EventKind[policy.conversion.event.upper()]
            looked_for = {wanted, EventKind.SESSION_END}
            found = [row for row, kind in enumerate(rows.kinds[part.rows], part.rows.start) if kind in looked_for]
            asked.update(found)
            goals += [row for row in found if rows.kinds[row] == wanted and no_help.get(row) is not Reason.BOT]
    asked.difference_update(no_help)
    # An event that brings no help may still be the goal. Outcomes and settled signals count whoever sends them: a
    # server that reports them for its users looks like a script. A copy counts only where it is the goal.
    asked.update(rows.outcomes, rows.purchases, rows.settled_rows, rows.segments)
    asked.difference_update(rows.copied_rows)
    asked.update(goals, rows.transfers, rows.linked)
    return sorted(asked, key=lambda row: (rows.record_indexes[row], row in rows.linked, rows.is_decided(row), row))


def _too_old(policy: Policy, rows: Rows, of_record: slice) -> Sequence[int]:
    ages_us = map(operator.sub, rows.received_us[of_record], rows.event_us[of_record])
    return [row for row, age_us in enumerate(ages_us, of_record.start) if age_us > policy.freshness_us]


def facts_of(batch: Batch, rows: Rows, row: int) -> Facts:
    """The facts of a row. User, event id, page, time zone and assessment are those of its decision."""
    sequence = batch.sequences[rows.record_indexes[row]]
    number = rows.number(row)
    model_version = rows.other_models.get(number, rows.model_version)
    return Facts(
        position=EventPosition(batch.shard, sequence, rows.event_indexes[row]),
        user_id=rows.user_ids[number],
        event_id=rows.event_ids[number],
        received_us=rows.received_us[row],
        trace_id=rows.trace_ids[row],
        page=rows.pages[number],
        time_zone=rows.time_zones[number],
        is_bot=_has(rows.bot_rows, row),
        outcome=rows.outcomes.get(row),
        assessment=rows.assessments[number],
        model_version=model_version,
        rules_version=rows.rules_version,
        kind=rows.kinds[row] if rows.kinds else 0,
        target=rows.targets[row] if rows.targets else "",
        bought=rows.purchases.get(row),
        products=rows.products.get(row, ()),
        segment=rows.segments.get(row),
        features=rows.features.get(row, ()),
        feature_names=rows.feature_names,
        feature_schema_version=rows.feature_schema_version,
        age_us=age_us(rows, row),
        is_copy=_has(rows.copied_rows, row),
        is_system=_has(rows.system_rows, row),
        is_settled=_has(rows.settled_rows, row),
        model_outcome=rows.model_outcomes.get(model_version, ""),
    )


def _has(ascending: Sequence[int], row: int) -> bool:
    place = bisect.bisect_left(ascending, row)
    return place < len(ascending) and ascending[place] == row


def age_us(rows: Rows, row: int) -> int:
    """How many microseconds before its receipt the event of a row happened; 0 where unknown."""
    return rows.received_us[row] - rows.event_us[row] if rows.event_us else 0


def contacts_after(rows: Rows, known: Mapping[str, Contact]) -> dict[str, Contact]:
    """The contacts that the batch changes; the latest value wins."""
    contacts = dict(known)
    for row, contact in rows.contacts.items():
        user_id = rows.user(row)
        before = contacts[user_id]
        contacts[user_id] = Contact(contact.email or before.email, contact.push_target or before.push_target)
    return {user_id: each for user_id, each in contacts.items() if each != known[user_id]}


def reasons_of(rows: Rows, decided: Mapping[int, Decided], no_help: Mapping[int, Reason]) -> Mapping[Reason, int]:
    """How many decisions were made for each deciding reason, including those that needed no user."""
    kept = {row: each.exceptional.verdict for row, each in decided.items() if each.exceptional}
    counts = collections.Counter(verdict.reasons[0] for verdict in kept.values())
    counts.update(reason for row, reason in no_help.items() if row not in kept and rows.is_decided(row))
    counts[Reason.BELOW_TRIGGER] += len(rows.decided) - counts.total()
    return counts


def withheld_of(decided: Mapping[int, Decided]) -> list[str]:
    """The actions that were withheld from users in the holdout."""
    verdicts = [each.exceptional.verdict for each in decided.values() if each.exceptional]
    return [each.withheld.action for each in verdicts if each.withheld and each.reasons[0] is Reason.HOLDOUT]
