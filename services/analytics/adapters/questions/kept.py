"""What a process keeps of a tenant between questions: its connection, and the summaries of days in memory.

Users are numbers in them (`person`), which mean nothing elsewhere.
"""

import contextlib
import tempfile
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from services.analytics.adapters.copies.connection import opened
from services.analytics.adapters.copies.relations import listed
from services.analytics.adapters.copies.summaries import SUMMARIES
from services.analytics.adapters.questions.arrays import Arrays
from services.analytics.adapters.questions.hot import PERSONS, Hot, numbering
from services.analytics.domain import layout
from services.analytics.domain.layout import KINDS, VERSION, day_of, tenant_folder
from services.analytics.domain.layout import SUMMARIES as FOLDER
from services.analytics.ports import Reading

_MOST_TENANTS: Final = 4
_MOST_IDLE_BYTES: Final = 64 * 1024 * 1024
_MOST_ROWS: Final = 6_000_000
# What is asked in SQL by the days of a question.
_ASKED: Final = frozenset({"marks", "offers"})


class Tenants:
    """The tenants asked about last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Tenant] = OrderedDict()

    @contextlib.contextmanager
    def of(self, root: str, reading: Reading) -> Iterator["Tenant"]:
        """The tenant of a question, for the block; forgotten if it fails."""
        key = root, reading.tenant
        tenant = self._kept.pop(key, None) or Tenant(root, reading.tenant)
        while self._kept and (len(self._kept) >= _MOST_TENANTS or self._idle_bytes() > _MOST_IDLE_BYTES):
            self._kept.popitem(last=False)[1].close()
        try:
            yield tenant
        except BaseException:
            tenant.close()
            raise
        self._kept[key] = tenant

    def close(self) -> None:
        """Gives back what they take."""
        while self._kept:
            self._kept.popitem()[1].close()

    def _idle_bytes(self) -> int:
        return sum(tenant.byte_count() for tenant in self._kept.values())


class Tenant:
    """A tenant's connection, and which days of which summaries are in its tables."""

    def __init__(self, root: str, tenant: str, most_rows: int = _MOST_ROWS) -> None:
        self._root = root
        self._most_rows = most_rows
        self._spilled = tempfile.TemporaryDirectory(prefix="question-")
        its = tenant_folder(tenant)
        folders = [f"{root}/{each}/{its}" for each in (*(f"{kind}/{VERSION}" for kind in KINDS), FOLDER, layout.TAIL)]
        self.connection = opened(Path(self._spilled.name), folders)
        self.arrays = Arrays(self.connection)
        self._loaded: defaultdict[str, dict[int, str]] = defaultdict(dict)
        self._row_count = 0
        self.connection.execute("CREATE TABLE people (person INTEGER, user_id VARCHAR)")
        for name, summary in SUMMARIES.items():
            columns = ", ".join(f"{each} {kind}" for each, kind in ({"day": "INTEGER"} | summary.columns).items())
            self.connection.execute(f"CREATE TABLE all_{name} ({columns})")
        self._hot = Hot(self.connection, root)
        self._settle()

    def close(self) -> None:
        """Gives back what it takes."""
        self.connection.close()
        self._spilled.cleanup()

    def byte_count(self) -> int:
        """The memory that it takes."""
        (found,) = self.connection.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchone() or (0,)
        return int(found)

    def load(self, reading: Reading, names: frozenset[str]) -> bool:
        """Reads the summaries of the days of a question and its tail; returns False if they are too many rows.

        Of those that are asked in SQL it makes views that have these days alone.
        """
        changes = self._changes(reading, names)
        if not self._fits(changes):
            self._forget()
            changes = self._changes(reading, names)
        if not self._fits(changes):
            return False
        for name, (gone, new) in changes.items():
            self._replace(name, gone, [*new.values()])
            self._loaded[name] = {day: path for day, path in self._loaded[name].items() if day not in gone} | new
        if changes:
            self._settle()
        if self._hot.show(reading, names):
            self.arrays.show(self._hot.days)
        asked = layout.days(reading.question.read_from_us, reading.question.read_to_us)
        for name in names & _ASKED:
            self.connection.execute(
                f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM now_{name} "
                f"WHERE day >= {asked.start} AND day < {asked.stop}"
            )
        return True

    def of_user(self, reading: Reading, user_id: str) -> Reading:
        """The question with the files of those days alone on which a user did something, by `cells` and `risks`."""
        days = {
            day
            for (day,) in self.connection.execute(
                "SELECT day FROM (SELECT day, person FROM now_cells UNION ALL SELECT day, person FROM now_risks) "
                "WHERE person = (SELECT person FROM people WHERE user_id = $user) GROUP BY day",
                {"user": user_id},
            ).fetchall()
        }
        events, decisions = (
            tuple(path for path in paths if day_of(path) in days) for paths in (reading.events, reading.decisions)
        )
        return reading._replace(events=events, decisions=decisions)

    def _changes(self, reading: Reading, names: frozenset[str]) -> dict[str, tuple[set[int], dict[int, str]]]:
        """By summary, the days to drop and the files to read, so that the days of a question are there."""
        asked = layout.days(reading.question.read_from_us, reading.question.read_to_us)
        found = {}
        for name in sorted(names):
            paths = reading.events if SUMMARIES[name].kind == layout.EVENTS else reading.decisions
            wanted = {day_of(path): f"{self._root}/{layout.summary_path(name, path)}" for path in paths}
            gone = {day for day, path in self._loaded[name].items() if day in asked and wanted.get(day) != path}
            new = {day: path for day, path in wanted.items() if self._loaded[name].get(day) != path}
            if gone or new:
                found[name] = gone, new
        return found

    def _fits(self, changes: Mapping[str, tuple[set[int], dict[int, str]]]) -> bool:
        paths = [path for _, new in changes.values() for path in new.values()]
        if not paths:
            return True
        counted = f"SELECT sum(num_rows) FROM parquet_file_metadata([{listed(paths)}])"
        (more,) = self.connection.execute(counted).fetchone() or (0,)
        return self._row_count + int(more) <= self._most_rows

    def _forget(self) -> None:
        for name in SUMMARIES:
            self.connection.execute(f"DELETE FROM all_{name}")
        self._loaded.clear()
        self._row_count = 0

    def _replace(self, name: str, gone: set[int], paths: list[str]) -> None:
        columns = ", ".join(["day", *SUMMARIES[name].columns])
        days = ", ".join(map(str, gone)) or "NULL"
        kept = f"SELECT * FROM all_{name} WHERE (day IN ({days})) IS NOT true"
        if not paths:
            self.connection.execute(f"CREATE OR REPLACE TABLE all_{name} AS {kept}")
            return
        rows = f"read_parquet([{listed(paths)}], hive_partitioning = false)"
        if name in PERSONS:
            self.connection.execute(numbering(f"SELECT DISTINCT user_id FROM {rows}"))
            rows += " JOIN people USING (user_id)"
        self.connection.execute(f"CREATE OR REPLACE TABLE all_{name} AS {kept} UNION ALL SELECT {columns} FROM {rows}")

    def _settle(self) -> None:
        """Counts what is there, and forgets users who are in no day any more."""
        self.arrays.forget()
        self._hot.forget()
        counts = ", ".join(f"(SELECT count(*) FROM all_{name})" for name in SUMMARIES)
        self._row_count = sum(self.connection.execute(f"SELECT {counts}").fetchone() or ())
        held = " UNION ALL ".join(f"SELECT person FROM all_{name}" for name in sorted(PERSONS))
        self.connection.execute(
            f"CREATE OR REPLACE TABLE people AS FROM people WHERE person IN (SELECT DISTINCT person FROM ({held}))"
        )
