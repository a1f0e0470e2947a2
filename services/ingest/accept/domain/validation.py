"""When an event may be accepted: identifiers, times, and what each kind needs. Events are tidied first (`tidying`).

The gateway has checked syntax and types; callers of the gRPC service come here directly. A bound is generous where a
real client might come near it, and strict where only a fault would.
"""

import math
import operator
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from records.tenants import beside, plain
from services.ingest.accept.domain.columns import rows_without
from services.ingest.accept.domain.placeholder import are_ordinary, is_ordinary, is_placeholder
from services.ingest.accept.domain.text import is_identifier
from services.ingest.accept.domain.tidying import ID_LENGTH
from services.ingest.events.domain.event import Event, Kind, Playback, Table
from services.ingest.events.domain.own_ids import OWN_ID, SEGMENT_CHANGE_ID

EVENT_ID_LENGTH: Final = 100
PROPERTIES_BYTES: Final = 32 * 1024
AMOUNT_MOST: Final = 1e12

EARLIEST_TIME_US: Final = 946_684_800_000_000  # 2000-01-01T00:00:00Z
FUTURE_US: Final = 24 * 3600 * 1_000_000

_LAST_KIND: Final = 19
_JUDGED: Final = operator.attrgetter("event_id", "user_id", "event_time_us", "properties", "event_type")
_LAST_ACTION: Final = 7
# Of the others not every event is accepted.
_PLAIN_KINDS: Final = frozenset(range(1, _LAST_KIND + 1)) - {
    Kind.VIDEO_PLAYBACK,
    Kind.INTERVENTION_OUTCOME,
    Kind.SEGMENT_CHANGE,
}
_OUTCOME_WORDS: Final = ("", "shown", "accepted", "declined", "expired", "converted")


class Rejection(NamedTuple):
    """Why an event is refused: a reason of `ErrorReason`, and a sentence without what the user sent."""

    reason: str
    detail: str


def doubtful_rows(table: Table, placeholders: Collection[str] = frozenset()) -> set[int]:
    """The rows that `reject` rejects, and possibly others. Every row must have its time of receipt."""
    rows: set[int] = set()
    if not _are_event_ids(table.event_id):
        rows.update(rows_without(_is_event_id, table.event_id))
    if placeholders or not are_ordinary({*table.user_id}, ID_LENGTH):
        rows.update(rows_without(lambda user_id: _is_somebody(user_id, placeholders), table.user_id))
    rows.update(_rows_out_of_time(table.event_time_us, table.received_time_us))
    if table.has("properties"):
        rows.update(rows_without(lambda cell: not cell or _reject_properties(cell) is None, table.properties))
    rows.update(_incomplete_rows(table))
    return rows


def _are_event_ids(ids: Sequence[str]) -> bool:
    """Whether a cheap check finds all ids valid. There must be at least one."""
    joined, lengths = "".join(ids), [*map(len, ids)]
    is_fine = joined.isascii() and joined.isprintable() and OWN_ID not in joined
    return is_fine and min(lengths) > 0 and max(lengths) <= EVENT_ID_LENGTH


def _is_event_id(text: str) -> bool:
    return is_identifier(text, EVENT_ID_LENGTH) and not plain(text).startswith(OWN_ID)


def _is_somebody(user_id: str, placeholders: Collection[str]) -> bool:
    if is_ordinary(user_id, ID_LENGTH) and not placeholders:
        return True
    return is_identifier(user_id, ID_LENGTH) and not is_placeholder(user_id, placeholders)


def _rows_out_of_time(times_us: Sequence[int], received_us: Sequence[int]) -> Iterable[int]:
    if min(times_us) >= EARLIEST_TIME_US and max(times_us) <= min(received_us) + FUTURE_US:
        return ()
    times = enumerate(zip(times_us, received_us, strict=True))
    return [row for row, (time_us, at_us) in times if not EARLIEST_TIME_US <= time_us <= at_us + FUTURE_US]


def _incomplete_rows(table: Table) -> set[int]:
    """The rows that may lack what their kind needs."""
    kinds = table.event_type
    rows = {*rows_without(_PLAIN_KINDS.__contains__, kinds)}
    if not table.has("page") or "" in table.page:
        pages = enumerate(zip(kinds, table.page, strict=True))
        rows.update(row for row, (kind, page) in pages if kind == Kind.PAGE_VIEW and not page)
    played = {row for row, playback in table.details_of("playback").items() if _is_playback(playback)}
    rows.difference_update(row for row in played if kinds[row] == Kind.VIDEO_PLAYBACK)
    rows.update(row for row, sold in table.details_of("purchase").items() if not abs(sold.amount) <= AMOUNT_MOST)
    return rows


def _is_playback(playback: Playback) -> bool:
    return 0 < playback.action <= _LAST_ACTION and is_identifier(playback.video_id, ID_LENGTH)


def reject(event: Event, received_time_us: int, placeholders: Collection[str] = frozenset()) -> Rejection | None:
    """Why the event is refused; None where it is accepted. `placeholders` are more ids that stand for nobody."""
    event_id, user_id, event_time_us, properties, event_type = _JUDGED(event)
    if placeholders or not (is_ordinary(event_id, EVENT_ID_LENGTH) and is_ordinary(user_id, ID_LENGTH)):
        rejection = _reject_identity(event, placeholders)
        if rejection:
            return rejection
    if not EARLIEST_TIME_US <= event_time_us <= received_time_us + FUTURE_US:
        return _reject_time(event_time_us)
    if properties:
        rejection = _reject_properties(properties)
        if rejection:
            return rejection
    if not 1 <= event_type <= _LAST_KIND:
        return Rejection("MISSING_FIELD", "eventType is missing.")
    judge_kind = _BY_KIND.get(event_type)
    return judge_kind(event) if judge_kind else None


def outcome_id(intervention_id: str, outcome: int) -> str:
    """The event id of an outcome, computed from the intervention and the outcome."""
    return f"{OWN_ID}outcome:{intervention_id}:{_OUTCOME_WORDS[outcome]}"


def findable_id(event_id: str) -> str:
    """The id under which a rejected event is found; its tenant alone if it is too long, or one of the mesh's own."""
    sent = plain(event_id)
    return beside(event_id, "") if sent.startswith(OWN_ID) or len(sent) > EVENT_ID_LENGTH else event_id


def _reject_identity(event: Event, placeholders: Collection[str]) -> Rejection | None:
    event_id, user_id = event.event_id, event.user_id
    if not event_id or not user_id:
        missing = "userId is missing, and so is anonymousId." if event_id else "eventId is missing."
        return Rejection("MISSING_FIELD", missing)
    if not is_identifier(event_id, EVENT_ID_LENGTH):
        return _identifier("eventId", EVENT_ID_LENGTH)
    if plain(event_id).startswith(OWN_ID) and not (_is_own_outcome(event) or _is_own_change(event)):
        return Rejection("RESERVED_ID", f"An eventId must not begin with `{OWN_ID}`.")
    if not is_identifier(user_id, ID_LENGTH):
        return _identifier("userId", ID_LENGTH)
    if is_placeholder(user_id, placeholders):
        return Rejection("PLACEHOLDER_ID", "The id of the user stands for nobody.")
    return None


def _is_own_outcome(event: Event) -> bool:
    """Whether the event is an outcome that the gateway reports itself: its id is then computed from the outcome."""
    if not event.is_own or event.user_id != event.anonymous_id:
        return False
    if event.event_type != Kind.INTERVENTION_OUTCOME or not 0 < event.outcome.outcome < len(_OUTCOME_WORDS):
        return False
    return plain(event.event_id) == outcome_id(event.outcome.intervention_id, event.outcome.outcome)


def _is_own_change(event: Event) -> bool:
    """Whether the event is a segment change that the mesh publishes itself."""
    is_change = event.is_own and event.event_type == Kind.SEGMENT_CHANGE
    return is_change and plain(event.event_id).startswith(SEGMENT_CHANGE_ID)


def _reject_time(event_time_us: int) -> Rejection:
    if event_time_us < EARLIEST_TIME_US:
        return Rejection("INVALID_TIME", "timestamp must not lie before the year 2000.")
    return Rejection("TIME_IN_FUTURE", "timestamp lies more than 24 hours after its receipt.")


class _Object(msgspec.Struct):
    """Any JSON object; its members are skipped."""


_decode_object: Final = msgspec.json.Decoder(_Object).decode


def _reject_properties(properties: bytes) -> Rejection | None:
    if len(properties) > PROPERTIES_BYTES:
        return Rejection("EVENT_TOO_LARGE", "properties must hold at most 32 KiB.")
    try:
        if not properties.isascii():  # the parser does not check the encoding inside strings
            properties.decode()
        _decode_object(properties)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Rejection("MALFORMED_JSON", "properties must be a JSON object in UTF-8.")
    return None


def _reject_page_view(event: Event) -> Rejection | None:
    return None if event.page else Rejection("MISSING_FIELD", "A page view needs page.")


def _reject_playback(event: Event) -> Rejection | None:
    playback = event.playback
    if not playback.video_id or not playback.action:
        return Rejection("MISSING_FIELD", "A video playback needs videoId and action.")
    if not 0 < playback.action <= _LAST_ACTION:
        return Rejection("VALUE_OUT_OF_RANGE", "action must be one of those there are.")
    return None if is_identifier(playback.video_id, ID_LENGTH) else _identifier("videoId", ID_LENGTH)


def _reject_purchase(event: Event) -> Rejection | None:
    amount = event.purchase.amount
    if math.isfinite(amount) and abs(amount) <= AMOUNT_MOST:
        return None
    return Rejection("UNREADABLE_AMOUNT", f"amount must lie between {-AMOUNT_MOST:g} and {AMOUNT_MOST:g}.")


def _reject_outcome(event: Event) -> Rejection | None:
    outcome = event.outcome
    if not outcome.outcome or not (outcome.intervention_id or outcome.channel):
        return Rejection("MISSING_FIELD", "An intervention outcome needs outcome, and interventionId or channel.")
    if not 0 < outcome.outcome < len(_OUTCOME_WORDS):
        return Rejection("VALUE_OUT_OF_RANGE", f"outcome must be one of {', '.join(_OUTCOME_WORDS[1:])}.")
    if outcome.intervention_id and not is_identifier(outcome.intervention_id, ID_LENGTH):
        return _identifier("interventionId", ID_LENGTH)
    return None


def _reject_segment_change(event: Event) -> Rejection | None:
    of = event.segment_change
    if of.segment or of.previous_segment:
        return None
    return Rejection("MISSING_FIELD", "A segment change needs segment or previousSegment.")


_BY_KIND: Final[dict[int, Callable[[Event], Rejection | None]]] = {
    Kind.PAGE_VIEW: _reject_page_view,
    Kind.VIDEO_PLAYBACK: _reject_playback,
    Kind.PURCHASE: _reject_purchase,
    Kind.INTERVENTION_OUTCOME: _reject_outcome,
    Kind.SEGMENT_CHANGE: _reject_segment_change,
}


def _identifier(name: str, most: int) -> Rejection:
    return Rejection("INVALID_IDENTIFIER", f"{name} must be 1 to {most} characters without control characters.")
