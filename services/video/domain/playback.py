"""One beat of a player, and what one viewer has watched of one video."""

import enum
import functools
import hashlib
from typing import Final

import msgspec

from services.video.domain import coverage

# No video is longer; what a player tells beyond is cut off.
LONGEST_MS: Final = 24 * 3_600_000
# Beats that are remembered of a viewer and video, to know a repeated one: 40 minutes, at a beat each ten seconds.
REMEMBERED_BEATS: Final = 256
REMEMBERED_VIEWINGS: Final = 64
MOST_STRETCHES: Final = 256
_KEY_BYTES: Final = 8


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


class Watched(msgspec.Struct, array_like=True):
    """What a viewer has watched of a video. The same beats in any order, however often repeated, give the same.

    `once`, `twice` and `skipped` are sets of media time: seen at least once, played at least twice, jumped over. Beats
    are known again while they are among the last `REMEMBERED_BEATS`.
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


class Effect(msgspec.Struct, frozen=True):
    """What a beat brought: the time it played, 0 where it repeats another, and what of that was never seen before."""

    start_ms: int = 0
    end_ms: int = 0
    unseen: list[int] = []

    @property
    def played_ms(self) -> int:
        """How much was played."""
        return self.end_ms - self.start_ms


NOTHING: Final = Effect()

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Watched).decode


def encode(watched: Watched) -> bytes:
    """What was watched as bytes."""
    return _ENCODE(watched)


def decode(blob: bytes) -> Watched:
    """What was watched from bytes; nothing from none."""
    return _DECODE(blob) if blob else Watched()


def milliseconds(seconds: float) -> int:
    """Whole milliseconds within what a video can last; 0 for what is no number."""
    return round(min(max(0.0, seconds), LONGEST_MS / 1000) * 1000) if seconds else 0


def apply(watched: Watched, beat: Beat) -> Effect:
    """Adds a beat to what was watched."""
    watched.duration_ms = max(watched.duration_ms, beat.duration_ms)
    viewing = _viewing_key(beat.viewing)
    if not _holds(watched.viewings, viewing):
        watched.viewing_count += 1
        watched.viewings = (watched.viewings + viewing)[-REMEMBERED_VIEWINGS * _KEY_BYTES :]
    if beat.action in _COUNTED:
        _count_action(watched, beat)
    if beat.start_ms >= beat.end_ms:
        return NOTHING
    unseen = coverage.outside(watched.once, beat.start_ms, beat.end_ms)
    # A beat that was applied before has left nothing unseen; only then it needs to be looked for.
    if not _is_new(
        watched, _key(f"{beat.viewing} {beat.at_us} {beat.start_ms} {beat.end_ms}"), is_surely_new=bool(unseen)
    ):
        return NOTHING
    watched.watched_ms += beat.end_ms - beat.start_ms
    if unseen != [beat.start_ms, beat.end_ms]:
        for start, end in coverage.stretches(coverage.inside(watched.once, beat.start_ms, beat.end_ms)):
            watched.twice = coverage.bounded(coverage.added(watched.twice, start, end), MOST_STRETCHES)
    watched.once = coverage.bounded(coverage.added(watched.once, beat.start_ms, beat.end_ms), MOST_STRETCHES)
    return Effect(beat.start_ms, beat.end_ms, unseen)


def _count_action(watched: Watched, beat: Beat) -> None:
    key = _key(f"{beat.viewing} {beat.at_us} {beat.action} {beat.seek_from_ms} {beat.end_ms}")
    if not _is_new(watched, key, is_surely_new=False):
        return
    match beat.action:
        case Action.PAUSE:
            watched.pause_count += 1
        case Action.STALL:
            watched.stall_count += 1
        case Action.RATE_CHANGE:
            watched.rate_change_count += 1
        case _:
            watched.seek_count += 1
            if beat.seek_from_ms < beat.end_ms:
                skipped = coverage.added(watched.skipped, beat.seek_from_ms, beat.end_ms)
                watched.skipped = coverage.bounded(skipped, MOST_STRETCHES)


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


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest()
