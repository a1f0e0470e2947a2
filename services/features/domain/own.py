"""The installation's own columns: numbers and words that it declares, taken from the properties of a user's events.

A number becomes five columns: `NAME.last`, `.sum`, `.mean`, `.most` and `.count` of the values seen so far; all are 0
where there was none. A word becomes one column, the latest word. Latest is by event time. They count for every event of
the user, also for `identify`, but not for what a system did. Nothing is kept of properties that are not declared.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

NUMBER_LIMIT: Final = 1e12
WORD_LIMIT: Final = 64
COLUMN_LIMIT: Final = 32
"""Columns of numbers, and of words, that can be declared."""
OF_NUMBER: Final = ("last", "sum", "mean", "most", "count")

_TRUTHS: Final = {"true": 1.0, "false": 0.0}


class Columns(NamedTuple):
    """The names of the properties that are declared."""

    numbers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def number_names(self) -> tuple[str, ...]:
        """The names of the columns of numbers, in the order of `values`."""
        return tuple(f"{name}.{of}" for name in self.numbers for of in OF_NUMBER)


NO_COLUMNS: Final = Columns()


class Own(NamedTuple):
    """What one event says of the columns; those that it does not name are not in it."""

    numbers: Mapping[str, float]
    words: Mapping[str, str]


class Number(msgspec.Struct, array_like=True, gc=False):
    """The values of one column so far; `last_us` is the event time of the latest."""

    count: int = 0
    last: float = 0.0
    last_us: int = 0
    total: float = 0.0
    most: float = 0.0


class Word(msgspec.Struct, array_like=True, gc=False):
    """The latest word of one column, and its event time."""

    last: str = ""
    last_us: int = 0


def taken(columns: Columns, value_of: Callable[[str], object]) -> Own | None:
    """What an event says of the columns; None if nothing.

    Args:
        columns: what is declared.
        value_of: a property by its name; None if there is none.
    """
    numbers = {name: number for name in columns.numbers if (number := number_of(value_of(name))) is not None}
    words = {name: word for name in columns.words if (word := word_of(value_of(name)))}
    return Own(numbers, words) if numbers or words else None


def number_of(value: object) -> float | None:
    """A property as a number: a number, its text, or a truth as 1 or 0; None for anything else, or beyond 1e12."""
    if isinstance(value, str):
        text = value.strip().casefold()
        if text in _TRUTHS:
            return _TRUTHS[text]
        try:
            value = float(text)
        except ValueError:
            return None
    if not isinstance(value, int | float):
        return None
    number = float(value) if abs(value) <= NUMBER_LIMIT else math.inf
    return number if math.isfinite(number) else None


def word_of(value: object) -> str:
    """A property as a word of at most 64 characters, in small letters; empty for what is no text, number or truth."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.12g}"
    return value.strip().casefold()[:WORD_LIMIT] if isinstance(value, str) else ""


def note(numbers: dict[str, Number], words: dict[str, Word], own: Own, at_us: int) -> None:
    """Takes what an event says."""
    for name, value in own.numbers.items():
        number = numbers.get(name)
        if number is None:
            number = numbers[name] = Number(most=value)
        number.count += 1
        number.total = max(-NUMBER_LIMIT, min(NUMBER_LIMIT, number.total + value))
        number.most = max(number.most, value)
        if at_us >= number.last_us:
            number.last, number.last_us = value, at_us
    for name, said in own.words.items():
        word = words.get(name)
        if word is None:
            word = words[name] = Word()
        if at_us >= word.last_us:
            word.last, word.last_us = said, at_us


def values(numbers: Mapping[str, Number], columns: Columns) -> list[float]:
    """The columns of numbers, in the order of `number_names`."""
    found: list[float] = []
    for name in columns.numbers:
        number = numbers.get(name)
        if number is None:
            found += (0.0, 0.0, 0.0, 0.0, 0.0)
        else:
            found += (number.last, number.total, number.total / number.count, number.most, float(number.count))
    return found


def latest(words: Mapping[str, Word], columns: Columns) -> list[str]:
    """The latest word of each column of words, empty where there was none."""
    return [words[name].last if name in words else "" for name in columns.words]


def declared(numbers: str, words: str) -> Columns:
    """Columns declared as lists with commas.

    Raises:
        ValueError: there are too many, or a name is declared twice; the message is one sentence.
    """
    columns = Columns(_names(numbers), _names(words))
    every: Sequence[str] = (*columns.numbers, *columns.words)
    if len(set(every)) < len(every):
        raise ValueError("A property is declared twice.")
    if max(len(columns.numbers), len(columns.words)) > COLUMN_LIMIT:
        message = f"At most {COLUMN_LIMIT} numbers and {COLUMN_LIMIT} words can be declared."
        raise ValueError(message)
    return columns


def _names(listed: str) -> tuple[str, ...]:
    return tuple(name for each in listed.split(",") if (name := each.strip()))
