"""Which release of the mesh runs, and when it replaced another, by the starts of analytics' own processes."""

from typing import Final, NamedTuple

from services.analytics.domain.changes import Change

MOST_STARTS: Final = 100
"""Replicas that are remembered; the latest are kept."""
MOST_CHANGES: Final = 50
"""Changes that are remembered; the latest are kept."""


class Start(NamedTuple):
    """A process begins to run: which replica it is, a name that outlasts a crash, and its version."""

    replica: str
    version: str


class Releases(NamedTuple):
    """The version that runs, empty at first; the last start of each replica, and the changes, both latest first."""

    version: str = ""
    starts: tuple[Start, ...] = ()
    changes: tuple[Change, ...] = ()


def started(before: Releases, start: Start, time_us: int) -> Releases:
    """What is known once a process has started, at a time in Unix microseconds; said again, it changes nothing.

    Another version than the one that runs is a change, whichever of them is the newer one. It is none at the first
    start of all, nor if the replica had this version already: an old one that crashes while others are replaced begins
    again as what it was.
    """
    starts = (start, *(each for each in before.starts if each.replica != start.replica))[:MOST_STARTS]
    if start.version == before.version or start in before.starts:
        return before._replace(starts=starts)
    change = Change(time_us, "deploy", f"Journeymesh {before.version} → {start.version}")
    changes = (change, *before.changes)[:MOST_CHANGES] if before.version else ()
    return Releases(start.version, starts, changes)
