"""Sorts the events of a batch: invalid ones are rejected, duplicates are counted, and the rest is accepted."""

from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from records.tenants import tenant_of
from services.ingest.accept.domain import device, identity, skew
from services.ingest.accept.domain.columns import rows_without
from services.ingest.accept.domain.identity import Ending
from services.ingest.accept.domain.masking.tables import personal_ids
from services.ingest.accept.domain.masking.tenants import Maskings, mask_each
from services.ingest.accept.domain.tidying import Note, Rules, put_pages, tidy, untidy_rows
from services.ingest.accept.domain.validation import EARLIEST_TIME_US, FUTURE_US, Rejection, doubtful_rows, reject
from services.ingest.events.domain.event import Table
from services.ingest.events.domain.suppression import Suppression

TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = (0, 8)
_STAMPS: Final = (
    "client_time_us",
    "session_start_us",
    "device_class",
    "linked_user_id",
    "copied_event_id",
    "bot_evidence",
    "is_bot",
)
_ODD_SENT: Final = Note("sentAt", "Not the clock of `timestamp`, nor a time a clock shows; it was left out.")
_ERASED: Final = Rejection("USER_ERASED", "The user was erased, and their events are not accepted.")
_FULL: Final = Rejection("BUFFER_FULL", "As many events of the tenant are set aside as may be. Replay or discard some.")
_CONTENT: Final = ("user_id", "event_type", "page", "properties")
_OTHER_CONTENT: Final = Note("eventId", "It differs from an earlier event with this eventId, and counts as its copy.")


class Verdict(IntEnum):
    """Values as in `journeymesh.ingest.v1.Verdict`."""

    ACCEPTED = 1
    DUPLICATE = 2
    REJECTED = 3


class Judged(NamedTuple):
    """A batch sorted: what is new within it, what it repeats itself, what is refused. All by index, ascending.

    `notes` say what was cleaned or left out of events, rejected ones included. `masked` and `personal_ids` have the
    kind of each value that was masked, and of each id that holds an e-mail address or a phone number.
    """

    fresh: list[int]
    repeated: list[int]
    rejected: dict[int, Rejection]
    notes: dict[int, list[Note]]
    masked: Sequence[str]
    personal_ids: Sequence[str]


class Admission(NamedTuple):
    """How a batch is accepted: which rows are accepted, in what order, and to which user each belongs.

    `endings` name rows by their index among `rows`, ascending. Rejections and notes are by index in the batch.
    """

    rejections: dict[int, Rejection]
    unlinked: dict[int, Note]
    rows: list[int]
    user_ids: list[str]
    scripted: set[int]
    endings: list[tuple[int, Ending]]

    def notes(self, tidied: Mapping[int, Sequence[Note]]) -> dict[int, Sequence[Note]]:
        """What was cleaned or left out of events that were not refused."""
        notes = {index: its for index, its in tidied.items() if index not in self.rejections}
        for index, note in self.unlinked.items():
            notes[index] = [*notes.get(index, ()), note]
        return notes


def judge(table: Table, now_us: int, rules: Rules, maskings: Maskings) -> Judged:
    """Tidies and masks a batch in place, and sorts it as far as that needs no stored state.

    Most rows are tidy and valid, which is checked column by column; the others are examined one by one. Of events with
    one id the first valid one counts; one with other content gets a note.
    """
    if not len(table):
        return Judged([], [], {}, {}, [], [])
    _unstamp(table, now_us)
    odd = untidy_rows(table, rules) | skew.odd_rows(table) | doubtful_rows(table, rules.placeholders)
    rejected: dict[int, Rejection] = {}
    notes_by_row: dict[int, list[Note]] = {}
    for row in sorted(odd):
        event = table.event(row)
        notes = tidy(event, rules)
        if skew.set_right(event, event.received_time_us):
            notes.append(_ODD_SENT)
        rejection = reject(event, event.received_time_us, rules.placeholders)
        if notes:
            notes_by_row[row] = notes
        if rejection:
            rejected[row] = rejection
        table.put(row, event)
    put_pages(table, rules.pages, odd)
    masked = mask_each(table, maskings)
    for row, members in masked.members.items():
        notes_by_row.setdefault(row, []).extend(Note(member, _masked(kinds)) for member, kinds in members.items())
    personal = personal_ids(_ids(table), maskings.usual)
    fresh, repeated = _sorted(table, rejected, notes_by_row)
    return Judged(fresh, repeated, rejected, notes_by_row, masked.kinds, personal)


def _masked(kinds: Sequence[str]) -> str:
    return f"It held personal data or secrets, which were masked: {', '.join(sorted({*kinds}))}."


def _ids(table: Table) -> list[str]:
    """The ids of users, and those of devices that are not the user's id as well."""
    if not table.has("anonymous_id"):
        return table.user_id
    pairs = zip(table.user_id, table.anonymous_id, strict=True)
    return [each for user_id, anonymous_id in pairs for each in dict.fromkeys((user_id, anonymous_id))]


def refuse_erased(table: Table, judged: Judged, suppression: Suppression) -> Judged:
    """The batch with all events of suppressed people refused, whatever else is wrong with them.

    An anonymous id of such a person on the event of somebody else is left out: the device is another's now.
    """
    erased = suppression.among({*table.user_id, *identity.anonymous_ids(table)})
    if not erased:
        return judged
    refused = {
        row: _ERASED
        for row, user_id in enumerate(table.user_id)
        if user_id in erased or (not user_id and table.anonymous_id[row] in erased)
    }
    if table.has("anonymous_id"):
        table.columns["anonymous_id"] = [
            "" if each in erased and row not in refused else each for row, each in enumerate(table.anonymous_id)
        ]
    return _refused(judged, refused)


def refuse_full(table: Table, judged: Judged, tenants: frozenset[str]) -> Judged:
    """The batch with all events of these tenants refused: their share of the list of failed events is full.

    A request holds events of one tenant, so it is refused as a whole, and may be repeated as a whole.
    """
    if not tenants:
        return judged
    ids = enumerate(zip(table.user_id, table.event_id, strict=True))
    return _refused(judged, {row: _FULL for row, pair in ids if not tenants.isdisjoint(map(tenant_of, pair))})


def _refused(judged: Judged, refused: Mapping[int, Rejection]) -> Judged:
    return judged._replace(
        fresh=[row for row in judged.fresh if row not in refused],
        repeated=[row for row in judged.repeated if row not in refused],
        rejected={**judged.rejected, **refused},
        notes={row: notes for row, notes in judged.notes.items() if row not in refused},
    )


def refuse_repeats(judged: Judged, ids: Sequence[str], rejections: dict[int, Rejection]) -> None:
    """Refuses, within a batch, the duplicates of an event that the rate limit refused."""
    refused = {ids[index]: why for index, why in rejections.items() if index not in judged.rejected}
    rejections.update((index, refused[ids[index]]) for index in judged.repeated if ids[index] in refused)


def _sorted(
    table: Table, rejected: dict[int, Rejection], notes_by_row: dict[int, list[Note]]
) -> tuple[list[int], list[int]]:
    """The rows of new events, and of those that repeat an event of the batch."""
    ids = table.event_id
    if not rejected and len({*ids}) == len(ids):
        return [*range(len(ids))], []
    fresh: list[int] = []
    repeated: list[int] = []
    first_by_id: dict[str, int] = {}
    content = [table.columns[name] for name in _CONTENT if table.has(name)]
    for row, event_id in enumerate(ids):
        if row in rejected:
            continue
        first = first_by_id.setdefault(event_id, row)
        if first == row:
            fresh.append(row)
            continue
        repeated.append(row)
        if any(column[row] != column[first] for column in content):
            notes_by_row.setdefault(row, []).append(_OTHER_CONTENT)
    return fresh, repeated


def _unstamp(table: Table, now_us: int) -> None:
    """Removes stamps that only the mesh may set, and replaces an impossible time of receipt by now."""
    for name in _STAMPS:
        table.columns.pop(name, None)
    table.carried.clear()
    received, latest_us = table.received_time_us, now_us + FUTURE_US
    for row in rows_without(range(EARLIEST_TIME_US, latest_us + 1).__contains__, received):
        received[row] = now_us
    traces = [*zip(table.trace_id, table.span_id, strict=True)]
    for row in rows_without(_is_trace, traces):
        table.trace_id[row] = table.span_id[row] = b""


def _is_trace(ids: tuple[bytes, bytes]) -> bool:
    trace_id, span_id = ids
    return len(trace_id) == TRACE_ID_BYTES and len(span_id) in _SPAN_ID_BYTES


def stamp(table: Table, scripted: Collection[int]) -> None:
    """Stamps events with the device class and, for bots, the evidence. They must carry no stamps yet.

    Args:
        table: the events.
        scripted: the rows of users who send faster than a person can.
    """
    if not scripted and not any(map(table.has, ("platform", "user_agent", "is_automated"))):
        return
    made_by = [*map(device.recognized, table.platform, table.user_agent)]
    evidence = [each.evidence for each in made_by]
    for row, (found, is_automated) in enumerate(zip(evidence, table.is_automated, strict=True)):
        if not found and is_automated:
            evidence[row] = device.AUTOMATED
        elif not found and row in scripted:
            evidence[row] = device.RATE
    table.columns["device_class"] = [each.device_class for each in made_by]
    if any(evidence):
        table.columns["bot_evidence"] = evidence
        table.columns["is_bot"] = [bool(each) for each in evidence]
