"""Sessions: what a user does without a gap of 30 minutes, on any platform, in event time."""

import zlib
from typing import Final, NamedTuple

GAP_US: Final = 30 * 60 * 1_000_000


class Session(NamedTuple):
    """The latest session of a user: its first and its last event time, Unix microseconds."""

    start_us: int
    last_us: int


def place(session: Session | None, event_time_us: int) -> tuple[int, Session]:
    """The start of the session an event belongs to, and the user's latest session from then on.

    An event later than the gap begins a session. One that lies before the latest session by more than the gap stands
    for itself: the session it belonged to is no longer known. Placing an event again gives the same start.
    """
    if session is None or event_time_us > session.last_us + GAP_US:
        return event_time_us, Session(event_time_us, event_time_us)
    if event_time_us < session.start_us - GAP_US:
        return event_time_us, session
    return session.start_us, Session(session.start_us, max(session.last_us, event_time_us))


def session_id(user_id: str, start_us: int) -> str:
    """The id of a session the client did not name."""
    return f"s-{zlib.crc32(user_id.encode()):08x}-{start_us // 1000}"
