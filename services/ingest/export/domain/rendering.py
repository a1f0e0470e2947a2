"""The data of an export for its reader: one JSON document, or a ZIP of CSV files. Ids are plain. Pure."""

import csv
import io
import itertools
import json
import operator
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from records.tenants import SEPARATOR, plain
from services.ingest.export.domain.export import Export, Record

VERSION: Final = 1
"""Of the document: grows when a member changes its meaning or goes. A new member does not change it."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
"""What a text begins with that a spreadsheet would take for a formula."""
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)


def json_document(export: Export, records: Sequence[Record]) -> bytes:
    """The document, in UTF-8, with the entries of each store in the order in which they were collected."""
    return json.dumps(
        {**_head(export), "stores": {store: list(entries) for store, entries in _by_store(records)}},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def csv_files(export: Export, records: Sequence[Record]) -> bytes:
    """A ZIP with `export.json`, which says what this is, and a CSV file per store.

    Members of members become columns with dotted names, lists a cell of JSON. A text that a spreadsheet would take for
    a formula has an apostrophe before it.
    """
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("export.json", _MOMENT), json.dumps(_head(export)))
        for store, entries in _by_store(records):
            rows = [dict(_cells(entry)) for entry in entries]
            columns = [*dict.fromkeys(itertools.chain.from_iterable(rows))]
            text = io.StringIO()
            into = csv.writer(text)
            into.writerow(map(_safe, columns))
            into.writerows([_safe(row.get(column)) for column in columns] for row in rows)
            packed.writestr(zipfile.ZipInfo(f"{store}.csv", _MOMENT), text.getvalue())
    return whole.getvalue()


def _head(export: Export) -> dict[str, Any]:
    requested = datetime.fromtimestamp(export.requested_us / 1e6, UTC).isoformat(timespec="milliseconds")
    return {"version": VERSION, "exportId": plain(export.id), "requestedAt": requested.replace("+00:00", "Z")}


def _by_store(records: Sequence[Record]) -> Iterator[tuple[str, Iterator[Any]]]:
    store: Callable[[Record], str] = operator.itemgetter(0)
    for name, its in itertools.groupby(sorted(records, key=store), key=store):
        yield name, (_plain(json.loads(said)) for _, said in its)


def _plain(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if isinstance(value, str):
        return plain(value) if value.startswith(SEPARATOR) else _without_tenant(value)
    if isinstance(value, list):
        return [*map(_plain, value)]
    if isinstance(value, dict):
        return {_plain(name): _plain(each) for name, each in value.items()}
    return value


def _without_tenant(text: str) -> str:
    """A text that holds a qualified id behind something else, such as the key of a device, with the plain id."""
    before, separator, rest = text.partition(SEPARATOR)
    return before + plain(separator + rest) if separator else text


def _cells(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in entry.items():
        if isinstance(value, dict):
            yield from _cells(value, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _safe(cell: Any) -> Any:  # noqa: ANN401 - a JSON value
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
