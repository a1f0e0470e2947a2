"""Who of a batch is accepted: the bad are refused, the repeated are told apart, the rest go on."""

import operator
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from services.ingest.domain import device, skew
from services.ingest.domain.event import Event
from services.ingest.domain.flood import Pace
from services.ingest.domain.identity import Ending
from services.ingest.domain.tidying import Note, Rules, tidy
from services.ingest.domain.validation import EARLIEST_TIME_US, FUTURE_US, Rejection, reject

TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = (0, 8)
_STAMPS: Final = operator.attrgetter(
    "received_time_us",
    "trace_id",
    "span_id",
    "client_time_us",
    "session_start_us",
    "device_class",
    "linked_user_id",
    "copied_event_id",
    "bot_evidence",
    "is_bot",
)
_ODD_SENT: Final = Note("sentAt", "Not the clock of `timestamp`, nor a time a clock shows; it was left out.")
_UNSTAMPED: Final = [0, 0, 0, "", "", "", False]
_CONTENT: Final = operator.attrgetter("user_id", "event_type", "page", "properties")
_OTHER_CONTENT: Final = Note("eventId", "It differs from an earlier event with this eventId, and counts as its copy.")


class Verdict(IntEnum):
    """Values as in `journeymesh.ingest.v1.Verdict`."""

    ACCEPTED = 1
    DUPLICATE = 2
    REJECTED = 3


class Judged(NamedTuple):
    """A batch sorted: what is new within it, what it repeats itself, what is refused. All by index, ascending.

    `notes` tells what was cleaned or left out of events, refused ones among them.
    """

    fresh: list[int]
    repeated: list[int]
    rejected: dict[int, Rejection]
    notes: dict[int, list[Note]]


class Admission(NamedTuple):
    """What becomes of a batch: by index why events are refused or not linked; those taken in, and what ends with them.

    `endings` name events by their index among `fresh`, ascending.
    """

    rejections: dict[int, Rejection]
    unlinked: dict[int, Note]
    fresh: list[Event]
    endings: list[tuple[int, Ending]]

    def notes(self, tidied: Mapping[int, Sequence[Note]]) -> dict[int, Sequence[Note]]:
        """What was cleaned or left out of events that were not refused."""
        notes = {index: told for index, told in tidied.items() if index not in self.rejections}
        for index, note in self.unlinked.items():
            notes[index] = [*notes.get(index, ()), note]
        return notes


def judge(events: Sequence[Event], now_us: int, rules: Rules) -> Judged:
    """Tidies a batch in place and sorts it by what can be told without memory.

    Of events with one id the first good one counts; of another that says something else, this is told.
    """
    fresh: list[int] = []
    repeated: list[int] = []
    rejected: dict[int, Rejection] = {}
    told: dict[int, list[Note]] = {}
    first_by_id: dict[str, int] = {}
    for index, event in enumerate(events):
        _unstamp(event, now_us)
        notes = tidy(event, rules)
        received_us = event.received_time_us or now_us
        if skew.set_right(event, received_us):
            notes.append(_ODD_SENT)
        if notes:
            told[index] = notes
        rejection = reject(event, received_us, rules.placeholders)
        if rejection:
            rejected[index] = rejection
        elif (first := first_by_id.setdefault(event.event_id, index)) == index:
            fresh.append(index)
        else:
            repeated.append(index)
            if _CONTENT(event) != _CONTENT(events[first]):
                told[index] = [*notes, _OTHER_CONTENT]
    return Judged(fresh, repeated, rejected, told)


def _unstamp(event: Event, now_us: int) -> None:
    """Takes off what only the mesh itself may stamp on an event, and a time of receipt that cannot be."""
    received_us, trace_id, span_id, *stamps = _STAMPS(event)
    if received_us and not EARLIEST_TIME_US <= received_us <= now_us + FUTURE_US:
        event.received_time_us = 0
    if stamps != _UNSTAMPED:
        event.client_time_us = event.session_start_us = event.device_class = 0
        event.linked_user_id = event.copied_event_id = event.bot_evidence = ""
        event.is_bot = False
    event.ClearField("carried")
    if len(trace_id) != TRACE_ID_BYTES or len(span_id) not in _SPAN_ID_BYTES:
        event.trace_id = event.span_id = b""


def stamp(event: Event, now_us: int, pace: Pace) -> None:
    """Writes on an event what made it, and when it came; there are no stamps on it by now."""
    device_class, evidence = device.tell(event.platform, event.user_agent)
    if not evidence and event.is_automated:
        evidence = device.AUTOMATED
    elif not evidence and pace == Pace.SCRIPT:
        evidence = device.RATE
    if device_class:
        event.device_class = device_class
    if evidence:
        event.is_bot, event.bot_evidence = True, evidence
    if not event.received_time_us:
        event.received_time_us = now_us
