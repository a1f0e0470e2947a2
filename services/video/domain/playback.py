"""A playback event, and what one viewer has watched of one video."""

import enum
import functools
import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from services.video.domain import coverage, lengths, trail
from services.video.domain.lengths import UNCHANGED, Change
from services.video.domain.trail import Moment

# No video is longer: a longer reported length is an error, and a position beyond it is that of a live stream.
LONGEST_MS: Final = 24 * 3_600_000
# Where a position is cut off: thirty thousand years.
_FARTHEST_SECONDS: Final = 1e12
# Events remembered per viewer and video, to recognise repeats: 40 minutes at one event every ten seconds.
REMEMBERED_EVENTS: Final = 256
REMEMBERED_SESSIONS: Final = 64
MOST_STRETCHES: Final = 128
# A guess trusts positions as long as they advance no faster than this, give or take rounding to seconds.
_FAST: Final = 2
_SLACK_MS: Final = 1000
# The most bytes kept of a video that was not watched lately.
SHORT_BYTES: Final = 700
_SHORT_EVENTS: Final = 8
_SHORT_SESSIONS: Final = 8
_SHORT_STRETCHES: Final = 8
# No player is faster.
FASTEST: Final = 16
# How much more an event may claim to have played than fits into the time that passed, to allow for clocks and queues;
# more where it is the first, because it may report a whole session.
MOST_AHEAD_MS: Final = 10 * 60_000
MOST_ALONE_MS: Final = 4 * 3_600_000
_KEY_BYTES: Final = 8
_LOW_BITS: Final = 0xFFFFFFFF


class Action(enum.IntEnum):
    """What a player did."""

    PLAY = 1
    PAUSE = 2
    SEEK = 3
    HEARTBEAT = 4
    STALL = 5
    RATE_CHANGE = 6
    ENDED = 7


_COUNTED: Final = frozenset({Action.PAUSE, Action.SEEK, Action.STALL, Action.RATE_CHANGE})


class PlaybackEvent(msgspec.Struct, frozen=True):
    """What a player reported at `at_us` (event time): [start_ms, end_ms) was just played without a jump."""

    user_id: str
    video_id: str
    session_id: str
    action: Action
    start_ms: int
    end_ms: int
    duration_ms: int
    seek_from_ms: int
    at_us: int
    content_type: str = ""
    topic: str = ""
    time_zone: str = ""
    is_bot: bool = False
    received_us: int = 0
    """When the mesh received it, in Unix microseconds; 0 if unknown."""
    is_guessed: bool = False
    """`start_ms` is a guess, to be bounded by the event before."""


class Watched(msgspec.Struct, array_like=True):
    """What a viewer has watched of a video: the same for the same events, in any order and however often repeated.

    `once`, `twice` and `skipped` are sets of media time: seen at least once, played at least twice, jumped over.
    Repeats are recognised among the last `REMEMBERED_EVENTS` events, standing still among the last
    `trail.REMEMBERED_MOMENTS`. The length is the most common one reported lately. `ahead_ms` is how much more was
    played than fits into the time that passed.
    """

    duration_ms: int = 0
    once: list[int] = []
    twice: list[int] = []
    skipped: list[int] = []
    watched_ms: int = 0
    pause_count: int = 0
    seek_count: int = 0
    stall_count: int = 0
    rate_change_count: int = 0
    session_count: int = 0
    session_keys: bytes = b""
    event_keys: bytes = b""
    lengths: list[int] = []
    trail: bytes = b""
    ahead_ms: int = 0


class Effect(msgspec.Struct, frozen=True):
    """What an event adds: time played, the stretches of the video played, and the parts of them never seen before.

    A live stream has no stretches, only time.
    """

    played_ms: int = 0
    played: Sequence[tuple[int, int]] = ()
    unseen: Sequence[int] = ()
    length: Change = UNCHANGED


NOTHING: Final = Effect()

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Watched).decode


def encode(watched: Watched) -> bytes:
    """Serializes what was watched."""
    return _ENCODE(watched)


def decode(blob: bytes) -> Watched:
    """Deserializes what was watched; no bytes are nothing watched."""
    return _DECODE(blob) if blob else Watched()


def shorten(watched: Watched) -> None:
    """Keeps what is reported, and little of what recognises repeats."""
    watched.once = coverage.bounded(watched.once, _SHORT_STRETCHES)
    watched.twice = coverage.bounded(watched.twice, _SHORT_STRETCHES)
    watched.skipped = coverage.bounded(watched.skipped, _SHORT_STRETCHES)
    watched.event_keys = watched.event_keys[-_SHORT_EVENTS * _KEY_BYTES :]
    watched.session_keys = watched.session_keys[-_SHORT_SESSIONS * _KEY_BYTES :]
    watched.trail = trail.shortened(watched.trail)


def position_ms(seconds: float) -> int:
    """A position in whole milliseconds; 0 before the start."""
    return round(min(max(0.0, seconds), _FARTHEST_SECONDS) * 1000) if seconds else 0


def length_ms(seconds: float) -> int:
    """A length in whole milliseconds; 0 (unknown) for one that no video has."""
    return round(seconds * 1000) if 0.0 < seconds <= LONGEST_MS / 1000 else 0


def apply(watched: Watched, event: PlaybackEvent) -> Effect:
    """Adds an event to what was watched."""
    moment = Moment(
        event.at_us,
        _session_number(event.session_id),
        event.end_ms,
        _claimed(watched, event),
        event.action.value,
        event.seek_from_ms & _LOW_BITS,
    )
    before = watched.trail
    watched.trail, placed = trail.put(watched.trail, moment)
    if placed is None:
        return NOTHING
    session = _session_key(event.session_id)
    if not _holds(watched.session_keys, session):
        watched.session_count += 1
        watched.session_keys = (watched.session_keys + session)[-REMEMBERED_SESSIONS * _KEY_BYTES :]
    length = lengths.remember(watched.lengths, event.duration_ms)
    if length is not UNCHANGED:
        watched.duration_ms = lengths.of_viewer(watched.lengths)
    if event.action in _COUNTED:
        _count_action(watched, event, is_repeated=placed.is_repeated)
    if placed.split_action in _COUNTED:
        _add_action(watched, Action(placed.split_action))
    if not placed.played:
        return NOTHING if length is UNCHANGED else Effect(length=length)
    return _play(watched, event, placed.played, length, trail.since(before, event.at_us))


def _claimed(watched: Watched, event: PlaybackEvent) -> int:
    """How many milliseconds an event claims were played before its end."""
    if event.action is Action.SEEK:
        return 0  # nothing was played just before the target of a jump
    return _bounded(watched.trail, event) if event.is_guessed else event.end_ms - event.start_ms


def _bounded(moments: bytes, event: PlaybackEvent) -> int:
    """How much a guessing event counts for: no more than its session advanced since the event before."""
    session, guess = _session_number(event.session_id), event.end_ms - event.start_ms
    for before in reversed(trail.moments_of(moments)):
        if before.session != session:
            continue
        if (before.at_us, before.end_ms, before.action) == (event.at_us, event.end_ms, event.action.value):
            return before.watched_ms  # a repeat
        if before.at_us < event.at_us:
            passed, moved = (event.at_us - before.at_us) // 1000, event.end_ms - before.end_ms
            return min(guess, moved if 0 <= moved <= _FAST * passed + _SLACK_MS else passed)
    return guess


def _play(
    watched: Watched, event: PlaybackEvent, played: Sequence[tuple[int, int]], length: Change, since_us: int | None
) -> Effect:
    """Adds played stretches, unless the event is a repeat older than the remembered moments."""
    # A repeat ends inside what was seen; only then it has to be looked up.
    is_surely_new = (watched.once[-1] if watched.once else 0) < event.end_ms <= LONGEST_MS
    key = _key(f"{event.session_id} {event.at_us} {event.start_ms} {event.end_ms}")
    if not _is_new(watched, key, is_surely_new=is_surely_new):
        return Effect(length=length)
    played_ms = 0
    of_video: list[tuple[int, int]] = []
    unseen: list[int] = []
    fits_ms = FASTEST * since_us // 1000 if since_us else 0
    if watched.ahead_ms or event.end_ms - event.start_ms > fits_ms:
        played = _that_can_be(watched, played, fits_ms, MOST_ALONE_MS if since_us is None else MOST_AHEAD_MS)
    for start, end in played:
        played_ms += end - start
        if end <= LONGEST_MS:
            of_video.append((start, end))
            unseen += _cover(watched, start, end)
    watched.watched_ms += played_ms
    return Effect(played_ms, of_video, unseen, length)


def _that_can_be(
    watched: Watched, played: Sequence[tuple[int, int]], fits_ms: int, most_ms: int
) -> Sequence[tuple[int, int]]:
    """What can have been played: what fits into the time that passed and `most_ms` more. Cut from the beginning."""
    claimed_ms = sum([end - start for start, end in played])
    taken_ms = min(claimed_ms, fits_ms + max(0, most_ms - watched.ahead_ms))
    watched.ahead_ms = max(0, watched.ahead_ms + taken_ms - fits_ms)
    return played if taken_ms == claimed_ms else coverage.last_of(played, taken_ms)


def _cover(watched: Watched, start: int, end: int) -> list[int]:
    """Adds a stretch to what was seen once and twice; returns the parts never seen before."""
    unseen = coverage.outside(watched.once, start, end)
    if unseen != [start, end]:
        for again in coverage.stretches(coverage.inside(watched.once, start, end)):
            watched.twice = coverage.bounded(coverage.added(watched.twice, *again), MOST_STRETCHES)
    watched.once = coverage.bounded(coverage.added(watched.once, start, end), MOST_STRETCHES)
    return unseen


def _count_action(watched: Watched, event: PlaybackEvent, *, is_repeated: bool) -> None:
    key = _key(f"{event.session_id} {event.at_us} {event.action} {event.seek_from_ms} {event.end_ms}")
    if not _is_new(watched, key, is_surely_new=False) or is_repeated:
        return
    _add_action(watched, event.action)
    if event.action is Action.SEEK and event.seek_from_ms < event.end_ms <= LONGEST_MS:
        skipped = coverage.added(watched.skipped, event.seek_from_ms, event.end_ms)
        watched.skipped = coverage.bounded(skipped, MOST_STRETCHES)


def _add_action(watched: Watched, action: Action) -> None:
    match action:
        case Action.PAUSE:
            watched.pause_count += 1
        case Action.STALL:
            watched.stall_count += 1
        case Action.RATE_CHANGE:
            watched.rate_change_count += 1
        case _:
            watched.seek_count += 1


def _is_new(watched: Watched, key: bytes, *, is_surely_new: bool) -> bool:
    if not is_surely_new and _holds(watched.event_keys, key):
        return False
    watched.event_keys = (watched.event_keys + key)[-REMEMBERED_EVENTS * _KEY_BYTES :]
    return True


def _holds(keys: bytes, key: bytes) -> bool:
    at = keys.find(key)
    while at % _KEY_BYTES and at >= 0:
        at = keys.find(key, at + 1)
    return at >= 0


@functools.lru_cache(maxsize=4096)
def _session_key(session_id: str) -> bytes:
    return _key(session_id)


def _session_number(session_id: str) -> int:
    """Identifies a session within a trail; four bytes suffice, because a trail holds few."""
    return int.from_bytes(_session_key(session_id)[:4], "big")


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest()
