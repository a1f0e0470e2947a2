"""Events as rows, the form in which they wait and are joined with those of other requests."""

from collections.abc import Sequence
from typing import Any, Final

from journeymesh.common.v1.event_pb2 import Playback

from records.table import COLUMNS, Table
from records.tenants import DEFAULT, SEPARATOR, qualified

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
        if self._tenant or _may_be_forged(event_id, user_id, rare):
            event_id, user_id = qualified(self._tenant, event_id), self._own(user_id or "")
            rare = self._own_members(rare or {})
        if rare:
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

    def _own_members(self, rare: dict[str, Any]) -> dict[str, Any]:
        owned = dict(rare)
        if "anonymous_id" in rare:
            owned["anonymous_id"] = self._own(rare["anonymous_id"])
        if "playback" in rare:
            owned["playback"] = playback = Playback()
            playback.CopyFrom(rare["playback"])
            playback.video_id = self._own(playback.video_id)
        return owned

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


def _may_be_forged(event_id: str, user_id: str | None, rare: dict[str, Any] | None) -> bool:
    """Whether an id begins as one of another tenant does."""
    if event_id[:1] == SEPARATOR or (user_id and user_id[0] == SEPARATOR):
        return True
    if not rare:
        return False
    return rare.get("anonymous_id", "")[:1] == SEPARATOR or (
        "playback" in rare and rare["playback"].video_id[:1] == SEPARATOR
    )


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
