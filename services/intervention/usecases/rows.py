"""A batch of assessed events, and what of it is looked at."""

import bisect
import collections
import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from mesh.applied import Batch
from services.intervention.domain import delivery, eligibility
from services.intervention.domain.decision import Decided
from services.intervention.domain.eligibility import Reason
from services.intervention.domain.facts import Assessment, Bought, Contact, EventKind, Facts, OutcomeReport, Position
from services.intervention.domain.policy import Policy


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """A batch of assessed events, column by column. `record_indexes` never descend.

    `kinds` and `targets` are empty where the sender does not tell them. The mappings are by row, ascending.
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
    purchases: Mapping[int, Bought] = dataclasses.field(default_factory=dict)
    contacts: Mapping[int, Contact] = dataclasses.field(default_factory=dict)
    features: Mapping[int, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    feature_names: tuple[str, ...] = ()
    feature_schema_version: str = ""


def records_of(batch: Batch, rows: Rows) -> dict[int, slice]:
    """The rows of each record that has any."""
    bounds = [bisect.bisect_left(rows.record_indexes, record) for record in range(len(batch.sequences) + 1)]
    return {record: slice(start, end) for record, (start, end) in enumerate(itertools.pairwise(bounds)) if start < end}


def rows_in_question(policies: Mapping[int, Policy], rows: Rows, records: Mapping[int, slice]) -> list[int]:
    """The rows whose decision may need the user, or which change what is known of one; ascending."""
    asked: set[int] = set()
    for record, of in records.items():
        policy = policies[record]
        asked.update(of.start + row for row in eligibility.rows_in_question(policy, rows.assessments[of]))
        if rows.kinds:
            wanted = EventKind[policy.conversion.event.upper()]
            asked.update(row for row, kind in enumerate(rows.kinds[of], of.start) if kind == wanted)
    asked.difference_update(rows.bot_rows)
    # An outcome is recorded whoever reports it: a server that does so for its users looks like a script.
    asked.update(rows.outcomes, rows.purchases)
    return sorted(asked)


def facts_of(batch: Batch, rows: Rows, row: int) -> Facts:
    """What is known of the event of a row."""
    sequence = batch.sequences[rows.record_indexes[row]]
    return Facts(
        position=Position(batch.shard, sequence, rows.event_indexes[row]),
        user_id=rows.user_ids[row],
        event_id=rows.event_ids[row],
        received_us=rows.received_us[row],
        trace_id=rows.trace_ids[row],
        page=rows.pages[row],
        time_zone=rows.time_zones[row],
        is_bot=row in rows.bot_rows,
        outcome=rows.outcomes.get(row),
        assessment=rows.assessments[row],
        model_version=rows.model_version,
        rules_version=rows.rules_version,
        kind=rows.kinds[row] if rows.kinds else 0,
        target=rows.targets[row] if rows.targets else "",
        bought=rows.purchases.get(row),
        features=rows.features.get(row, ()),
        feature_names=rows.feature_names,
        feature_schema_version=rows.feature_schema_version,
    )


def contacts_after(rows: Rows, known: Mapping[str, Contact]) -> dict[str, bytes]:
    """What the users can be reached by now, the last told first."""
    contacts = dict(known)
    for row, told in rows.contacts.items():
        before = contacts[rows.user_ids[row]]
        contacts[rows.user_ids[row]] = Contact(told.email or before.email, told.push_target or before.push_target)
    return {
        delivery.contact_key(user_id): delivery.encode_contact(each)
        for user_id, each in contacts.items()
        if each != known[user_id]
    }


def reasons_of(rows: Rows, decided: Mapping[int, Decided]) -> Mapping[Reason, int]:
    """How many rows were decided for each reason; those that were not looked at have a plain one."""
    kept = {row: each.exceptional.verdict for row, each in decided.items() if each.exceptional}
    counts = collections.Counter(verdict.reasons[0] for verdict in kept.values())
    counts[Reason.BOT] += sum(row not in kept for row in rows.bot_rows)
    counts[Reason.BELOW_TRIGGER] += len(rows.user_ids) - counts.total()
    return counts


def withheld_of(decided: Mapping[int, Decided]) -> list[str]:
    """The actions that were withheld from users who are held out."""
    verdicts = [each.exceptional.verdict for each in decided.values() if each.exceptional]
    return [each.withheld.action for each in verdicts if each.withheld and each.reasons[0] is Reason.HOLDOUT]
