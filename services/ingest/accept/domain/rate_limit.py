"""The rate limit of a user: a flood is refused, events too fast for a person are marked. Pure.

The flood is judged by the generic cell rate algorithm in its form of virtual scheduling (ITU-T I.371, annex A; ATM
Forum Traffic Management 4.0, 4.4.2): each admitted event moves a user's theoretical arrival time on by one interval,
and an event is refused while that time lies further ahead than the burst allows. Time stands still within a request, so
once an event of a user is refused, the user's later events of that request are refused too: nothing is reordered.

What is too fast for a person is judged by 200 events at a time, by the time of receipt and by the time they happened:
an import of old journeys or the queue of a phone that was offline comes in quickly and was not made quickly.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Final

USERS_MOST: Final = 100_000
PERSON_EVENTS_PER_SECOND: Final = 20
_RUN_EVENTS: Final = 200
_RUN_US: Final = _RUN_EVENTS * 1_000_000 // PERSON_EVENTS_PER_SECOND


class SendingRate(IntEnum):
    """How fast a user sends."""

    PERSON = 0
    SCRIPT = 1
    """Admitted; the user's last 200 events came at more than 20 a second."""
    FLOOD = 2
    """Refused."""


class _User:
    """One user: theoretical arrival time, and the run of up to 200 events that is being counted."""

    __slots__ = ("arrival_us", "begun_us", "count", "first_us", "is_script", "last_us", "seen_us")

    def __init__(self, now_us: int, event_us: int) -> None:
        self.arrival_us = self.begun_us = self.seen_us = now_us
        self.first_us = self.last_us = event_us
        self.count = 0
        self.is_script = False


class UserRateLimiter:
    """Limits the events that one process accepts per user; half a microsecond per event.

    It remembers the users of the last ten seconds, at most 100,000; 300 bytes per user.
    """

    def __init__(self, events_per_second: float, burst_events: int) -> None:
        """Admits `events_per_second` of a user in the long run, and `burst_events` at once."""
        self._interval_us = max(1, round(1_000_000 / events_per_second))
        self._tolerance_us = self._interval_us * (burst_events - 1)
        self._users: dict[str, _User] = {}

    def judge(self, user_id: str, now_us: int, event_us: int) -> SendingRate:
        """Takes in one event of a user, received now and made at `event_us`.

        Now is monotonic: a wall clock that is set back would refuse every user seen before until it has caught up.
        """
        user = self._user(user_id, now_us, event_us)
        if user.arrival_us - now_us > self._tolerance_us:
            user.seen_us = now_us
            return SendingRate.FLOOD
        self._take(user, now_us, 1, event_us, event_us)
        return SendingRate.SCRIPT if user.is_script else SendingRate.PERSON

    def take_calm(self, times_us: Mapping[str, Sequence[int]], now_us: int) -> bool:
        """Takes in events of several users, if a person makes each of them and none ends a run; else none of them.

        Args:
            times_us: for each user when their events were made, one at least.
            now_us: as in `judge`.
        """
        for user_id, its in times_us.items():
            user = self._users.get(user_id)
            is_known = user is not None and now_us - user.seen_us <= _RUN_US
            run = user.count if user is not None and is_known else 0
            ahead_us = max(0, user.arrival_us - now_us) if user is not None else 0
            is_fast = run + len(its) >= _RUN_EVENTS or (is_known and user is not None and user.is_script)
            if is_fast or ahead_us + (len(its) - 1) * self._interval_us > self._tolerance_us:
                return False
        for user_id, its in times_us.items():
            first_us = its[0]
            self._take(self._user(user_id, now_us, first_us), now_us, len(its), min(its), max(its))
        return True

    def give_back(self, user_ids: Iterable[str]) -> None:
        """Gives back what duplicates were counted for; a user is named once per event."""
        for user_id in user_ids:
            user = self._users.get(user_id)
            if user is not None:
                user.arrival_us -= self._interval_us
                user.count = max(0, user.count - 1)

    def _user(self, user_id: str, now_us: int, event_us: int) -> _User:
        user = self._users.get(user_id)
        if user is None:
            if len(self._users) >= USERS_MOST:
                self._forget(now_us)
            user = self._users[user_id] = _User(now_us, event_us)
        return user

    def _take(self, user: _User, now_us: int, count: int, first_us: int, last_us: int) -> None:
        """Counts events that are admitted; a run ends with the last of them, or later."""
        user.arrival_us = max(user.arrival_us, now_us) + count * self._interval_us
        if now_us - user.seen_us > _RUN_US:
            user.count, user.begun_us, user.first_us, user.last_us = 0, now_us, first_us, last_us
            user.is_script = False
        user.seen_us = now_us
        user.first_us, user.last_us = min(user.first_us, first_us), max(user.last_us, last_us)
        user.count += count
        if user.count == _RUN_EVENTS:
            user.is_script = now_us - user.begun_us < _RUN_US and user.last_us - user.first_us < _RUN_US
            user.count, user.begun_us, user.first_us, user.last_us = 0, now_us, last_us, last_us

    def _forget(self, now_us: int) -> None:
        """Forgets who was not seen for ten seconds and owes nothing; the half seen longest ago, if all were."""
        idle = [
            name for name, user in self._users.items() if now_us - user.seen_us > _RUN_US and user.arrival_us <= now_us
        ]
        if not idle:
            idle = sorted(self._users, key=lambda name: self._users[name].seen_us)[: USERS_MOST // 2]
        for name in idle:
            del self._users[name]
