"""The use cases: apply a batch of events, and read what is known about a user."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from mesh.errors import NotFound
from mesh.state import erasing, exporting, keyed
from mesh.state.applied import Batch
from mesh.state.port import StateStore
from services.features.domain import journey, own, recents, sessions
from services.features.domain.event import Carried, Event
from services.features.domain.own import NO_COLUMNS, Columns
from services.features.domain.settlement import Settled
from services.features.domain.signal import Signal
from services.features.domain.state import State
from services.features.domain.vector import past, vector
from services.features.states import SEGMENTS, USERS, User, segment_name


class Rows(msgspec.Struct, frozen=True):
    """The events of a batch, column by column, each user's in order."""

    user_ids: list[str]
    events: list[Event]
    kept: list[bytes]
    """The events as bytes to keep."""
    engagements: Mapping[int, float]
    """The user's video engagement after a playback, by row."""


class Derived(msgspec.Struct, frozen=True):
    """The results of a batch, in ascending order of the row where they have one.

    `values` has the vectors after the assessed rows, row by row; `time_zones` for each of these the user's zone as last
    reported, counted from 1 in `time_zone_names`, 0 for none.
    """

    values: list[float]
    signals: list[tuple[int, Signal]]
    settled: list[tuple[int, Settled]]
    carried: list[tuple[int, Carried]]
    time_zone_names: list[str]
    time_zones: list[int]
    past: list[float]
    """The features of history, unless left out, then the own columns of numbers after the assessed rows, row by row."""
    words: list[str]
    """The own columns of words after the assessed rows, row by row."""


class Features:
    """The use cases of the service."""

    def __init__(self, store: StateStore, columns: Columns = NO_COLUMNS) -> None:
        self._store = store
        self.columns = columns
        """The installation's own columns, which are taken from events and kept."""

    async def apply(
        self, batch: Batch, rows: Rows, assessed_rows: Collection[int], *, has_history: bool = True
    ) -> Derived:
        """Applies the rows in their order; effects happen once, and a repeated batch is answered as the first time.

        Only the assessed rows have a vector and a time zone. Without history, `past` has the own columns alone.

        Raises:
            FailedPrecondition: `POSITION_STALE`; nothing is written.
            Unavailable: the store cannot be reached; the batch may be repeated.
        """
        users = keyed.Changed(USERS, rows.user_ids)
        zones, assessed = {"": 0}, frozenset(assessed_rows)
        derived = Derived([], [], [], [], [], [], [], [])
        async with keyed.batch(self._store, batch, users) as beside:
            states = users.states
            for index, (user_id, event, whole) in enumerate(zip(rows.user_ids, rows.events, rows.kept, strict=True)):
                user = states[user_id]
                state = user.state
                found = journey.apply(state, event, rows.engagements.get(index))
                if found is not journey.NOTHING:
                    derived.signals.extend((index, signal) for signal in found.signals)
                    derived.settled.extend((index, settled) for settled in found.settled)
                    if found.carried is not None:
                        derived.carried.append((index, found.carried))
                if index in assessed:
                    derived.values.extend(vector(state))
                    if has_history:
                        derived.past.extend(past(state))
                    if self.columns is not NO_COLUMNS:
                        derived.past.extend(own.values(state.numbers, self.columns))
                        derived.words.extend(own.latest(state.words, self.columns))
                    derived.time_zones.append(zones.setdefault(state.time_zone, len(zones)))
                user.tail.append(recents.Kept(sessions.session_start(state, event), whole))
            for user_id, user in states.items():
                for segment in recents.cut(user.tail, user.state.event_count):
                    beside[SEGMENTS.key(segment_name(user_id, segment.slot))] = SEGMENTS.encode(segment)
        derived.time_zone_names.extend(itertools.islice(zones, 1, None))
        return derived

    async def read(self, user_id: str) -> State:
        """What is known about a user.

        Raises:
            NotFound: `USER_NOT_FOUND`.
        """
        return _known(await keyed.read(self._store, USERS, user_id)).state

    async def recent_events(self, user_id: str, limit: int) -> list[recents.Kept]:
        """The user's last events, newest first, at most `limit` and at most 20.

        Raises:
            NotFound: `USER_NOT_FOUND`.
        """
        users, segments = keyed.Seen(USERS, [user_id]), keyed.Seen(SEGMENTS, _segments(user_id))
        await keyed.look(self._store, users, segments)
        user = _known(users.states[user_id])
        newest = recents.newest_first(user.tail, user.state.event_count, segments.states.values())
        return list(itertools.islice(newest, min(limit, recents.KEPT_EVENTS)))

    async def recent_events_of(self, user_ids: Sequence[str]) -> list[list[recents.Kept]]:
        """The last events of each user, newest first, at most 20; none for an unknown user."""
        users = keyed.Seen(USERS, user_ids)
        segments = keyed.Seen(SEGMENTS, [name for user_id in user_ids for name in _segments(user_id)])
        await keyed.look(self._store, users, segments)
        found = []
        for user_id in user_ids:
            user, slots = users.states[user_id], map(segments.states.__getitem__, _segments(user_id))
            newest = recents.newest_first(user.tail, user.state.event_count, slots)
            found.append(list(itertools.islice(newest, recents.KEPT_EVENTS)))
        return found

    async def kept(self, user_ids: Sequence[str]) -> dict[str, int]:
        """How many entries are kept of a person with these ids, by store."""
        return {store: await erasing.count(self._store, keys) for store, keys in _keys(user_ids).items()}

    async def erase(self, user_ids: Sequence[str]) -> None:
        """Erases what is kept of a person with these ids. May be repeated.

        Raises:
            Unavailable: some may be erased.
        """
        for keys in _keys(user_ids).values():
            await erasing.erase(self._store, keys)

    async def export(self, user_ids: Sequence[str], whole: Callable[[bytes], Any]) -> list[exporting.Record]:
        """All that is kept of a person with these ids.

        Args:
            user_ids: the ids.
            whole: what the export says of an event, by the bytes that are kept of it.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`.
            Unavailable: the store cannot be reached.
        """

        def events(kept: Sequence[recents.Kept]) -> list[Any]:
            return [whole(each.whole) for each in kept]

        def user(of: User) -> dict[str, Any]:
            return {**exporting.named(of.state), "last_events": events(of.tail)}

        def segment(of: recents.Segment | None) -> list[Any]:
            return events(of.events) if of is not None else []

        names = [name for user_id in user_ids for name in _segments(user_id)]
        return exporting.bounded(
            [
                *await exporting.states(self._store, "features.users", USERS, user_ids, user),
                *await exporting.states(self._store, "features.events", SEGMENTS, names, segment),
            ]
        )


def _keys(user_ids: Sequence[str]) -> dict[str, list[str]]:
    """The keys of everything that is kept of users, by store."""
    segments = [SEGMENTS.key(name) for user_id in user_ids for name in _segments(user_id)]
    return {"features.users": [*map(USERS.key, user_ids)], "features.events": segments}


def _known(user: User) -> User:
    if not user.state.event_count:
        raise NotFound("USER_NOT_FOUND", "Nothing is known of this user.")
    return user


def _segments(user_id: str) -> list[str]:
    return [segment_name(user_id, slot) for slot in range(recents.SEGMENT_SLOTS)]
