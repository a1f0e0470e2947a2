"""The predictions that models made: decisions about events that a user made, except reports of outcomes and identity.

What an anonymous user did counts for the known user they turned out to be.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from services.analytics.adapters.relations import COUNTS, Query, listed
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


def taken(query: Query, asked: Calibration | Drift, windows: Sequence[Window], most: int) -> Taken:
    """Makes the relations `links`, who anonymous users turned out to be, and `taken`, the predictions of some windows.

    They are those of the version asked for, else of the latest. Of more than `most` predictions those of some users are
    taken, drawn by a hash of the id.
    """
    query.give("links", _links(query))
    every = " UNION ALL ".join(query.chosen(asked, each, "all_decisions") for each in windows)
    query.make(
        "made",
        "SELECT coalesce(known, user_id) AS user_id, t, decision_id, model_version, model_score, rule_score, score, "
        f"level, kind, indicators FROM ({every}) LEFT JOIN links USING (user_id) "
        f"WHERE model_version <> '' AND copied_event_id IS NULL AND {OWN}",
    )
    found = query.rows("SELECT model_version, count(*) FROM made GROUP BY ALL ORDER BY count(*) DESC, model_version")
    ((latest,),) = query.rows("SELECT arg_max(model_version, (t, decision_id)) FROM made")
    version = asked.model_version or latest or ""
    one_in = -(-dict(found).get(version, 0) // most) or 1
    query.make(
        "taken",
        f"SELECT * EXCLUDE (model_version) FROM made WHERE model_version = {query.bound(version)} "
        f"AND ('0x' || left(md5(user_id), 8))::UINTEGER % {one_in} = 0",
    )
    return Taken(version, tuple(VersionCount(*each) for each in found), one_in)


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
