"""Settings: frozen dataclasses whose fields name their environment variable, default and meaning.

The only place that reads the environment. An invalid value stops the process at start with one sentence.
"""

import asyncio
import dataclasses
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from mesh.errors import Unavailable

Scalar = TypeVar("Scalar", str, int, float, bool)
Settings = TypeVar("Settings")

_AWAY_SECONDS: Final = 0.5
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class SettingError(Exception):
    """A setting has an unusable value; the text is one sentence for the operator."""


@dataclasses.dataclass(frozen=True)
class Described:
    """A setting's row in the generated table."""

    name: str
    default: str
    meaning: str
    limits: str


def setting(
    name: str,
    default: Scalar,
    meaning: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Scalar:
    """Declares a field of a settings dataclass: environment variable, default, meaning and limits."""
    metadata = {"name": name, "meaning": meaning, "minimum": minimum, "maximum": maximum, "choices": choices}
    field: Any = dataclasses.field(default=default, metadata=metadata)
    return field  # type: ignore[no-any-return]


def read(kind: type[Settings], environment: Mapping[str, str]) -> Settings:
    """Reads settings from the environment.

    Raises:
        SettingError: a value has the wrong type or is out of range.
    """
    fields = dataclasses.fields(cast("Any", kind))
    values = {f.name: _parse(f, environment[f.metadata["name"]]) for f in fields if f.metadata["name"] in environment}
    return kind(**values)


def read_or_exit(kind: type[Settings], environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings of this process; ends it with one sentence if one is invalid."""
    try:
        return read(kind, os.environ if environment is None else environment)
    except SettingError as error:
        sys.exit(f"journeymesh: {error}")


async def or_exit(check: Callable[[], Awaitable[None]]) -> None:
    """Returns once a check of the settings passes; waits while it is unavailable; ends the process if it fails."""
    while True:
        try:
            await check()
        except SettingError as error:
            sys.exit(f"journeymesh: {error}")
        except Unavailable:
            await asyncio.sleep(_AWAY_SECONDS)
        else:
            return


def describe(kind: type[Any]) -> Iterator[Described]:
    """Describes each setting, in the order of the fields."""
    for field in dataclasses.fields(kind):
        yield Described(field.metadata["name"], str(field.default), field.metadata["meaning"], _limits(field))


def secret(path: str) -> str | None:
    """Reads a secret from a file, without surrounding white space; None without a file.

    Raises:
        SettingError: the file cannot be read.
    """
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        message = f"The secret file {path} cannot be read: {error.strerror}."
        raise SettingError(message) from error


def _parse(field: "dataclasses.Field[Any]", text: str) -> str | float | bool:
    name: str = field.metadata["name"]
    kind: Any = type(field.default)
    try:
        value = _WORDS[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        message = f"{name} must be {expected}, not {text!r}."
        raise SettingError(message) from None
    minimum, maximum, choices = field.metadata["minimum"], field.metadata["maximum"], field.metadata["choices"]
    too_low = minimum is not None and not value >= minimum
    too_high = maximum is not None and not value <= maximum
    if too_low or too_high or (choices and value not in choices):
        message = f"{name} must be {_limits(field)}, not {text!r}."
        raise SettingError(message)
    return cast("str | float | bool", value)


def _limits(field: "dataclasses.Field[Any]") -> str:
    minimum, maximum, choices = field.metadata["minimum"], field.metadata["maximum"], field.metadata["choices"]
    if choices:
        return "one of " + ", ".join(choices)
    if minimum is not None and maximum is not None:
        return f"from {minimum:g} to {maximum:g}"
    if minimum is not None:
        return f"{minimum:g} or more"
    if maximum is not None:
        return f"{maximum:g} or less"
    return "true or false" if isinstance(field.default, bool) else ""
