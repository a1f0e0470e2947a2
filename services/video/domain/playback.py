"""One beat of a player, and what one viewer has watched of one video."""

import enum
import functools
import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from services.video.domain import coverage, lengths, trail
from services.video.domain.lengths import UNCHANGED, Change
from services.video.domain.trail import Moment

# No video is longer. A length told beyond is none; a position beyond is that of a live stream.
LONGEST_MS: Final = 24 * 3_600_000
# Where a position is cut off: thirty thousand years.
_FARTHEST_SECONDS: Final = 1e12
# Beats that are remembered of a viewer and video, to know a repeated one: 40 minutes, at a beat each ten seconds.
REMEMBERED_BEATS: Final = 256
REMEMBERED_VIEWINGS: Final = 64
MOST_STRETCHES: Final = 128
# A guess goes by positions as far as they move on at such a speed, told in whole seconds.
_FAST: Final = 2
_SLACK_MS: Final = 1000
# Of a video that was not watched lately less is kept, in so many bytes at most.
SHORT_BYTES: Final = 700
_SHORT_BEATS: Final = 8
_SHORT_VIEWINGS: Final = 8
_SHORT_STRETCHES: Final = 8
# No player is faster.
FASTEST: Final = 16
# So much may be told to have been played beyond what fits into the time that passed: room for clocks and queues. More
# where no beat is known before it, for it may tell all of a viewing.
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


class Beat(msgspec.Struct, frozen=True):
    """One message of a player, made at `at_us` of event time: [start_ms, end_ms) was just played without a jump."""

    user_id: str
    video_id: str
    viewing: str
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
    """When the mesh had it: Unix microseconds; 0 where not told."""
    is_guessed: bool = False
    """Where it began is a guess; it began no earlier than the beat before tells."""


class Watched(msgspec.Struct, array_like=True):
    """What a viewer has watched of a video. The same beats in any order, however often repeated, give the same.

    `once`, `twice` and `skipped` are sets of media time: seen at least once, played at least twice, jumped over. Beats
    are known again while they are among the last `REMEMBERED_BEATS`; which of them only stood, while they are among
    the last `trail.REMEMBERED_MOMENTS`. The length is the most common of those told lately. `ahead_ms` is how much more
    was played than fits into the time that passed.
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
    viewing_count: int = 0
    viewings: bytes = b""
    beats: bytes = b""
    lengths: list[int] = []
    trail: bytes = b""
    ahead_ms: int = 0


class Effect(msgspec.Struct, frozen=True):
    """What a beat brought: time played, the stretches of the video it was, and what of them was never seen before.

    Of a live stream there are no stretches, only time.
    """

    played_ms: int = 0
    played: Sequence[tuple[int, int]] = ()
    unseen: Sequence[int] = ()
    length: Change = UNCHANGED


NOTHING: Final = Effect()

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Watched).decode


def encode(watched: Watched) -> bytes:
    """What was watched as bytes."""
    return _ENCODE(watched)


def decode(blob: bytes) -> Watched:
    """What was watched from bytes; nothing from none."""
    return _DECODE(blob) if blob else Watched()


def shorten(watched: Watched) -> None:
    """Keeps of what was watched what is told of it, and little of what tells repeated beats apart."""
    watched.once = coverage.bounded(watched.once, _SHORT_STRETCHES)
    watched.twice = coverage.bounded(watched.twice, _SHORT_STRETCHES)
    watched.skipped = coverage.bounded(watched.skipped, _SHORT_STRETCHES)
    watched.beats = watched.beats[-_SHORT_BEATS * _KEY_BYTES :]
    watched.viewings = watched.viewings[-_SHORT_VIEWINGS * _KEY_BYTES :]
    watched.trail = trail.shortened(watched.trail)


def position_ms(seconds: float) -> int:
    """A position in whole milliseconds; 0 for one before the start."""
    return round(min(max(0.0, seconds), _FARTHEST_SECONDS) * 1000) if seconds else 0


def length_ms(seconds: float) -> int:
    """A length in whole milliseconds; 0, unknown, for one that no video has."""
    return round(seconds * 1000) if 0.0 < seconds <= LONGEST_MS / 1000 else 0


def apply(watched: Watched, beat: Beat) -> Effect:
    """Adds a beat to what was watched."""
    moment = Moment(
        beat.at_us,
        _viewing_number(beat.viewing),
        beat.end_ms,
        _claimed(watched, beat),
        beat.action.value,
        beat.seek_from_ms & _LOW_BITS,
    )
    before = watched.trail
    watched.trail, placed = trail.put(watched.trail, moment)
    if placed is None:
        return NOTHING
    viewing = _viewing_key(beat.viewing)
    if not _holds(watched.viewings, viewing):
        watched.viewing_count += 1
        watched.viewings = (watched.viewings + viewing)[-REMEMBERED_VIEWINGS * _KEY_BYTES :]
    length = lengths.tell(watched.lengths, beat.duration_ms)
    if length is not UNCHANGED:
        watched.duration_ms = lengths.of_viewer(watched.lengths)
    if beat.action in _COUNTED:
        _count_action(watched, beat, is_told_again=placed.is_told_again)
    if placed.split_action in _COUNTED:
        _add_action(watched, Action(placed.split_action))
    if not placed.played:
        return NOTHING if length is UNCHANGED else Effect(length=length)
    return _play(watched, beat, placed.played, length, trail.since(before, beat.at_us))


def _claimed(watched: Watched, beat: Beat) -> int:
    """How much a beat claims to have been played before its end, in milliseconds."""
    if beat.action is Action.SEEK:
        return 0  # nothing was played just before the place that a jump leads to
    return _bounded(watched.trail, beat) if beat.is_guessed else beat.end_ms - beat.start_ms


def _bounded(moments: bytes, beat: Beat) -> int:
    """What was watched before a beat that guesses it: no more than its viewing moved on since the beat before."""
    viewing, guess = _viewing_number(beat.viewing), beat.end_ms - beat.start_ms
    for before in reversed(trail.moments_of(moments)):
        if before.viewing != viewing:
            continue
        if (before.at_us, before.end_ms, before.action) == (beat.at_us, beat.end_ms, beat.action.value):
            return before.watched_ms  # told again
        if before.at_us < beat.at_us:
            passed, moved = (beat.at_us - before.at_us) // 1000, beat.end_ms - before.end_ms
            return min(guess, moved if 0 <= moved <= _FAST * passed + _SLACK_MS else passed)
    return guess


def _play(
    watched: Watched, beat: Beat, played: Sequence[tuple[int, int]], length: Change, since_us: int | None
) -> Effect:
    """Adds stretches that were played, unless a beat brought them that is not among the last moments any more."""
    # A beat that was applied before ends in what was seen; only then it needs to be looked for.
    is_surely_new = (watched.once[-1] if watched.once else 0) < beat.end_ms <= LONGEST_MS
    key = _key(f"{beat.viewing} {beat.at_us} {beat.start_ms} {beat.end_ms}")
    if not _is_new(watched, key, is_surely_new=is_surely_new):
        return Effect(length=length)
    played_ms = 0
    of_video: list[tuple[int, int]] = []
    unseen: list[int] = []
    fits_ms = FASTEST * since_us // 1000 if since_us else 0
    if watched.ahead_ms or beat.end_ms - beat.start_ms > fits_ms:
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
    """What can have been played: what fits into the time that passed, and up to so much more. The beginning is cut."""
    told_ms = sum([end - start for start, end in played])
    taken_ms = min(told_ms, fits_ms + max(0, most_ms - watched.ahead_ms))
    watched.ahead_ms = max(0, watched.ahead_ms + taken_ms - fits_ms)
    return played if taken_ms == told_ms else coverage.last_of(played, taken_ms)


def _cover(watched: Watched, start: int, end: int) -> list[int]:
    """Adds a stretch to what was seen once and twice; gives what of it was never seen before."""
    unseen = coverage.outside(watched.once, start, end)
    if unseen != [start, end]:
        for again in coverage.stretches(coverage.inside(watched.once, start, end)):
            watched.twice = coverage.bounded(coverage.added(watched.twice, *again), MOST_STRETCHES)
    watched.once = coverage.bounded(coverage.added(watched.once, start, end), MOST_STRETCHES)
    return unseen


def _count_action(watched: Watched, beat: Beat, *, is_told_again: bool) -> None:
    key = _key(f"{beat.viewing} {beat.at_us} {beat.action} {beat.seek_from_ms} {beat.end_ms}")
    if not _is_new(watched, key, is_surely_new=False) or is_told_again:
        return
    _add_action(watched, beat.action)
    if beat.action is Action.SEEK and beat.seek_from_ms < beat.end_ms <= LONGEST_MS:
        skipped = coverage.added(watched.skipped, beat.seek_from_ms, beat.end_ms)
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
    if not is_surely_new and _holds(watched.beats, key):
        return False
    watched.beats = (watched.beats + key)[-REMEMBERED_BEATS * _KEY_BYTES :]
    return True


def _holds(keys: bytes, key: bytes) -> bool:
    at = keys.find(key)
    while at % _KEY_BYTES and at >= 0:
        at = keys.find(key, at + 1)
    return at >= 0


@functools.lru_cache(maxsize=4096)
def _viewing_key(viewing: str) -> bytes:
    return _key(viewing)


def _viewing_number(viewing: str) -> int:
    """What tells viewings apart in a trail: four bytes, for there are few in one."""
    return int.from_bytes(_viewing_key(viewing)[:4], "big")


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest()
