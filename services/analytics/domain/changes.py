"""What changed, so that it can be told beside incidents. Times are Unix microseconds."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from services.analytics.domain.question import DAY_US, HOUR_US

NOTED_KINDS: Final = ("deploy", "setting", "other")
"""What people note; the mesh knows by itself `policy`, `model`, `experiment`, and a `deploy` of its own."""
KNOWN_DAYS: Final = 14
"""How far back changes are told and can be noted."""
MOST_NOTED: Final = 200
"""Of a tenant; the latest are kept."""
MOST_TOLD: Final = 20
"""Of an incident. There are fewer kinds, so that one of each fits."""
_BEFORE_US: Final = 2 * HOUR_US
_SAME_US: Final = 60_000_000


class Change(NamedTuple):
    """A change: what kind, its name, and more of it. `by` is a key's id, a person or a service; empty: not known."""

    time_us: int
    kind: str
    name: str
    detail: str = ""
    by: str = ""


def span(opened_us: int) -> tuple[int, int]:
    """From when until when changes are told beside an incident.

    From two hours before it opened until the end of its first hour: it may have begun at any time within.
    """
    return opened_us - _BEFORE_US, opened_us + HOUR_US


def beside(opened_us: int, *known: Iterable[Change]) -> tuple[Change, ...]:
    """Those of the known changes that are told beside an incident, the nearest to its start first.

    The nearest of each kind is among them, however many there are of another.
    """
    start_us, end_us = span(opened_us)
    within = {each for of in known for each in of if start_us <= each.time_us < end_us}
    near = sorted(within, key=lambda each: (abs(each.time_us - opened_us), each))
    first = {each.kind: each for each in reversed(near)}
    others = [each for each in near if each is not first[each.kind]]
    kept = {*first.values(), *others[: max(0, MOST_TOLD - len(first))]}
    return tuple(each for each in near if each in kept)


def latest(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Changes with the latest first."""
    return tuple(sorted(changes, key=lambda each: (-each.time_us, each)))


def noted(before: Sequence[Change], change: Change, now_us: int) -> tuple[tuple[Change, ...], Change]:
    """The noted changes with another one, and that one; of two that are the same within a minute the first stays."""
    for each in before:
        if each[1:4] == change[1:4] and abs(each.time_us - change.time_us) <= _SAME_US:
            return tuple(before), each
    kept = [each for each in before if each.time_us > now_us - (KNOWN_DAYS + 1) * DAY_US]
    return latest((*kept, change))[:MOST_NOTED], change
