"""Which incidents a message is due about: that one opened, and that it closed. Times are Unix microseconds."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from services.analytics.domain.question import DAY_US
from services.analytics.domain.watched import Message, Watched, WatchedInsight, changed

KINDS: Final = ("opened", "closed")
"""What messages to people are about."""
PAUSED: Final = "paused"
"""The message to experiments, which pause if they are to."""
_ALL: Final = (PAUSED, *KINDS)
MOST_ATTEMPTS: Final = 5
_MINUTE_US: Final = 60_000_000
# As long as a post may take, and more: until then nobody else tries.
_CLAIM_US: Final = 5 * _MINUTE_US


class Sent(NamedTuple):
    """What came of an attempt to send a message: `sent`, `waiting` (it may be tried again) or `failed`."""

    state: str
    reason: str = ""
    """Why it was not sent, in a word; of one to experiments that was sent, which were paused."""
    retry_after_us: int = 0
    """How long to wait at least before the next attempt."""


class Due(NamedTuple):
    """A message that is to be sent: of which incident, about what, and how often that was tried before."""

    insight: WatchedInsight
    kind: str
    attempt_count: int

    def is_like(self, other: "Due") -> bool:
        """Whether both are about the same."""
        return (self.insight.insight_id, self.kind) == (other.insight.insight_id, other.kind)


def due(watched: Watched, now_us: int, kinds: Collection[str] = KINDS) -> Sequence[Due]:
    """The messages of some kinds to send now, in the order in which incidents opened.

    A message is due for a day at most, and experiments are told while the incident is open. None is due about an
    incident that had closed before the watch began or that is snoozed, and none that it closed unless it was told that
    it opened.
    """
    return [
        Due(each, kind, said.attempt_count if said else 0)
        for each in reversed(watched.insights)
        if not (each.snoozed_until_us and each.snoozed_until_us > now_us)
        for kind in _ALL
        if kind in kinds
        for said in [_said(each, kind)]
        if _is_wanted(watched, each, kind, now_us) and (said is None or is_next(said, now_us))
    ]


def claimed(watched: Watched, one: Due, now_us: int) -> Watched:
    """The same once somebody is about to send a message: for five minutes nobody else does, and no watcher is told."""
    message = claim(one.kind, one.attempt_count, now_us)
    insight_id = one.insight.insight_id
    insights = (_having(each, message) if each.insight_id == insight_id else each for each in watched.insights)
    return watched._replace(insights=tuple(insights))


def settled(watched: Watched, one: Due, sent: Sent, now_us: int) -> Watched:
    """The same with what came of a message that was claimed; unchanged without the incident.

    Args:
        watched: what is known.
        one: the message, as it was when it was claimed.
        sent: what came of it.
        now_us: the time.
    """
    message = came_of(one.kind, one.attempt_count, sent, now_us)
    return changed(watched, one.insight.insight_id, lambda its: _having(its, message)) or watched


def claim(kind: str, attempt_count: int, now_us: int) -> Message:
    """A message that somebody is about to send, after so many attempts."""
    return Message(kind, "waiting", attempt_count + 1, now_us + _CLAIM_US, "")


def came_of(kind: str, attempt_count: int, sent: Sent, now_us: int) -> Message:
    """A message with what came of another attempt, after so many: it fails with the fifth."""
    state, reason, retry_after_us = sent
    if state == "waiting" and attempt_count + 1 >= MOST_ATTEMPTS:
        state = "failed"
    pause_us = max(retry_after_us, _MINUTE_US << attempt_count) if state == "waiting" else 0
    return Message(kind, state, attempt_count + 1, now_us + pause_us, reason)


def is_next(said: Message, now_us: int) -> bool:
    """Whether another attempt is due."""
    return is_waiting(said) and said.time_us <= now_us


def is_waiting(said: Message) -> bool:
    """Whether there will be another attempt, or somebody is at one that is not the last."""
    return said.state == "waiting" and said.attempt_count < MOST_ATTEMPTS


def _said(its: WatchedInsight, kind: str) -> Message | None:
    return next((each for each in its.messages if each.kind == kind), None)


def _is_wanted(watched: Watched, its: WatchedInsight, kind: str, now_us: int) -> bool:
    opened = _said(its, "opened")
    if kind == PAUSED:
        return its.closed_us is None and now_us - its.found_us <= DAY_US
    if kind == "opened":
        was_over = its.closed_us is not None and its.closed_us <= watched.since_us
        return (opened is not None or not was_over) and now_us - its.found_us <= DAY_US
    was_told = opened is not None and opened.state == "sent"
    return was_told and its.closed_us is not None and now_us - its.closed_us <= DAY_US


def _having(its: WatchedInsight, message: Message) -> WatchedInsight:
    return its._replace(messages=(*(each for each in its.messages if each.kind != message.kind), message))
