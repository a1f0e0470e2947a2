"""Members of an object by name, however clients spell the name: `orderId`, `order_id`, `Order ID`."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from mesh.errors import InvalidArgument

_NO_LETTER: Final = re.compile(r"[^a-z]+")
_TRUE: Final = frozenset({"true", "yes", "1"})
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


class AnySpelling:
    """Members by name without case and separators; of several with one name, the first with a value counts."""

    def __init__(self, members: Mapping[str, msgspec.Raw]) -> None:
        self._found: dict[str, list[msgspec.Raw]] = {}
        for name, raw in members.items():
            self._found.setdefault(_NO_LETTER.sub("", name.lower()), []).append(raw)

    def values(self, names: tuple[str, ...]) -> list[object]:
        """The values under these names that are not empty.

        Raises:
            InvalidArgument: `UNREADABLE_AMOUNT`: a number has too many digits.
        """
        decoded = [_value(raw) for name in names for raw in self._found.get(name, ())]
        return [one for one in decoded if one not in _EMPTY]

    def raws(self, names: tuple[str, ...]) -> list[msgspec.Raw]:
        """What stands under these names, yet to be read."""
        return [raw for name in names for raw in self._found.get(name, ())]

    def is_true(self, names: tuple[str, ...]) -> bool:
        """Whether one of these members is true."""
        return any(str(one).lower() in _TRUE for one in self.values(names))


def plain(values: list[object]) -> list[object]:
    """Those that are numbers or texts."""
    return [one for one in values if isinstance(one, (int, float, str)) and not isinstance(one, bool)]


def _value(raw: msgspec.Raw) -> object:
    """A member's value, a text without surrounding space.

    Raises:
        InvalidArgument: `UNREADABLE_AMOUNT`: a number has too many digits.
    """
    try:
        value = msgspec.json.decode(raw)
    except msgspec.ValidationError:
        raise InvalidArgument("UNREADABLE_AMOUNT", "The amount is too large.") from None
    return value.strip() if isinstance(value, str) else value
