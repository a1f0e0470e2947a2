"""The verbs of the service: apply a batch of events, and read what is known of a user."""

import itertools
from collections.abc import Collection, Mapping, Sequence

import msgspec

from mesh import applied
from mesh.errors import NotFound
from services.features.domain import journey, recents, sessions
from services.features.domain.event import Carried, Event
from services.features.domain.settlement import Settled
from services.features.domain.signal import Signal
from services.features.domain.state import State
from services.features.domain.vector import vector
from services.features.ports import UserStore


class Rows(msgspec.Struct, frozen=True):
    """The events of a batch, column by column; a user's are in their order."""

    user_ids: list[str]
    events: list[Event]
    kept: list[bytes]
    """The events as they are to be kept among the users' last."""
    engagements: Mapping[int, float]
    """The user's video engagement after a playback, by row."""


class Derived(msgspec.Struct, frozen=True):
    """What came of a batch, where there is a row ascending by it.

    `values` has the vectors after the assessed rows, row by row; `time_zones` for each of these the user's zone as last
    told, counted from 1 in `time_zone_names`, 0 for none.
    """

    values: list[float]
    signals: list[tuple[int, Signal]]
    settled: list[tuple[int, Settled]]
    carried: list[tuple[int, Carried]]
    time_zone_names: list[str]
    time_zones: list[int]


class _User(msgspec.Struct, array_like=True):
    """What is sealed for one user."""

    state: State
    tail: list[recents.Kept]


_decode = msgspec.msgpack.Decoder(_User).decode
_encode = msgspec.msgpack.Encoder().encode


async def apply_events(store: UserStore, batch: applied.Batch, rows: Rows, assessed_rows: Collection[int]) -> Derived:
    """Applies the rows in their order; effects happen once, and a repeated batch is answered as the first time.

    Only the assessed rows have a vector and a time zone.

    Raises:
        FailedPrecondition: `POSITION_STALE`; nothing is written.
        Unavailable: the store cannot be reached; the batch may be repeated.
    """
    user_ids = list(dict.fromkeys(rows.user_ids))
    blobs = dict(zip(user_ids, await store.load([_state_key(user_id) for user_id in user_ids]), strict=True))
    opened = {user_id: applied.opened(blob, batch, _open) for user_id, blob in blobs.items()}
    users = {user_id: user for user_id, (_, user) in opened.items()}
    items = applied.kept_aside({_state_key(user_id): resumed for user_id, (resumed, _) in opened.items()})
    zones, assessed = {"": 0}, frozenset(assessed_rows)
    derived = Derived([], [], [], [], [], [])
    for index, (user_id, event, whole) in enumerate(zip(rows.user_ids, rows.events, rows.kept, strict=True)):
        user = users[user_id]
        state = user.state
        found = journey.apply(state, event, rows.engagements.get(index))
        if found is not journey.NOTHING:
            derived.signals.extend((index, signal) for signal in found.signals)
            derived.settled.extend((index, settled) for settled in found.settled)
            if found.carried is not None:
                derived.carried.append((index, found.carried))
        if index in assessed:
            derived.values.extend(vector(state))
            derived.time_zones.append(zones.setdefault(state.time_zone, len(zones)))
        user.tail.append(recents.Kept(sessions.session_start(state, event), whole))
    for user_id, user in users.items():
        for segment in recents.cut(user.tail, user.state.event_count):
            items[_segment_key(user_id, segment.slot)] = recents.encode(segment)
        items[_state_key(user_id)] = applied.seal(opened[user_id][0], _encode(user), batch)
    await store.save(items, batch.fence)
    derived.time_zone_names.extend(itertools.islice(zones, 1, None))
    return derived


async def read_state(store: UserStore, user_id: str) -> State:
    """What is known of a user.

    Raises:
        NotFound: `USER_NOT_FOUND`.
    """
    (blob,) = await store.load([_state_key(user_id)])
    return _known(blob).state


async def list_recent_events(store: UserStore, user_id: str, limit: int) -> list[recents.Kept]:
    """The user's last events, newest first, at most `limit` and at most 20.

    Raises:
        NotFound: `USER_NOT_FOUND`.
    """
    slots = [_segment_key(user_id, slot) for slot in range(recents.SEGMENT_SLOTS)]
    blob, *stored = await store.load([_state_key(user_id), *slots])
    user = _known(blob)
    newest = recents.newest_first(user.tail, user.state.event_count, stored)
    return list(itertools.islice(newest, min(limit, recents.KEPT_EVENTS)))


async def batch_list_recent_events(store: UserStore, user_ids: Sequence[str]) -> list[list[recents.Kept]]:
    """The last events of each user, newest first, at most 20; none where nothing is known of the user."""
    width = 1 + recents.SEGMENT_SLOTS
    keys = [
        key
        for user_id in user_ids
        for key in (_state_key(user_id), *(_segment_key(user_id, slot) for slot in range(recents.SEGMENT_SLOTS)))
    ]
    blobs = await store.load(keys)
    found = []
    for at in range(0, len(blobs), width):
        state, *stored = blobs[at : at + width]
        user = applied.readable(state, _open)
        newest = recents.newest_first(user.tail, user.state.event_count, stored)
        found.append(list(itertools.islice(newest, recents.KEPT_EVENTS)))
    return found


def _known(blob: bytes | None) -> _User:
    user = applied.readable(blob, _open)
    if not user.state.event_count:
        raise NotFound("USER_NOT_FOUND", "Nothing is known of this user.")
    return user


def _open(stored: bytes) -> _User:
    return _decode(stored) if stored else _User(State(), [])


def _state_key(user_id: str) -> str:
    return f"s:{user_id}"


def _segment_key(user_id: str, slot: int) -> str:
    return f"{slot}:{user_id}"
