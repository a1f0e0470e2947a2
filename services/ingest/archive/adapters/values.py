"""Values as the archive's columns have them."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import pyarrow as pa
from google.protobuf.descriptor import EnumDescriptor

from mesh.errors import VersionMismatch

text_type: Final = pa.string()
time_type: Final = pa.timestamp("us", tz="UTC")


class _Named(dict[int, str | None]):
    """Words by number; digits for a number that has none."""

    def __missing__(self, number: int) -> str:
        return str(number)


class Words:
    """The values of an enum as words: the name in lower case without its prefix; null for the one that says nothing.

    A number without a name, from a newer version, is its digits.
    """

    def __init__(self, enum: EnumDescriptor, prefix: str) -> None:
        words = _Named(
            (number, value.name.removeprefix(prefix).lower() if number else None)
            for number, value in enum.values_by_number.items()
        )
        self._numbers = {word: number for number, word in words.items()}
        self.word: Callable[[int], str | None] = words.__getitem__
        """The word of a number; the dictionary's own method, as it is asked several times an event."""

    def number(self, word: str | None) -> int:
        """The number of a word.

        Raises:
            VersionMismatch: it is a word of a newer version.
        """
        if word in self._numbers:
            return self._numbers[word]
        if word and not word.lstrip("-").isdecimal():
            raise VersionMismatch("The archive holds a word that only a newer version knows.")
        return int(word or 0)


def array(values: Any, kind: pa.DataType) -> pa.Array:  # noqa: ANN401 - values of whatever type the column has
    """The values as a column; one that is a column already stays as it is."""
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def runs(texts: Sequence[str], lengths: Sequence[int]) -> pa.DictionaryArray:
    """Each text as often as given."""
    places = itertools.chain.from_iterable(map(itertools.repeat, range(len(texts)), lengths))
    return pa.DictionaryArray.from_arrays(pa.array([*places], pa.int32()), pa.array(texts, text_type))


class _Places(dict[Any, int]):
    """Where each of some values stands among them."""

    def __missing__(self, value: Any) -> int:  # noqa: ANN401 - what the cells hold
        self[value] = place = len(self)
        return place


def words_of(
    columns: Iterable[list[Any] | None],
    lengths: Iterable[int],
    empty: Any,  # noqa: ANN401 - what the cells hold
    word_of: Callable[[Any], str | None],
) -> pa.DictionaryArray:
    """Columns of few values, one below the other, each value made a word once; an absent one is all empty."""
    places = _Places()
    cells: list[int] = []
    for column, length in zip(columns, lengths, strict=True):
        first = column[0] if column else empty
        if column is None or column.count(first) == length:
            cells += [places[first]] * length
        else:
            cells += map(places.__getitem__, column)
    return pa.DictionaryArray.from_arrays(pa.array(cells, pa.int32()), pa.array([*map(word_of, places)], text_type))


def utf8(text: bytes) -> str | None:
    """The text; None where there is none, or the bytes are none."""
    try:
        return text.decode() or None
    except UnicodeDecodeError:
        return None
