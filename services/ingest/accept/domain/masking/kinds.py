"""The kinds of data that are masked, and what an installation chooses of them."""

from collections.abc import Iterable
from typing import Final, NamedTuple

KINDS: Final = ("email", "phone", "card", "iban", "ssn", "token", "secret")
MASKS: Final = {kind: f"[{kind}]" for kind in KINDS}
"""What a value is replaced by."""


class Masking(NamedTuple):
    """The kinds that are masked, and more names of members whose values are secret, each as `folded`."""

    kinds: frozenset[str] = frozenset(KINDS)
    names: frozenset[str] = frozenset()


ALL: Final = Masking()


def folded(name: str) -> str:
    """A name as names are compared: in lower case, without `_` and `-`."""
    return name.lower().replace("_", "").replace("-", "")


def chosen(kinds: str, names: str) -> Masking:
    """The choice that settings make: kinds and names, each separated by commas; the kinds may be `all` or `none`.

    Raises:
        ValueError: a kind is unknown; the text says which there are.
    """
    words = _words(kinds)
    if words <= {"all"}:
        words = frozenset(KINDS)
    elif words == {"none"}:
        words = frozenset()
    if not words <= {*KINDS}:
        expected = f"all, none, or some of {', '.join(KINDS)}"
        raise ValueError(expected)
    return Masking(words, frozenset(map(folded, _words(names))))


def _words(text: str) -> frozenset[str]:
    parts: Iterable[str] = (part.strip() for part in text.split(","))
    return frozenset(filter(None, parts))
