"""Tables of the archive as they are written, whatever version the rows come from."""

from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc


def written(table: pa.Table, dictionaries: Collection[str]) -> pa.Table:
    """A table as it is written, in one piece: so the bytes do not depend on how it was made."""
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        whole = _plain(column).combine_chunks()
        columns.append(whole.dictionary_encode() if field.name in dictionaries else whole)
    fields = [field.with_type(column.type) for field, column in zip(table.schema, columns, strict=True)]
    return pa.table(columns, schema=pa.schema(fields))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def grouped(batches: Iterable[pa.RecordBatch], row_count: int) -> Iterator[pa.Table]:
    """The rows, so many at once; a column that some batches have not is null in their rows."""
    waiting: list[pa.RecordBatch] = []
    missing = row_count
    for batch in batches:
        start = 0
        while len(batch) - start >= missing:
            yield _one([*waiting, batch.slice(start, missing)])
            start += missing
            waiting, missing = [], row_count
        if start < len(batch):
            waiting.append(batch.slice(start))
            missing -= len(batch) - start
    if waiting:
        yield _one(waiting)


def _one(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    return pa.concat_tables([pa.Table.from_batches([batch]) for batch in batches], promote_options="default")


def without_nulls(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns that have a value."""
    return batch.select([name for name in batch.schema.names if batch.column(name).null_count < max(1, len(batch))])


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of the schema, null where an older version did not have them, or false for a flag.

    Raises:
        pa.ArrowInvalid: it has columns that the schema has not, as a newer version wrote it; or it lacks one that has
            been there from the first version.
    """
    if unknown := _names(table.schema) - _names(schema):
        message = f"There are columns of a newer version: {sorted(unknown)}"
        raise pa.ArrowInvalid(message)
    return pa.table([_column(table, field) for field in schema], schema=schema)


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    name = field.name
    is_there = name in table.schema.names
    column = (
        _grown(table.column(name), field.type) if is_there else pa.chunked_array([pa.nulls(len(table), field.type)])
    )
    if field.nullable or not column.null_count:
        return column
    if pa.types.is_boolean(field.type):
        # Also where an older table was joined to a newer one.
        return pc.fill_null(column, fill_value=False)
    message = f"The column {name} is missing"
    raise pa.ArrowInvalid(message)


def _names(schema: pa.Schema) -> set[str]:
    """The names of columns, and of the members of structs among them."""
    return {
        name
        for field in schema
        for name in (field.name, *(f"{field.name}.{member.name}" for member in _members(field.type)))
    }


def _members(kind: pa.DataType) -> Iterable[pa.Field]:
    return kind.fields if pa.types.is_struct(kind) else ()


def _grown(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column whose structs have all members of a kind."""
    return column.cast(kind) if pa.types.is_struct(kind) and column.type != kind else column
