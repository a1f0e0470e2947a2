"""Events as rows, the form in which they wait and are joined with those of other requests."""

from collections.abc import Sequence
from typing import Any, Final

from records.table import COLUMNS, Table
from records.tenants import DEFAULT, qualified

# What nearly every event has, in the order of a row's cells.
_COMMON: Final = (
    "event_id",
    "user_id",
    "session_id",
    "event_type",
    "event_time_us",
    "page",
    "target",
    "properties",
    "received_time_us",
    "trace_id",
    "span_id",
)

_PRINTABLE: Final = " "
"""The first of them."""


class Rows:
    """The events of one request, or of several: `cells` has what nearly all have, `rare` the rest by row.

    Those that are added are a tenant's: their ids, which clients wrote, get its name here and nowhere else.
    """

    __slots__ = ("_tenant", "cells", "rare")

    def __init__(self, tenant: str = DEFAULT) -> None:
        self._tenant = tenant
        self.cells: list[tuple[Any, ...]] = []
        self.rare: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        """The number of events."""
        return len(self.cells)

    def add(  # noqa: PLR0913 - they are the members of an event
        self,
        *,
        event_id: str,
        event_type: int,
        event_time_us: int,
        received_time_us: int,
        trace_id: bytes,
        span_id: bytes,
        properties: bytes = b"",
        user_id: str | None = None,
        session_id: str | None = None,
        page: str | None = None,
        target: str | None = None,
        rare: dict[str, Any] | None = None,
    ) -> None:
        """Adds an event by its members, named as in `Event`; `rare` holds those without a parameter here."""
        # An id that may be qualified begins with a control character; this is the cheapest way to see that none does.
        if self._tenant or event_id < _PRINTABLE or (user_id and user_id < _PRINTABLE):
            event_id, user_id = qualified(self._tenant, event_id), self._own(user_id or "")
        if rare:
            if self._tenant or "playback" in rare or rare.get("anonymous_id", _PRINTABLE) < _PRINTABLE:
                self._own_members(rare)
            self.rare[len(self.cells)] = rare
        self.cells.append(
            (
                event_id,
                user_id or "",
                session_id or "",
                event_type,
                event_time_us,
                page or "",
                target or "",
                properties,
                received_time_us,
                trace_id,
                span_id,
            )
        )

    def _own(self, plain_id: str) -> str:
        return qualified(self._tenant, plain_id) if plain_id else ""

    def _own_members(self, rare: dict[str, Any]) -> None:
        if "anonymous_id" in rare:
            rare["anonymous_id"] = self._own(rare["anonymous_id"])
        if "playback" in rare:
            rare["playback"].video_id = self._own(rare["playback"].video_id)

    def table(self) -> Table:
        """The events, column by column."""
        table = Table(len(self), dict(zip(_COMMON, map(list, zip(*self.cells, strict=True)), strict=False)))
        for row, members in self.rare.items():
            for name, cell in members.items():
                if name in COLUMNS:
                    getattr(table, name)[row] = cell
                else:
                    table.details[row] = cell
        return table


def joined(parts: Sequence[Rows]) -> Rows:
    """The events of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    whole = Rows()
    for part in parts:
        for row, members in part.rare.items():
            whole.rare[len(whole) + row] = members
        whole.cells += part.cells
    return whole
