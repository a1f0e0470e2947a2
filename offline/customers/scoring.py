"""What a fit foretells of each customer, as a table: a row per customer, part by part."""

import io
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from offline.customers import parts
from offline.customers.parts import Engine, Task
from records import tenants
from services.customers.domain import fit as fits
from services.customers.domain.fit import HORIZONS, Fit, Horizon
from services.customers.domain.purchases import History
from services.ingest.events.domain.suppression import Suppression
from services.ingest.export.domain import rendering

_ROWS: Final = 2_048
"""Of a piece of CSV, at most."""
_OWNERS: Final = 0o600
_FORMULA: Final = rf"\A([{re.escape(''.join(rendering.FORMULA))}])"
_HORIZON: Final = ("orders", "orders_lower", "orders_upper", "money", "money_lower", "money_upper")
SCHEMA: Final = pa.schema(
    [
        pa.field("customer", pa.string(), nullable=False),
        pa.field("segment", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("active", pa.float64()),
        pa.field("currency", pa.string(), nullable=False),
        *(pa.field(f"{name}_{days}", pa.float64()) for days in HORIZONS for name in _HORIZON),
    ]
)
"""Ids are plain. Money is null where too little is known of it, `active` with orders on one day only."""


class Asked(NamedTuple):
    """A part to score by a fit, from a day since 1970 on."""

    task: Task
    fit: Fit
    today: int


def scored(tasks: Sequence[Task], fit: Fit, today: int, engine: Engine, progress: parts.Progress) -> pa.Table:
    """The customers of all parts by `SCHEMA`, in the order of their ids; the same figures as the predictions of each.

    Raises:
        Unavailable: as `Engine.map`.
    """
    asked = [Asked(task, fit, today) for task in tasks]
    tables = engine.map(of_part, asked, lambda done: progress(done, len(asked)))
    return pa.concat_tables(tables).sort_by("customer")


def of_part(of: Asked) -> pa.Table:
    """The customers of a part, by `SCHEMA`."""
    return table(parts.histories(of.task), of.fit, of.today)


def table(histories: Iterable[tuple[str, History]], fit: Fit, today: int) -> pa.Table:
    """Some customers, by `SCHEMA`; without those who bought nothing, or gave back all of it."""
    rows = []
    for customer, history in histories:
        found = fits.foretold(fit, history, today, 1, zlib.crc32(customer.encode()))
        if found:
            row = [tenants.plain(customer), found.segment, found.group, found.active, found.currency]
            rows.append([*row, *(value for horizon in found.horizons for value in _values(horizon))])
    columns: list[tuple[Any, ...]] = [*zip(*rows, strict=True)] if rows else [()] * len(SCHEMA)
    return pa.table(columns, schema=SCHEMA)


def without(scores: pa.Table, tenant: str, suppression: Suppression) -> pa.Table:
    """The customers of a tenant but for those who are erased, of whom the archive may still know."""
    names = [tenants.qualified(tenant, name) for name in scores.column("customer").to_pylist()]
    erased = suppression.among(names)
    return scores.filter(pa.array([name not in erased for name in names], pa.bool_())) if erased else scores


def write(path: Path, scores: pa.Table) -> None:
    """Writes a table that only its owner may read: Parquet if the file is called so, else as `csv`."""
    with open(path, "wb", opener=_own) as file:
        if path.suffix == ".parquet":
            pq.write_table(scores, file)
        else:
            file.writelines(csv(scores))


def csv(scores: pa.Table) -> Iterator[bytes]:
    """The table as CSV by RFC 4180 with names in the first line, in pieces of about a megabyte.

    Ids come from whoever sends events, so one that a spreadsheet would take for a formula has an apostrophe before it.
    """
    names = [pa.RecordBatch.from_pylist([], scores.schema)]
    for number, batch in enumerate(scores.to_batches(_ROWS) or names):
        piece = io.BytesIO()
        pacsv.write_csv(_without_formulas(batch), piece, pacsv.WriteOptions(include_header=not number))
        yield piece.getvalue()


def _without_formulas(batch: pa.RecordBatch) -> pa.RecordBatch:
    safe = pc.replace_substring_regex(batch.column("customer"), _FORMULA, r"'\1")
    return batch.set_column(batch.schema.get_field_index("customer"), batch.schema.field("customer"), safe)


def _own(path: str, flags: int) -> int:
    """Opens a file for its owner alone, also where it was there before."""
    opened = os.open(path, flags, _OWNERS)
    if stat.S_ISREG(os.fstat(opened).st_mode):
        os.fchmod(opened, _OWNERS)
    return opened


def _values(of: Horizon) -> Sequence[float | None]:
    money = of.money_span or (None, None)
    return of.orders, *of.orders_span, of.money, *money
