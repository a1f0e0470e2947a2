"""Answers as files: flat rows, as CSV or Parquet."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from mesh.rpc.timestamps import timestamp
from services.analytics.domain.answer import Answer, Receipt

# What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_RECEIPT_KEY: Final = b"journeymesh.receipt"


class AnswerFiles:
    """Files of answers."""

    def csv(self, answer: Answer) -> bytes:
        """See `ports.Files`."""
        return _csv(answer)

    def parquet(self, answer: Answer, receipt: Receipt) -> bytes:
        """See `ports.Files`."""
        return _parquet(answer, receipt)


def _csv(answer: Answer) -> bytes:
    rows = [*flat(answer)]
    text = io.StringIO(newline="")
    names = [*dict.fromkeys(name for row in rows for name in row)]
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _parquet(answer: Answer, receipt: Receipt) -> bytes:
    # Most answers become no file: the process that serves needs no Arrow until one does.
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([*flat(answer)])
    table = table.replace_schema_metadata({_RECEIPT_KEY: msgspec.json.encode(receipt._asdict())})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def flat(answer: Answer) -> Iterator[dict[str, Any]]:
    """The rows of an answer: one for each innermost item, or for what has none, after what it is part of."""
    (name, items), *_ = answer._asdict().items()
    if name == "places":  # of paths, the links say all
        places = answer.places  # type: ignore[union-attr] # only paths have them
        for link in answer.links:  # type: ignore[union-attr] # as above
            yield (
                _named("from_", places[link.from_place])
                | _named("to_", places[link.to_place])
                | {"session_count": link.session_count}
            )
        return
    for item in items:
        yield from _flat(item)


def _flat(item: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any part of an answer
    own: dict[str, Any] = {}
    inner: tuple[Any, ...] | None = None
    for name, value in item._asdict().items():
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            own |= {f"{name}_{key}": each for row in _flat(value) for key, each in row.items()}
        elif isinstance(value, tuple) and name in {"points", "steps", "returns", "bins", "parts"}:
            inner = value
        elif isinstance(value, tuple):
            own[name] = msgspec.json.encode(value).decode()
        elif name.endswith("_us"):
            own[name.removesuffix("_us")] = None if value is None else _time(value)
        else:
            own[name] = value
    if not inner:
        yield own
        return
    for number, each in enumerate(inner):
        for row in _flat(each):
            its = {name if name not in own else f"{name}_of_it": value for name, value in row.items()}
            yield own | {"number": number} | its


def _named(prefix: str, place: Any) -> dict[str, Any]:  # noqa: ANN401 - a place of paths
    return {f"{prefix}{name}": value for name, value in place._asdict().items() if name != "session_count"}


def _time(time_us: int) -> str:
    return str(timestamp(time_us).ToJsonString())


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
