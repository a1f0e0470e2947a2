"""Who of a batch is accepted: the bad are refused, the repeated are told apart, the rest go on."""

import operator
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from services.ingest.domain import device, skew
from services.ingest.domain.event import Event
from services.ingest.domain.flood import Pace
from services.ingest.domain.tidying import Note, Rules, tidy
from services.ingest.domain.validation import EARLIEST_TIME_US, FUTURE_US, Rejection, reject

_TRACE_ID_BYTES: Final = 16
_STAMPS: Final = operator.attrgetter("client_time_us", "session_start_us", "linked_user_id", "copied_event_id")
_UNSTAMPED: Final = (0, 0, "", "")


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
    """What becomes of a batch: by index why events are refused or not linked; those taken in; those that link."""

    rejections: dict[int, Rejection]
    unlinked: dict[int, Note]
    fresh: list[Event]
    linkers: list[Event]

    def notes(self, tidied: Mapping[int, Sequence[Note]]) -> dict[int, Sequence[Note]]:
        """What was cleaned or left out of events that were not refused."""
        notes = {index: told for index, told in tidied.items() if index not in self.rejections}
        for index, note in self.unlinked.items():
            notes[index] = [*notes.get(index, ()), note]
        return notes


def judge(events: Sequence[Event], now_us: int, rules: Rules) -> Judged:
    """Tidies a batch in place and sorts it by what can be told without memory.

    Of events with one id the first good one counts.
    """
    fresh: list[int] = []
    repeated: list[int] = []
    rejected: dict[int, Rejection] = {}
    told: dict[int, list[Note]] = {}
    ids: set[str] = set()
    for index, event in enumerate(events):
        _unstamp(event, now_us)
        notes = tidy(event, rules)
        if notes:
            told[index] = notes
        received_us = event.received_time_us or now_us
        skew.set_right(event, received_us)
        rejection = reject(event, received_us, rules.placeholders)
        if rejection:
            rejected[index] = rejection
        elif event.event_id in ids:
            repeated.append(index)
        else:
            ids.add(event.event_id)
            fresh.append(index)
    return Judged(fresh, repeated, rejected, told)


def _unstamp(event: Event, now_us: int) -> None:
    """Takes off what only the mesh itself may stamp on an event, and a time of receipt that cannot be."""
    if event.received_time_us and not EARLIEST_TIME_US <= event.received_time_us <= now_us + FUTURE_US:
        event.received_time_us = 0
    if _STAMPS(event) != _UNSTAMPED:
        event.client_time_us = event.session_start_us = 0
        event.linked_user_id = event.copied_event_id = ""
    event.ClearField("carried")
    if len(event.trace_id) != _TRACE_ID_BYTES:
        event.trace_id = event.span_id = b""


def stamp(event: Event, user_id: str, now_us: int, pace: Pace) -> None:
    """Writes on an event whose it is, what made it, and when it came."""
    told = device.tell(event.platform, event.user_agent)
    evidence = told.evidence
    if not evidence and event.is_automated:
        evidence = device.AUTOMATED
    elif not evidence and pace == Pace.SCRIPT:
        evidence = device.RATE
    if event.user_id != user_id:
        event.user_id = user_id
    event.device_class = told.device_class
    event.is_bot, event.bot_evidence = bool(evidence), evidence
    event.received_time_us = event.received_time_us or now_us
