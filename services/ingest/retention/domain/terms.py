"""How many days each tenant's events and decisions are kept, and what of the archive goes on a day. Pure.

Days are UTC days counted from 1970. What counts is when an event was received, by which the archive is laid out: all
rows of a file are of one hour.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from records.tenants import DEFAULT
from services.ingest.archive.domain.layout import DECISIONS, EVENTS, ArchiveFile, Holding

FOR_GOOD: Final = 0
"""Days of whoever keeps everything."""
_DAY_HOURS: Final = 24


class Terms(NamedTuple):
    """For how many days what was received is kept: usually, and for tenants with days of their own."""

    usual_days: int = FOR_GOOD
    own_days: Mapping[str, int] = {}

    def days(self, tenant: str) -> int:
        """The days of a tenant; `FOR_GOOD`, if nothing of it goes."""
        return self.own_days.get(tenant) or self.usual_days

    def first_hour(self, on_day: int) -> int:
        """The first hour of which anybody keeps something on a day: files of earlier hours go as a whole."""
        return _DAY_HOURS * min(first_kept_day(days, on_day) for days in self._all())

    def last_hour(self, on_day: int) -> int:
        """The first hour of which everybody keeps everything on a day."""
        return _DAY_HOURS * max(first_kept_day(days, on_day) for days in self._all())

    def _all(self) -> list[int]:
        return [self.usual_days, *filter(None, self.own_days.values())]


def first_kept_day(days: int, on_day: int) -> int:
    """The oldest day that is kept on a day by whoever keeps so many whole days; 0 if all are."""
    return 0 if days == FOR_GOOD else max(0, on_day - days)


class Change(NamedTuple):
    """What happens to a file: it goes as a whole, or is rewritten without the rows of some tenants."""

    file: ArchiveFile
    holding: Holding
    gone: Sequence[str]
    """The tenants whose rows go, ascending."""
    is_whole: bool

    @property
    def row_count(self) -> int:
        """How many rows go."""
        return sum(self.holding.rows[tenant] for tenant in self.gone)


def changes(held: Mapping[ArchiveFile, Holding], terms: Terms, on_day: int) -> list[Change]:
    """What goes on a day, by kind, hour, shard and range.

    A file goes as a whole only once nobody keeps anything of its hour. Until then it is rewritten, even if no row is
    left, so that the names of the files still show whether a range is missing.
    """
    found = []
    for file, holding in sorted(held.items()):
        is_whole = file.hour < terms.first_hour(on_day)
        gone = [each for each in sorted(holding.rows) if _is_over(file, terms.days(each), on_day)]
        if is_whole or gone:
            found.append(Change(file, holding, gone, is_whole))
    return found


class Expiry(NamedTuple):
    """What goes of a tenant's events or decisions on a day."""

    tenant: str
    kind: str
    days: int
    first_kept_day: int
    """The oldest day that is kept; 0 if all are."""
    deleted_files: int = 0
    """Files with rows of the tenant that go as a whole."""
    rewritten_files: int = 0
    row_count: int = 0
    byte_count: int = 0
    """The tenant's part of those files' bytes, by its part of their rows."""


class Forecast(NamedTuple):
    """What goes on a day: by tenant and kind, also of tenants of whom nothing goes; and of files as a whole."""

    on_day: int
    expiries: Sequence[Expiry]
    deleted_files: int
    deleted_bytes: int
    rewritten_files: int
    rewritten_bytes: int
    """What the files to be rewritten have before that."""


def forecast(planned: Sequence[Change], terms: Terms, on_day: int) -> Forecast:
    """What changes do, as `changes` gives them for the same terms and day."""
    tenants = sorted({DEFAULT, *terms.own_days, *(tenant for change in planned for tenant in change.gone)})
    whole, rewritten = ([each for each in planned if each.is_whole == is_whole] for is_whole in (True, False))
    return Forecast(
        on_day,
        [_expiry(planned, tenant, kind, terms, on_day) for tenant in tenants for kind in (EVENTS, DECISIONS)],
        len(whole),
        _bytes(whole),
        len(rewritten),
        _bytes(rewritten),
    )


def _expiry(planned: Sequence[Change], tenant: str, kind: str, terms: Terms, on_day: int) -> Expiry:
    its = [each for each in planned if each.file.kind == kind and tenant in each.gone]
    days = terms.days(tenant)
    return Expiry(
        tenant,
        kind,
        days,
        first_kept_day(days, on_day),
        deleted_files=sum(each.is_whole for each in its),
        rewritten_files=sum(not each.is_whole for each in its),
        row_count=sum(each.holding.rows[tenant] for each in its),
        byte_count=sum(_part(each.holding, tenant) for each in its),
    )


def _is_over(file: ArchiveFile, days: int, on_day: int) -> bool:
    return file.hour < _DAY_HOURS * first_kept_day(days, on_day)


def _part(holding: Holding, tenant: str) -> int:
    return holding.byte_count * holding.rows[tenant] // sum(holding.rows.values())


def _bytes(planned: Iterable[Change]) -> int:
    return sum(each.holding.byte_count for each in planned)
