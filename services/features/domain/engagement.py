"""How engaged a user is, 0 to 100, and the user's usual level to compare it with.

The score is a moving average over the worth of each event. It carries over from session to session, so that a new
session does not begin with a drop. A session's level is the mean of the score over the session's events; the usual
level is the mean over earlier sessions, in which the last 8 weigh most.
"""

from math import isfinite

from services.features.domain.clicks import was_fruitless
from services.features.domain.event import Event, Kind, is_given_back
from services.features.domain.signal import Signal, SignalType, signal
from services.features.domain.state import State

MEMORY = 8
"""The score averages over about this many events, the usual level over about this many sessions."""
SHORTEST_SESSION = 3
"""A session with fewer scored events does not affect the usual level."""
DROP_RATIO = 0.3
DROP_STRENGTH = 175.0

WORTH: dict[int, float] = {
    Kind.PURCHASE: 100.0,
    Kind.TASK_SUCCESS: 100.0,
    Kind.FORM_SUBMIT: 85.0,
    Kind.FEATURE_INTERACTION: 80.0,
    Kind.FORM_START: 75.0,
    Kind.VIDEO_PLAYBACK: 70.0,
    Kind.CLICK: 65.0,
    Kind.PAGE_VIEW: 50.0,
    Kind.HELP_REQUEST: 30.0,
    Kind.RETRY: 25.0,
    Kind.ERROR: 10.0,
    Kind.TASK_FAILURE: 10.0,
    Kind.FORM_ABANDON: 5.0,
    Kind.STRUGGLE_SIGNAL: 0.0,
}
"""The worth of an event by kind; other kinds say nothing about engagement."""
_DEPENDS = frozenset({Kind.VIDEO_PLAYBACK, Kind.PURCHASE, Kind.CLICK})
"""Kinds whose worth depends on more than their kind."""
FRUITLESS_CLICK_WORTH = 10.0
REFRESH_WORTH = 30.0


def worth(event: Event, video_engagement: float | None, *, is_refresh: bool) -> float | None:
    """The worth of an event, 0 to 100; None if it says nothing about engagement."""
    if is_refresh:
        return REFRESH_WORTH
    kind = event.kind
    if kind not in _DEPENDS:
        return WORTH.get(kind)
    if kind == Kind.VIDEO_PLAYBACK:
        is_known = video_engagement is not None and isfinite(video_engagement)
        return min(100.0, max(0.0, video_engagement or 0.0)) if is_known else WORTH[kind]
    if kind == Kind.PURCHASE:
        return None if is_given_back(event) else WORTH[kind]
    click = event.click
    if click is not None and was_fruitless(click) and not click.selection_changed:
        return FRUITLESS_CLICK_WORTH
    return WORTH[Kind.CLICK]


def take(state: State, value: float) -> None:
    """Takes an event's worth into the score. The score starts neutral, and the first events weigh more."""
    state.scored_count = seen = state.scored_count + 1
    before = state.engagement
    state.engagement = after = before + (value - before) / (MEMORY if seen >= MEMORY else seen + 1)
    state.session_scored_count += 1
    state.session_engagement_sum += after


def close_session(state: State) -> None:
    """Takes the session's level into the usual level and starts a new session."""
    if state.session_scored_count >= SHORTEST_SESSION:
        level = state.session_engagement_sum / state.session_scored_count
        state.usual_session_count += 1
        state.usual_engagement += (level - state.usual_engagement) / min(MEMORY, state.usual_session_count)
    state.session_scored_count = 0
    state.session_engagement_sum = 0.0
    state.drop_step = 0


def has_dropped(state: State) -> bool:
    """Whether engagement is 30% or more below the usual level."""
    return state.usual_session_count > 0 and state.engagement <= state.usual_engagement * (1.0 - DROP_RATIO)


def find_drop(state: State, event: Event) -> list[Signal]:
    """The signal of a drop below the usual level: once, and again for each further tenth lost before recovery."""
    usual = state.usual_engagement
    drop = 1.0 - state.engagement / usual if usual else 0.0
    step = int(drop * 10.0)
    if drop < DROP_RATIO or step <= state.drop_step:
        return []
    state.drop_step = step
    reason = f"Engagement fell {drop:.0%} below the user's usual level"
    return [signal(SignalType.ENGAGEMENT_DROP, DROP_STRENGTH * drop, reason, event, evidence=[event.event_id])]
