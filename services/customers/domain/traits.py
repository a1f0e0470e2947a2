"""What is declared of a customer: the traits of identifying events, each as it was said last."""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias, TypeGuard

import msgspec

NAME_LENGTH: Final = 64
VALUE_LENGTH: Final = 256
TRAITS_KEPT: Final = 32
"""Traits that are kept of a customer, those declared last."""

CONTACT: Final = frozenset({"email", "pushTarget"})
"""Where a user is reached is no trait."""

Value: TypeAlias = str | int | float | bool | None
_LARGEST: Final = 1 << 53


class Trait(msgspec.Struct, array_like=True, frozen=True):
    """A value, None where it was taken back, and what declared it: an event, and its time.

    `at` is milliseconds since 1970.
    """

    at: int
    event: str
    value: Value


class Declared(NamedTuple):
    """What an event declares, by the names of traits. `event` and `at` are as in `Trait`."""

    event: str
    at: int
    traits: Mapping[str, object]


def declare(to: dict[str, Trait], said: Declared) -> None:
    """Adds what an event declares, in whatever order events come.

    Values that are neither text, number nor truth value, and names and texts that are too long, are left out.
    """
    for name, value in said.traits.items():
        if name in CONTACT or not 0 < len(name) <= NAME_LENGTH or not _is_value(value):
            continue
        trait, known = Trait(said.at, said.event, value), to.get(name)
        if known is None or (known.at, known.event) < (trait.at, trait.event):
            to[name] = trait
    while len(to) > TRAITS_KEPT:
        del to[min(to, key=lambda each: (to[each].at, to[each].event, each))]


def _is_value(value: object) -> TypeGuard[Value]:
    if isinstance(value, str):
        return len(value) <= VALUE_LENGTH
    return value is None or (isinstance(value, (int, float)) and abs(value) <= _LARGEST)
