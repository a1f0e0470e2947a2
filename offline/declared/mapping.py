"""The mapping: which columns of a file say who did what, when and where. A YAML document of a few lines.

    user: visitor_id
    time: {column: at, format: "%d/%m/%Y %H:%M", zone: Europe/Berlin}
    kind:
      column: action
      values: {view: page_view, buy: purchase}
      others: skip
    page: path
    outcomes:
      bought: {column: Revenue, is: ["true"]}

docs/training.md explains each member.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from mesh import documents
from services.features.domain.event import Kind
from services.features.domain.own import COLUMN_LIMIT, Columns

KINDS: Final[dict[str, int]] = {
    name.lower(): number for name, number in vars(Kind).items() if name.isupper() and number != Kind.SEGMENT_CHANGE
}
"""The types of events by name, but for that which only systems say."""
PROPERTIES: Final = frozenset({"error_code", "attempt_count", "amount", "currency", "is_refund", "is_refresh"})
SKIP: Final = "skip"
_UNIX_STEPS_US: Final = {"unix": 1_000_000, "unix_ms": 1_000, "unix_us": 1}


class MappingError(Exception):
    """The mapping, or a row under it, cannot be understood; the message is one sentence."""


class Time(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column of the time. `zone` is for times that name none.

    `format` is `iso`, `unix` (seconds), `unix_ms`, `unix_us`, or a format of `strptime`.
    """

    column: str
    format: str = "iso"
    zone: str = "UTC"


class Kinds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column of the kind. Without `values`, its values are the types of events themselves.

    `others` is what the values not named become: an event type, `skip`, or empty, which refuses them.
    """

    column: str
    values: dict[str, str] = {}
    others: str = ""


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"is_": "is"}):
    """A column that says what came of it; the model never sees it. Values are compared without regard to case."""

    column: str
    is_: tuple[str, ...] = ("true", "1", "yes")


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document. Without `user`, each row is a user; without `time`, all rows have the same time.

    `is_own` says that the users are those of the installation, so that its probabilities are told.
    """

    name: str = ""
    user: str = ""
    time: Time | str = ""
    kind: Kinds | str = "page_view"
    page: str = ""
    target: str = ""
    properties: dict[str, str] = {}
    outcomes: dict[str, Outcome] = {}
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    is_own: bool = False

    @property
    def own(self) -> Columns:
        """The installation's own columns."""
        return Columns(self.numbers, self.categories)

    @property
    def when(self) -> Time | None:
        """The column of the time and its form; None if rows have no time."""
        if isinstance(self.time, str):
            return Time(self.time) if self.time else None
        return self.time

    @property
    def columns(self) -> dict[str, str]:
        """The columns it names, each with the first member that names it."""
        named = {"user": self.user, "time": self.when.column if self.when else "", "page": self.page}
        named |= {"kind": self.kind.column if isinstance(self.kind, Kinds) else "", "target": self.target}
        named |= {f"properties.{name}": column for name, column in self.properties.items()}
        named |= {f"outcomes.{name}": outcome.column for name, outcome in self.outcomes.items()}
        named |= {f"numbers.{column}": column for column in self.numbers}
        named |= {f"categories.{column}": column for column in self.categories}
        return {column: member for member, column in reversed(named.items()) if column}


def read(path: Path) -> tuple[Mapping, str]:
    """The mapping in a file, and the hash of the file: its first 12 hexadecimal digits.

    Raises:
        MappingError: it cannot be read, or contradicts itself.
    """
    try:
        content = path.read_bytes()
        mapping = msgspec.convert(documents.tree(content) or {}, Mapping)
    except OSError as error:
        message = f"The mapping {path} cannot be read: {error.strerror}."
        raise MappingError(message) from error
    except msgspec.ValidationError as error:
        message = f"The mapping {path.name}: {error} (words such as yes and true need quotes)."
        raise MappingError(message) from error
    except documents.DocumentError as error:
        message = f"The mapping {path.name} {error}."
        raise MappingError(message) from error
    _require_sense(mapping)
    return mapping, hashlib.sha256(content).hexdigest()[:12]


def clock(when: Time) -> "Clock":
    """What reads the times of a column.

    Raises:
        MappingError: there is no such zone.
    """
    try:
        return Clock(when.format, ZoneInfo(when.zone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        message = f"The mapping names the zone {when.zone!r}, which is not known."
        raise MappingError(message) from error


class Clock:
    """Reads times in one form."""

    def __init__(self, form: str, zone: ZoneInfo) -> None:
        self._form, self._zone, self._step_us = form, zone, _UNIX_STEPS_US.get(form, 0)

    def us(self, text: str) -> int:
        """A time in Unix microseconds.

        Raises:
            ValueError: the text has another form, or the time is before 1970.
        """
        if self._step_us:
            at_us = round(float(text) * self._step_us)
        else:
            at = datetime.fromisoformat(text) if self._form == "iso" else datetime.strptime(text, self._form)  # noqa: DTZ007 - the zone follows
            aware = (at if at.tzinfo else at.replace(tzinfo=self._zone)).astimezone(UTC)
            at_us = (int(aware.timestamp()) * 1_000_000) + aware.microsecond
        if at_us <= 0:
            raise ValueError(text)
        return at_us


def _require_sense(mapping: Mapping) -> None:
    outcomes = {outcome.column for outcome in mapping.outcomes.values()}
    kinds = mapping.kind.values.values() if isinstance(mapping.kind, Kinds) else [mapping.kind]
    others = [mapping.kind.others] if isinstance(mapping.kind, Kinds) and mapping.kind.others else []
    for kind in [*kinds, *others]:
        if kind not in KINDS and kind != SKIP:
            message = f"The mapping names the event type {kind!r}; types are {', '.join(KINDS)}, and {SKIP}."
            raise MappingError(message)
    if unknown := sorted(mapping.properties.keys() - PROPERTIES):
        known = ", ".join(sorted(PROPERTIES))
        message = f"The mapping names the property {unknown[0]!r}; properties are {known}."
        raise MappingError(message)
    own = [*mapping.numbers, *mapping.categories]
    if any("," in name or name in outcomes for name in own) or len(set(own)) < len(own):
        raise MappingError("A column of `numbers` or `categories` has a comma, is named twice, or is an outcome, too.")
    if max(len(mapping.numbers), len(mapping.categories)) > COLUMN_LIMIT:
        message = f"The mapping names more than {COLUMN_LIMIT} numbers or categories."
        raise MappingError(message)
    if not mapping.user and mapping.time:
        raise MappingError("The mapping names a time but no user; a journey needs both.")
