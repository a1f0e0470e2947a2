"""When an event may be accepted: identifiers, times, and what each kind needs.

The gateway has checked syntax and types; callers of the gRPC service come here directly. A bound is generous where a
real client might come near it, and strict where only a fault would.
"""

import functools
import math
import zoneinfo
from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple

from services.ingest.domain.event import Event

EVENT_ID_LENGTH: Final = 100
ID_LENGTH: Final = 128
PAGE_LENGTH: Final = 2048
TARGET_LENGTH: Final = 256
USER_AGENT_LENGTH: Final = 512
PROPERTIES_BYTES: Final = 32 * 1024
ATTEMPTS_MOST: Final = 1000
AMOUNT_MOST: Final = 1e12
VIDEO_SECONDS_MOST: Final = 7 * 24 * 3600.0
PIXELS_MOST: Final = 1e6

EARLIEST_TIME_US: Final = 946_684_800_000_000  # 2000-01-01T00:00:00Z
FUTURE_US: Final = 24 * 3600 * 1_000_000


class Kind(IntEnum):
    """The kinds of events that ingest tells apart; values as in `EventType`."""

    PAGE_VIEW = 1
    CLICK = 3
    VIDEO_PLAYBACK = 13
    PURCHASE = 14
    INTERVENTION_OUTCOME = 17
    IDENTIFY = 18


_LAST_KIND: Final = 18


class Rejection(NamedTuple):
    """Why an event is refused: a reason of `ErrorReason`, and a sentence without what the user sent."""

    reason: str
    detail: str


def reject(event: Event, received_time_us: int) -> Rejection | None:
    """Why the event is refused; None where it is accepted."""
    for judge in (_reject_identity, _reject_text):
        rejection = judge(event)
        if rejection:
            return rejection
    rejection = _reject_time(event.event_time_us, received_time_us)
    if rejection:
        return rejection
    if not 1 <= event.event_type <= _LAST_KIND:
        return Rejection("MISSING_FIELD", "eventType is missing.")
    judge_kind = _BY_KIND.get(event.event_type)
    return judge_kind(event) if judge_kind else None


def _reject_identity(event: Event) -> Rejection | None:
    event_id, user_id = event.event_id, event.user_id
    if not event_id:
        return Rejection("MISSING_FIELD", "eventId is missing.")
    if not user_id:
        return Rejection("MISSING_FIELD", "userId is missing, and so is anonymousId.")
    if len(event_id) > EVENT_ID_LENGTH or not event_id.isprintable():
        return _identifier("eventId", EVENT_ID_LENGTH)
    if len(user_id) > ID_LENGTH or not user_id.isprintable() or user_id.isspace():
        return _identifier("userId", ID_LENGTH)
    return None


def _reject_text(event: Event) -> Rejection | None:
    for name, text, most in (
        ("anonymousId", event.anonymous_id, ID_LENGTH),
        ("sessionId", event.session_id, ID_LENGTH),
        ("page", event.page, PAGE_LENGTH),
        ("target", event.target, TARGET_LENGTH),
        ("errorCode", event.error_code, ID_LENGTH),
        ("deviceId", event.device_id, ID_LENGTH),
        ("correlationId", event.correlation_id, ID_LENGTH),
        ("userAgent", event.user_agent, USER_AGENT_LENGTH),
    ):
        if text and (len(text) > most or not text.isprintable()):
            return _identifier(name, most)
    if event.time_zone and not _is_time_zone(event.time_zone):
        return Rejection("INVALID_IDENTIFIER", "timeZone must be an IANA name such as Europe/Berlin.")
    if len(event.properties) > PROPERTIES_BYTES:
        return Rejection("EVENT_TOO_LARGE", "properties must hold at most 32 KiB.")
    if event.attempt_count > ATTEMPTS_MOST:
        return _range("attempts", 0, ATTEMPTS_MOST)
    return None


def _reject_time(event_time_us: int, received_time_us: int) -> Rejection | None:
    if event_time_us < EARLIEST_TIME_US:
        return Rejection("INVALID_TIME", "timestamp must not lie before the year 2000.")
    if event_time_us > received_time_us + FUTURE_US:
        return Rejection("TIME_IN_FUTURE", "timestamp lies more than 24 hours after its receipt.")
    return None


def _reject_page_view(event: Event) -> Rejection | None:
    return None if event.page else Rejection("MISSING_FIELD", "A page view needs page.")


def _reject_click(event: Event) -> Rejection | None:
    is_far = any(not abs(place) <= PIXELS_MOST for place in (event.click.x, event.click.y))
    return _range("x and y", -PIXELS_MOST, PIXELS_MOST) if is_far else None


def _reject_playback(event: Event) -> Rejection | None:
    playback = event.playback
    if not playback.video_id or not playback.action:
        return Rejection("MISSING_FIELD", "A video playback needs videoId and action.")
    for name, identifier in (
        ("videoId", playback.video_id),
        ("viewingId", playback.viewing_id),
        ("contentType", playback.content_type),
        ("topic", playback.topic),
    ):
        if len(identifier) > ID_LENGTH or (identifier and not identifier.isprintable()):
            return _identifier(name, ID_LENGTH)
    for name, seconds in (
        ("positionSeconds", playback.position_seconds),
        ("watchedSeconds", playback.watched_seconds),
        ("durationSeconds", playback.duration_seconds),
        ("seekFromSeconds", playback.seek_from_seconds),
    ):
        if not 0 <= seconds <= VIDEO_SECONDS_MOST:
            return _range(name, 0, VIDEO_SECONDS_MOST)
    if playback.playback_rate and not 0.1 <= playback.playback_rate <= 16:
        return _range("playbackRate", 0.1, 16)
    if playback.watched_seconds > playback.position_seconds:
        return Rejection("VALUE_OUT_OF_RANGE", "watchedSeconds must not exceed positionSeconds.")
    return None


def _reject_purchase(event: Event) -> Rejection | None:
    amount = event.purchase.amount
    if not math.isfinite(amount) or abs(amount) > AMOUNT_MOST:
        return _range("amount", -AMOUNT_MOST, AMOUNT_MOST)
    return _identifier("currency", 3) if len(event.purchase.currency) > 3 else None


def _reject_outcome(event: Event) -> Rejection | None:
    outcome = event.outcome
    if not outcome.outcome or not (outcome.intervention_id or outcome.channel):
        return Rejection("MISSING_FIELD", "An intervention outcome needs outcome, and interventionId or channel.")
    if len(outcome.intervention_id) > ID_LENGTH:
        return _identifier("interventionId", ID_LENGTH)
    return _identifier("channel", ID_LENGTH) if len(outcome.channel) > ID_LENGTH else None


_BY_KIND: Final[dict[int, Callable[[Event], Rejection | None]]] = {
    Kind.PAGE_VIEW: _reject_page_view,
    Kind.CLICK: _reject_click,
    Kind.VIDEO_PLAYBACK: _reject_playback,
    Kind.PURCHASE: _reject_purchase,
    Kind.INTERVENTION_OUTCOME: _reject_outcome,
}


def _identifier(name: str, most: int) -> Rejection:
    return Rejection("INVALID_IDENTIFIER", f"{name} must be at most {most} printable characters.")


def _range(name: str, least: float, most: float) -> Rejection:
    return Rejection("VALUE_OUT_OF_RANGE", f"{name} must lie between {least:g} and {most:g}.")


@functools.lru_cache(maxsize=1024)
def _is_time_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
