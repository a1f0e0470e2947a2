"""The error of a device's clock, and how its times are corrected. Pure.

A request says when it was sent, by the device's clock, and the gateway when it was received. The difference is the
clock's offset plus the time the request was under way. That time is never negative, so the smallest difference of many
requests is the best guess of the offset, and exact once one request had no delay. Segment's formula takes the
difference of each single request: a batch that was stalled is moved by its delay, past what happened after it.

A better guess is a smaller offset and would move later events before earlier ones. So the map from the device's time to
the corrected time is made of pieces: what was handed out keeps its piece, what is later goes by the better guess but
never before the end of the piece before. It is monotone for good, back to the oldest of the pieces kept.

A request that seems to have been under way for longer than any request is shows that the clock was ahead before. The
new offset is taken, and what was known before is forgotten. So no sample moves the times of other requests by more.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from services.ingest.accept.domain.validation import FUTURE_US
from services.ingest.events.domain.days import DAY_US, day_of
from services.ingest.events.domain.event import Event, Table

PIECES_MOST: Final = 4
DELAY_MOST_US: Final = 120 * 1_000_000
"""Clients give up on a request sooner; well below the age up to which an event brings help."""
ERROR_MOST_US: Final = FUTURE_US
"""A request that seems to be further off was not just sent: it is history that is sent again."""
CLOCKS_SINCE_US: Final = 1_262_304_000_000_000  # 2010-01-01T00:00:00Z
"""Devices begin anew in 1970, 1980 or 2000; nothing that is sent again was sent before this."""
# How long an event waits on a device to be sent.
_QUEUED_MOST_US: Final = 90 * DAY_US
# Some clients send `sentAt` in whole seconds beside a `timestamp` in milliseconds.
_COARSE_US: Final = 1_000_000
_NEVER: Final = -(1 << 62)


class Piece(msgspec.Struct, array_like=True, frozen=True):
    """From a time of the device on: the offset, and what the corrected time does not go below."""

    from_us: int
    offset_us: int
    floor_us: int


class Skew(msgspec.Struct, array_like=True, frozen=True):
    """What is known of a device's clock. Times are Unix microseconds; `day` counts UTC days of received time."""

    day: int
    smallest_us: int
    """The smallest difference seen on `day`."""
    day_before_us: int | None
    """The smallest of the day before; None where there was none."""
    pieces: tuple[Piece, ...]
    """Ascending, 1 to 4; the first one also holds for all that is earlier."""
    latest_us: int = _NEVER
    """The latest time of the device that was corrected."""


def whose(device_id: str, anonymous_id: str, user_id: str) -> str:
    """The key of the clock that an event's time was read from: user and device, else user and anonymous id, else user.

    Many people may send one device or anonymous id, by a fault or on purpose. No identifier holds a line break.
    """
    if device_id:
        return f"d:{device_id}\n{user_id}"
    return f"a:{anonymous_id}\n{user_id}" if anonymous_id else f"u:{user_id}"


def user_of(device: str) -> str:
    """The user whose clock has this key."""
    return device.removeprefix("u:") if device.startswith("u:") else device.rpartition("\n")[2]


def observe(skew: Skew | None, received_us: int, sent_us: int) -> Skew:
    """What is known of a clock after one more request, before its events are corrected.

    The smallest difference of today and yesterday counts. Where this request would have been under way for longer than
    any is, either a clock ahead was known, or the clock is right now: then nothing counts but this request. Else its
    time of sending lies in the past: it is that of the capture, or the request waited.
    """
    sample, day = received_us - sent_us, day_of(received_us)
    if skew is None:
        return Skew(day, sample, None, _begun(sample))
    if day <= skew.day:
        day, smallest, before = skew.day, min(sample, skew.smallest_us), skew.day_before_us
    else:
        smallest, before = sample, skew.smallest_us if day == skew.day + 1 else None
    offset = smallest if before is None else min(smallest, before)
    is_of_the_past = sample > DELAY_MOST_US and offset >= -DELAY_MOST_US
    if sample - offset > DELAY_MOST_US and not is_of_the_past:
        return Skew(day, sample, None, _begun(sample))
    last = skew.pieces[-1]
    if offset == last.offset_us:
        pieces = skew.pieces
    elif skew.latest_us < last.from_us:
        pieces = (*skew.pieces[:-1], Piece(last.from_us, offset, last.floor_us))
    else:
        piece = Piece(skew.latest_us + 1, offset, corrected(skew, skew.latest_us))
        pieces = (*skew.pieces, piece)[-PIECES_MOST:]
    return Skew(day, smallest, before, pieces, skew.latest_us)


def _begun(offset_us: int) -> tuple[Piece, ...]:
    return (Piece(_NEVER + 1, offset_us, _NEVER),)


def corrected(skew: Skew, client_us: int) -> int:
    """The corrected time of a time of the device; a later time never has an earlier one."""
    for piece in reversed(skew.pieces):
        if client_us >= piece.from_us:
            return max(client_us + piece.offset_us, piece.floor_us)
    return client_us + skew.pieces[0].offset_us


def odd_rows(table: Table) -> set[int]:
    """The rows that `set_right` deals with. Every row has its time of receipt."""
    if not table.has("sent_time_us"):
        return set()
    times = enumerate(zip(table.sent_time_us, table.received_time_us, strict=True))
    return {
        row
        for row, (sent_us, received_us) in times
        if sent_us and not CLOCKS_SINCE_US <= sent_us <= received_us + ERROR_MOST_US
    }


def set_right(event: Event, received_us: int) -> bool:
    """Deals with a time of sending at which no clock stands: before 2010, or more than a day in the future.

    An event that was timed by that clock too is corrected by the difference of its own request, which is exact but for
    the time it was under way. Such a clock began anew, maybe a minute ago, so nothing is learnt of it. Beside any other
    event the time of sending is forgotten. Returns whether it was.
    """
    sent_us = event.sent_time_us
    if not sent_us or CLOCKS_SINCE_US <= sent_us <= received_us + ERROR_MOST_US:
        return False
    event_us = event.event_time_us
    if not _is_timed_by_it(event_us, sent_us, received_us):
        event.sent_time_us = 0
        return True
    event.client_time_us = event_us
    event.event_time_us = min(event_us + received_us - sent_us, received_us)
    return False


def _is_timed_by_it(event_us: int, sent_us: int, received_us: int) -> bool:
    """Whether the clock of an odd time of sending timed the event too: odd in the same way, at most 90 days older."""
    is_odd = event_us > received_us if sent_us > received_us else event_us < CLOCKS_SINCE_US
    return is_odd and sent_us - _QUEUED_MOST_US <= event_us <= sent_us + _COARSE_US


class _Shown(NamedTuple):
    # By `sentAt` rather than by an event from the future; the larger one counts.
    is_sent: bool
    time_us: int


class ClockReading(NamedTuple):
    """What an event shows of a clock: whose it is, when its request was received, and what it showed then."""

    clock: str
    received_us: int
    shown: _Shown


class Samples(NamedTuple):
    """The reading of each event, None if it has none; and the latest one per clock and receipt.

    Both are empty if no event has a reading.
    """

    readings: Sequence[ClockReading | None]
    latest: Mapping[tuple[str, int], _Shown]

    def of(self, indexes: Iterable[int]) -> "Samples":
        """The same for some of the events, by their index among all."""
        return self._replace(readings=[self.readings[index] for index in indexes]) if self.latest else self


def samples(table: Table) -> Samples:
    """The clock readings of these events. Empty, and cheap, if there are none.

    The time of receipt, which every row has, identifies a request.
    """
    received = table.received_time_us
    if not table.has("sent_time_us") and max(table.event_time_us, default=0) <= min(received, default=0):
        return Samples((), {})
    readings: list[ClockReading | None] = []
    latest: dict[tuple[str, int], _Shown] = {}
    times = zip(table.sent_time_us, table.event_time_us, received, strict=True)
    for row, (sent_us, event_us, received_us) in enumerate(times):
        if max(CLOCKS_SINCE_US, received_us - ERROR_MOST_US) <= sent_us <= received_us + ERROR_MOST_US:
            shown = _Shown(is_sent=True, time_us=event_us if sent_us < event_us <= sent_us + _COARSE_US else sent_us)
        elif event_us > received_us:
            shown = _Shown(is_sent=False, time_us=event_us)
        else:
            readings.append(None)
            continue
        clock = whose(table.device_id[row], table.anonymous_id[row], table.user_id[row])
        reading = ClockReading(clock, received_us, shown)
        readings.append(reading)
        known = latest.get(reading[:2])
        if known is None or known < shown:
            latest[reading[:2]] = shown
    return Samples(readings, latest) if latest else Samples((), {})


def correct(table: Table, read: Samples, known: Mapping[str, Skew]) -> dict[str, Skew]:
    """Corrects the times of events in place, and returns what is known of their clocks from now on.

    Only events with a reading are touched, by the latest reading of their request, unless their own contradicts it. An
    event later than the sending of its own request was not timed by that clock: it is only moved back to its receipt.

    Args:
        table: the events that `read` was made of, in the same order.
        read: the samples of these events; the latest readings may include those of others.
        known: what is known of their clocks; unknown clocks are absent.
    """
    learnt: dict[str, Skew] = {}
    observed: set[ClockReading] = set()
    for row, reading in enumerate(read.readings):
        if reading is None:
            continue
        name, received_us, own = reading
        shown = read.latest[name, received_us]
        if shown.time_us - own.time_us > DELAY_MOST_US:
            shown = own
        skew = learnt.get(name) or known.get(name)
        sample = ClockReading(name, received_us, shown)
        if skew is None or sample not in observed:
            observed.add(sample)
            skew = observe(skew, received_us, shown.time_us)
        time_us = client_us = table.event_time_us[row]
        if client_us <= shown.time_us:
            time_us = corrected(skew, client_us)
            if client_us > skew.latest_us:
                skew = msgspec.structs.replace(skew, latest_us=client_us)
        learnt[name] = skew
        time_us = min(time_us, received_us)
        if time_us != client_us:
            table.event_time_us[row], table.client_time_us[row] = time_us, client_us
    return {name: skew for name, skew in learnt.items() if skew != known.get(name)}
