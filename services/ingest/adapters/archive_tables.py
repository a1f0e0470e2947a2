"""Tables of the archive as they are written, whatever version the rows come from."""

from collections.abc import Collection, Iterable

import pyarrow as pa


def written(table: pa.Table, dictionaries: Collection[str]) -> pa.Table:
    """A table as it is written, in one piece: so the bytes do not tell how it came about."""
    table = (table.unify_dictionaries() if _has_dictionaries(table) else table).combine_chunks()
    for index, field in enumerate(table.schema):
        if field.name in dictionaries and not pa.types.is_dictionary(field.type):
            encoded = table.column(index).dictionary_encode()
            table = table.set_column(index, field.with_type(encoded.type), encoded)
    return table


def _has_dictionaries(table: pa.Table) -> bool:
    return any(pa.types.is_dictionary(kind) for kind in table.schema.types)


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of the schema, null where an older version did not have them.

    Raises:
        pa.ArrowInvalid: it has columns that the schema has not; a newer version wrote it.
    """
    if unknown := _names(table.schema) - _names(schema):
        message = f"There are columns of a newer version: {sorted(unknown)}"
        raise pa.ArrowInvalid(message)
    columns = [
        _grown(table.column(field.name), field.type)
        if field.name in table.schema.names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


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
