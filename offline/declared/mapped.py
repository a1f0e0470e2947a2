"""Rows of files to rows that are spilled, by a mapping."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from offline.declared import mapping as mappings
from offline.declared.journeys import Taken
from offline.declared.mapping import KINDS, SKIP, Kinds, Mapping, MappingError
from offline.declared.reading import Profile, Row
from services.features.domain import own
from services.features.domain.event import Event

_NO_TIME_US: Final = 946_684_800_000_000
_TRUE: Final = frozenset({"true", "1", "yes"})


def taken(rows: Iterable[Row], mapping: Mapping, profile: Profile) -> Iterator[Taken | str]:
    """Each row by the mapping, or the reason why it is left out; counts the rows' values in `profile`.

    Raises:
        MappingError: a column is missing, or a value of the kind is not in the mapping.
    """
    read = _Reader(mapping)
    for index, row in enumerate(rows):
        profile.note(row)
        yield read.row(index, row)
    read.require_known_kinds()


class _Reader:
    """Takes rows by a mapping."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._clock = mappings.clock(mapping.when) if mapping.when else None
        self._columns = mapping.columns
        self._outcomes = [
            (name, outcome.column, {value.strip().casefold() for value in outcome.is_})
            for name, outcome in mapping.outcomes.items()
        ]
        self._unknown_kinds = Counter[str]()
        self._is_first = True

    def row(self, index: int, row: Row) -> Taken | str:
        """A row as it is spilled, or the reason why it is left out."""
        if self._is_first:
            self._require_columns(row)
            self._is_first = False
        mapping = self._mapping
        user = row.get(mapping.user, "") if mapping.user else f"row-{index}"
        if not user:
            return "without a user"
        at_us = _NO_TIME_US
        if self._clock is not None and mapping.when is not None:
            try:
                at_us = self._clock.us(row.get(mapping.when.column, ""))
            except (ValueError, OverflowError):
                return "with a time of another form"
        kind = self._kind(row)
        if kind is None:
            return "of a kind that is skipped"
        outcomes = tuple(
            name for name, column, true in self._outcomes if row.get(column, "").strip().casefold() in true
        )
        return Taken(user, index, self._event(index, row, kind, at_us), outcomes)

    def require_known_kinds(self) -> None:
        """Refuses values of the kind that are neither named nor covered by `others`."""
        if self._unknown_kinds:
            shown = ", ".join(f"{value!r} ({count:,} rows)" for value, count in self._unknown_kinds.most_common(8))
            message = f"The mapping does not name these values of the kind: {shown}; `others: skip` skips them."
            raise MappingError(message)

    def _kind(self, row: Row) -> int | None:
        of = self._mapping.kind
        if not isinstance(of, Kinds):
            return KINDS[of]
        value = row.get(of.column, "")
        name = of.values.get(value, "") or (value if not of.values and value in KINDS else of.others)
        if not name:
            self._unknown_kinds[value] += 1
        return None if name in {"", SKIP} else KINDS[name]

    def _event(self, index: int, row: Row, kind: int, at_us: int) -> Event:
        mapping = self._mapping
        said = {name: value for name, column in mapping.properties.items() if (value := row.get(column, ""))}
        return Event(
            f"row-{index}",
            kind,
            at_us,
            row.get(mapping.page, ""),
            row.get(mapping.target, ""),
            attempt_count=int(_number(said.get("attempt_count", ""))),
            error_code=said.get("error_code", ""),
            is_refresh=said.get("is_refresh", "").casefold() in _TRUE,
            amount=_number(said.get("amount", "")),
            currency=said.get("currency", ""),
            is_refund=said.get("is_refund", "").casefold() in _TRUE,
            own=own.taken(mapping.own, row.get),
        )

    def _require_columns(self, row: Row) -> None:
        """Looks at the first row only: JSON may leave out what is empty."""
        for column, member in self._columns.items():
            if column not in row:
                message = f"The mapping's {member} is the column {column!r}; the data has {', '.join(row)}."
                raise MappingError(message)


def _number(text: str) -> float:
    try:
        value = float(text or 0.0)
    except ValueError:
        return 0.0
    return value if abs(value) < 1e12 else 0.0
