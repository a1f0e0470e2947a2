"""What is cleaned or left out of an event before it is judged, in one place for every way in.

What an event needs is judged by `validation`. Everything else is an addition: where it cannot be used as it was sent it
is cleaned or left out with a note, and the event is accepted all the same.
"""

import functools
import math
import re
import zoneinfo
from collections.abc import Callable, Collection, MutableSequence
from typing import Any, Final, NamedTuple

from services.ingest.accept.domain.columns import odd_rows
from services.ingest.accept.domain.page import PAGE_LENGTH, Page, PageRules, is_plain, page_of
from services.ingest.accept.domain.placeholder import is_ordinary, is_placeholder
from services.ingest.accept.domain.text import Cleaned, cleaned, is_clean, is_identifier
from services.ingest.events.domain.event import Click, Event, Kind, OrderLine, Playback, Purchase, Table

ID_LENGTH: Final = 128
TARGET_LENGTH: Final = 256
USER_AGENT_LENGTH: Final = 512
ROLE_LENGTH: Final = 64
PRODUCT_NAME_LENGTH: Final = 256
ATTEMPTS_MOST: Final = 1000
LINES_MOST: Final = 100
QUANTITY_MOST: Final = 1_000_000
PRICE_MOST: Final = 1e12
SEGMENT_LENGTH: Final = 64
RECOMMENDED_MOST: Final = 5
PIXELS_MOST: Final = 1e6
# As in the video service, to which nothing longer is a length.
VIDEO_SECONDS_MOST: Final = 24 * 3600.0
# Live streams count positions from their beginning, or send Unix time.
POSITION_SECONDS_MOST: Final = 1e12
_RATES: Final = (0.1, 16.0)
_LATEST_SENT_US: Final = 253_402_300_800_000_000  # the year 10000
_LAST_PLATFORM: Final = 3
_CURRENCY: Final = re.compile("[A-Z]{3}")


class Note(NamedTuple):
    """What was done to a member, as clients call it; a sentence without what the user sent."""

    member: str
    detail: str


class Rules(NamedTuple):
    """What an installation sets: how pages are distinguished, and further ids that stand for nobody, each `plain`."""

    pages: PageRules = PageRules()
    placeholders: frozenset[str] = frozenset()


DEFAULT_RULES: Final = Rules()

_LINE_TEXTS: Final = (("product_id", ID_LENGTH), ("name", PRODUCT_NAME_LENGTH), ("category", ID_LENGTH))
_PRODUCT_TEXTS: Final = (
    ("product_id", ID_LENGTH),
    ("name", PRODUCT_NAME_LENGTH),
    ("reason", SEGMENT_LENGTH),
)
_SEGMENT_TEXTS: Final = (
    ("segment", "segment"),
    ("previous_segment", "previousSegment"),
    ("group", "group"),
    ("previous_group", "previousGroup"),
)
_LABELS: Final = (
    ("error_code", "errorCode", ID_LENGTH),
    ("user_agent", "context.userAgent", USER_AGENT_LENGTH),
    ("address", "address", PAGE_LENGTH),
)
_IDENTIFIERS: Final = (
    ("session_id", "sessionId"),
    ("device_id", "context.deviceId"),
    ("correlation_id", "context.correlationId"),
)
_NO_IDENTIFIER: Final = f"It must be at most {ID_LENGTH} characters without line breaks; it was left out."
_NO_LINE: Final = "A line without a product, a quantity or a price in range was left out."
_CLEANED: Final = "It held characters that cannot be shown or was too long, and was cleaned."


def untidy_rows(table: Table, rules: Rules) -> set[int]:
    """The rows that `tidy` changes, but for pages that `put_pages` puts in order, and maybe some more."""
    rows = odd_rows(table, _plain_cells(rules.placeholders))
    for name, is_tidy in (("click", _is_tidy_click), ("playback", _is_tidy_playback), ("purchase", _is_tidy_purchase)):
        rows.update(row for row, detail in table.details_of(name).items() if not is_tidy(detail))
    rows.update(table.details_of("outcome"), table.details_of("segment_change"))
    return rows


@functools.lru_cache(maxsize=4)
def _plain_cells(placeholders: frozenset[str]) -> tuple[tuple[str, Callable[[Any], bool]], ...]:
    """Of each column which cells stay as they are, whatever stands beside them."""

    def is_somebody(cell: str) -> bool:
        is_fine = is_ordinary(cell, ID_LENGTH) and not placeholders
        return not cell or is_fine or (is_identifier(cell, ID_LENGTH) and not is_placeholder(cell, placeholders))

    return (
        ("page", lambda cell: is_clean(cell, PAGE_LENGTH)),
        ("target", lambda cell: _stays(cell, TARGET_LENGTH)),
        ("time_zone", lambda cell: not cell or _is_time_zone(cell)),
        ("platform", lambda cell: 0 <= cell <= _LAST_PLATFORM),
        ("error_code", lambda cell: _stays(cell, ID_LENGTH)),
        ("user_agent", lambda cell: _stays(cell, USER_AGENT_LENGTH)),
        ("address", lambda cell: _stays(cell, PAGE_LENGTH)),
        ("session_id", lambda cell: not cell or is_identifier(cell, ID_LENGTH)),
        ("correlation_id", lambda cell: not cell or is_identifier(cell, ID_LENGTH)),
        ("device_id", is_somebody),
        ("anonymous_id", is_somebody),
        ("sent_time_us", lambda cell: 0 <= cell < _LATEST_SENT_US),
        ("attempt_count", lambda cell: cell <= ATTEMPTS_MOST),
    )


def put_pages(table: Table, rules: PageRules, apart: Collection[int]) -> None:
    """Puts the clean pages of all rows but some in their one spelling, and addresses that say more beside them."""
    if not table.has("page"):
        return
    odd = [sent for sent in set(table.page) if sent and is_clean(sent, PAGE_LENGTH) and not _is_plain(sent)]
    spelled = {sent: page_of(sent, rules) for sent in odd}
    for row, sent in enumerate(table.page if spelled else ()):
        page = spelled.get(sent)
        if page is not None and row not in apart:
            table.page[row] = page.name
            if page.address:
                table.address[row] = page.address


def tidy(event: Event, rules: Rules) -> list[Note]:
    """Cleans an event in place, and returns a note per change. A tidy event stays as it is."""
    notes: list[Note] = []
    if event.page and not _is_plain(event.page):
        _tidy_page(event, event.page, rules.pages, notes)
    if event.target and not is_clean(event.target, TARGET_LENGTH):
        _put_text(event, "target", "target", TARGET_LENGTH, notes)
    if event.time_zone and not _is_time_zone(event.time_zone):
        event.time_zone = ""
        notes.append(Note("context.timeZone", "It is no IANA name such as Europe/Berlin; it was left out."))
    if not 0 <= event.platform <= _LAST_PLATFORM:
        event.platform = 0
        notes.append(Note("context.platform", "It is none of those there are; it was left out."))
    _tidy_rare(event, rules, notes)
    tidy_kind = _BY_KIND.get(event.event_type)
    if tidy_kind is not None:
        tidy_kind(event, notes)
    return notes


def _tidy_page(event: Event, sent: str, rules: PageRules, notes: list[Note]) -> None:
    if not is_clean(sent, PAGE_LENGTH):
        sent, is_changed = cleaned(sent, PAGE_LENGTH)
        if is_changed:
            notes.append(Note("page", _CLEANED))
    page = page_of(sent, rules) if sent else Page("", "")
    event.page = page.name
    if page.address:
        event.address = page.address


def _tidy_rare(event: Event, rules: Rules, notes: list[Note]) -> None:
    for attribute, member, most in _LABELS:
        value = getattr(event, attribute)
        if value and not is_clean(value, most):
            _put_text(event, attribute, member, most, notes)
    for attribute, member in _IDENTIFIERS:
        value = getattr(event, attribute)
        if value and not is_identifier(value, ID_LENGTH):
            setattr(event, attribute, "")
            notes.append(Note(member, _NO_IDENTIFIER))
    if event.device_id and is_placeholder(event.device_id, rules.placeholders):
        # Devices of many people under one id would share a clock.
        event.device_id = ""
        notes.append(Note("context.deviceId", "It stands for no device; it was left out."))
    if event.sent_time_us and not 0 < event.sent_time_us < _LATEST_SENT_US:
        event.sent_time_us = 0
        notes.append(Note("sentAt", "It lies before 1970 or after the year 9999; it was left out."))
    if event.attempt_count > ATTEMPTS_MOST:
        event.attempt_count = ATTEMPTS_MOST
        notes.append(Note("attempts", f"More than {ATTEMPTS_MOST} count as {ATTEMPTS_MOST}."))
    if event.anonymous_id not in ("", event.user_id):
        _tidy_ids(event, rules, notes)


def _tidy_ids(event: Event, rules: Rules, notes: list[Note]) -> None:
    """Leaves out ids that stand for nobody, where another one names the user."""
    anonymous_id, user_id = event.anonymous_id, event.user_id
    if not is_identifier(anonymous_id, ID_LENGTH):
        event.anonymous_id = ""
        notes.append(Note("anonymousId", f"It must be at most {ID_LENGTH} characters; it was left out."))
    elif is_placeholder(anonymous_id, rules.placeholders):
        event.anonymous_id = ""
        notes.append(Note("anonymousId", "It stands for nobody; it was left out."))
    elif event.event_type != Kind.IDENTIFY and is_placeholder(user_id, rules.placeholders):
        event.user_id = anonymous_id
        notes.append(Note("userId", "It stands for nobody; the event is that of `anonymousId`."))


def _tidy_click(event: Event, notes: list[Note]) -> None:
    click: Click = event.click
    if any(not abs(place) <= PIXELS_MOST for place in (click.x, click.y)):
        click.ClearField("x")
        click.ClearField("y")
        notes.append(Note("x", "A place of a click must lie within a million pixels; it was left out."))
    if click.role and not is_clean(click.role, ROLE_LENGTH):
        _put_text(click, "role", "role", ROLE_LENGTH, notes)


def _tidy_playback(event: Event, notes: list[Note]) -> None:
    playback = event.playback
    for attribute, member, most in (
        ("position_seconds", "positionSeconds", POSITION_SECONDS_MOST),
        ("seek_from_seconds", "seekFromSeconds", POSITION_SECONDS_MOST),
        ("duration_seconds", "durationSeconds", VIDEO_SECONDS_MOST),
        ("watched_seconds", "watchedSeconds", VIDEO_SECONDS_MOST),
    ):
        seconds = getattr(playback, attribute)
        if not 0 <= seconds <= most:
            setattr(playback, attribute, 0.0)
            notes.append(Note(member, "Not a valid duration; treated as unknown."))
    if playback.watched_seconds > playback.position_seconds:
        playback.watched_seconds = playback.position_seconds
        notes.append(Note("watchedSeconds", "It was more than lies before the position, and was cut to that."))
    if playback.playback_rate and not _RATES[0] <= playback.playback_rate <= _RATES[1]:
        playback.playback_rate = 0.0
        notes.append(Note("playbackRate", f"It must lie between {_RATES[0]:g} and {_RATES[1]:g}; it was left out."))
    if playback.viewing_id and not is_identifier(playback.viewing_id, ID_LENGTH):
        playback.viewing_id = ""
        notes.append(Note("viewingId", f"It must be at most {ID_LENGTH} characters; it was left out."))
    for attribute, member in (("content_type", "contentType"), ("topic", "topic")):
        if getattr(playback, attribute) and not is_clean(getattr(playback, attribute), ID_LENGTH):
            _put_text(playback, attribute, member, ID_LENGTH, notes)


def _tidy_purchase(event: Event, notes: list[Note]) -> None:
    purchase = event.purchase
    if purchase.currency:
        code = purchase.currency.strip().upper()
        is_code = len(code) == 3 and code.isascii() and code.isalpha()
        if not is_code:
            notes.append(Note("currency", "It is no code of three letters such as EUR; it was left out."))
        purchase.currency = code if is_code else ""
    if purchase.amount < 0:
        purchase.is_refund = True
    elif purchase.is_refund and purchase.amount > 0 and math.isfinite(purchase.amount):
        purchase.amount = -purchase.amount
    if purchase.order_id and not is_identifier(purchase.order_id, ID_LENGTH):
        purchase.order_id = ""
        notes.append(Note("orderId", _NO_IDENTIFIER))
    if purchase.lines:
        _tidy_lines(purchase.lines, notes)


def _tidy_lines(lines: MutableSequence[OrderLine], notes: list[Note]) -> None:
    """Cleans the texts of lines, and leaves out lines that cannot be used."""
    texts: list[Note] = []
    for line in lines:
        for attribute, most in _LINE_TEXTS:
            if not is_clean(getattr(line, attribute), most):
                _put_text(line, attribute, "lines", most, texts)
    notes += texts[:1]
    bad = [place for place, line in enumerate(lines) if not _is_line(line)]
    for place in reversed(bad):
        del lines[place]
    if bad:
        notes.append(Note("lines", _NO_LINE))
    if len(lines) > LINES_MOST:
        del lines[LINES_MOST:]
        notes.append(Note("lines", f"An order has at most {LINES_MOST} lines; the others were left out."))


def _tidy_outcome(event: Event, notes: list[Note]) -> None:
    if event.outcome.channel and not is_clean(event.outcome.channel, ID_LENGTH):
        _put_text(event.outcome, "channel", "channel", ID_LENGTH, notes)


def _tidy_segment_change(event: Event, notes: list[Note]) -> None:
    """Cleans the names and products, and marks the event as a system's; it is about the segment."""
    change, products = event.segment_change, event.segment_change.products
    event.is_system = True
    for attribute, member in _SEGMENT_TEXTS:
        if not is_clean(getattr(change, attribute), SEGMENT_LENGTH):
            _put_text(change, attribute, member, SEGMENT_LENGTH, notes)
    texts: list[Note] = []
    for product in products:
        for attribute, most in _PRODUCT_TEXTS:
            if not is_clean(getattr(product, attribute), most):
                _put_text(product, attribute, "products", most, texts)
    notes += texts[:1]
    unnamed = [place for place, product in enumerate(products) if not product.product_id]
    for place in reversed(unnamed):
        del products[place]
    if unnamed:
        notes.append(Note("products", "A product without an id was left out."))
    if len(products) > RECOMMENDED_MOST:
        del products[RECOMMENDED_MOST:]
        notes.append(Note("products", f"At most {RECOMMENDED_MOST} are recommended; the others were left out."))
    event.target = event.target or change.segment


def _put_text(of: object, attribute: str, member: str, most: int, notes: list[Note]) -> None:
    text, is_changed = cleaned(getattr(of, attribute), most)
    setattr(of, attribute, text)
    if is_changed:
        notes.append(Note(member, _CLEANED))


_BY_KIND: Final[dict[int, Callable[[Event, list[Note]], None]]] = {
    Kind.CLICK: _tidy_click,
    Kind.VIDEO_PLAYBACK: _tidy_playback,
    Kind.PURCHASE: _tidy_purchase,
    Kind.INTERVENTION_OUTCOME: _tidy_outcome,
    Kind.SEGMENT_CHANGE: _tidy_segment_change,
}


@functools.lru_cache(maxsize=2048)
def _is_plain(page: str) -> bool:
    """Whether a page is clean and stays as it is; remembered, as a product has few of them."""
    return is_clean(page, PAGE_LENGTH) and is_plain(page)


@functools.lru_cache(maxsize=2048)
def _stays(text: str, most: int) -> bool:
    """Whether cleaning leaves a text as it is; remembered, as most are labels of a product."""
    return is_clean(text, most) or cleaned(text, most) == Cleaned(text, is_changed=False)


def _is_tidy_click(click: Click) -> bool:
    return abs(click.x) <= PIXELS_MOST and abs(click.y) <= PIXELS_MOST and is_clean(click.role, ROLE_LENGTH)


def _is_tidy_playback(playback: Playback) -> bool:
    position_seconds, rate, viewing_id = playback.position_seconds, playback.playback_rate, playback.viewing_id
    return (
        0 <= playback.watched_seconds <= min(position_seconds, VIDEO_SECONDS_MOST)
        and position_seconds <= POSITION_SECONDS_MOST
        and 0 <= playback.seek_from_seconds <= POSITION_SECONDS_MOST
        and 0 <= playback.duration_seconds <= VIDEO_SECONDS_MOST
        and (not rate or _RATES[0] <= rate <= _RATES[1])
        and (not viewing_id or is_identifier(viewing_id, ID_LENGTH))
        and is_clean(playback.content_type, ID_LENGTH)
        and is_clean(playback.topic, ID_LENGTH)
    )


def _is_tidy_purchase(purchase: Purchase) -> bool:
    code = purchase.currency
    return (
        purchase.amount >= 0
        and not purchase.is_refund
        and (not code or bool(_CURRENCY.fullmatch(code)))
        and (not purchase.order_id or is_identifier(purchase.order_id, ID_LENGTH))
        and len(purchase.lines) <= LINES_MOST
        and all(map(_is_tidy_line, purchase.lines))
    )


def _is_tidy_line(line: OrderLine) -> bool:
    return _is_line(line) and all(is_clean(getattr(line, attribute), most) for attribute, most in _LINE_TEXTS)


def _is_line(line: OrderLine) -> bool:
    return bool(line.product_id) and 0 < line.quantity <= QUANTITY_MOST and 0 <= line.price <= PRICE_MOST


@functools.lru_cache(maxsize=1024)
def _is_time_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
