"""The predictions that models made: decisions about events that a user made, except reports of outcomes and identity.

What an anonymous user did counts for the known user they turned out to be.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from services.analytics.adapters.copies.relations import COUNTS, Query, listed
from services.analytics.domain.answer import VersionCount
from services.analytics.domain.question import Calibration, Drift, Window

MOST_MEASURED: Final = 100_000
OWN: Final = f"{COUNTS} AND event_type NOT IN ({listed(('intervention_outcome', 'identify'))})"
"""Whether an event is one that a user made."""


class Taken(NamedTuple):
    """Which predictions were taken: those of a version, of one in so many users; and how many all versions made."""

    version: str
    versions: tuple[VersionCount, ...]
    one_in: int


def taken(
    query: Query, asked: Calibration | Drift, windows: Sequence[Window], columns: Sequence[str], most: int
) -> Taken:
    """Makes the relations `links`, who anonymous users turned out to be, and `taken`, the predictions of some windows.

    `taken` has `user_id`, `t`, `decision_id` and these columns of decisions. The predictions are those of the version
    asked for, else of the latest. Of more than `most` those of some users are taken, drawn by a hash of the id.
    """
    query.give("links", _links(query))
    found = query.rows(f"SELECT model_version, count(*), max(t) FROM ({_made(query, asked, windows, ())}) GROUP BY ALL")
    found.sort(key=lambda each: (-each[1], each[0]))
    latest = max(((t, version) for version, _, t in found), default=(0, ""))[1]
    version = asked.model_version or latest
    one_in = -(-sum(count for name, count, _ in found if name == version) // most) or 1
    query.make(
        "taken",
        f"SELECT * EXCLUDE (model_version) FROM ({_made(query, asked, windows, ('decision_id', *columns))}) "
        f"WHERE model_version = {query.bound(version)} AND ('0x' || left(md5(user_id), 8))::UINTEGER % {one_in} = 0",
    )
    return Taken(version, tuple(VersionCount(name, count) for name, count, _ in found), one_in)


def _made(query: Query, asked: Calibration | Drift, windows: Sequence[Window], columns: Sequence[str]) -> str:
    every = " UNION ALL ".join(query.chosen(asked, each, "all_decisions") for each in windows)
    names = ", ".join(("coalesce(known, user_id) AS user_id", "t", "model_version", *columns))
    return (
        f"SELECT {names} FROM ({every}) LEFT JOIN links USING (user_id) "
        f"WHERE model_version <> '' AND copied_event_id IS NULL AND {OWN}"
    )


def _links(query: Query) -> pa.Table:
    """Who each anonymous user turned out to be, at the end of all links."""
    found = dict(
        query.rows(
            "SELECT user_id, arg_max(linked_user_id, (received_time, place)) FROM all_events "
            "WHERE linked_user_id IS NOT NULL AND linked_user_id <> '' GROUP BY user_id"
        )
    )
    known = []
    for user_id in found:
        seen = {user_id}
        at = user_id
        while (linked := found.get(at)) is not None and linked not in seen:
            at = linked
            seen.add(at)
        known.append(at)
    return pa.table({"user_id": pa.array(found, pa.string()), "known": pa.array(known, pa.string())})
