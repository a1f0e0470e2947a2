"""Whether anything in a batch might have to be masked: quickly answered where there is nothing."""

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from services.ingest.accept.domain.masking import names
from services.ingest.accept.domain.masking.kinds import Masking
from services.ingest.accept.domain.masking.patterns import CARD, GROUPED, IBAN_SEEN, INTERNATIONAL, NATIONAL, SSN

_FOLD: Final = bytes(range(256)).lower()
# Numbers begin with the first digit of a run, and have eight signs at least: all others are dismissed at a glance.
_BEGINS: Final = r"(?<![0-9A-Za-z][0-9])(?=[0-9 ()+./%\x80-\xff-]{7})"
_DIGIT: Final = "|".join(f"(?<={each.first}){each.rest}" for each in (*NATIONAL[:1], *GROUPED, CARD, SSN))
_OTHERS: Final = "|".join(
    (
        *(f"(?<={each.first}){each.rest}" for each in (*INTERNATIONAL, NATIONAL[1])),
        # An address of e-mail, or who logs in at an address of the web; also encoded.
        r"(?<=[^\x00-\x20/@\"]@)[^\x00-\x20@\"]",
        "(?<=%)(?:25)*40",
        r"(?<=eyJ)[\w-]{5}",
        # Signs of ASCII, or such as stand between digits, as JSON may escape them; a number behind an escaped sign.
        r"(?<=\\)(?:u(?:00[2-7aA]|20[12])|(?:[bfnrt]|u[0-9A-Fa-f]{4})(?:[0-9+(]|[A-Z]{2}[0-9]{2}))",
    )
)
_SIGNS: Final = re.compile(
    rf"[@%+(J\\0-9](?:(?<=[0-9])(?:{IBAN_SEEN}|{_BEGINS}(?:{_DIGIT}))|(?<![0-9])(?:{_OTHERS}))".encode()
)

Search = Callable[[bytes], object]
"""Finds something in a text in UTF-8, which may be JSON; None if there is nothing."""


def suspects(cells: Sequence[bytes], masking: Masking) -> list[int]:
    """Which cells may hold something to be masked, by their indexes; seldom one that does not, never too few.

    What many cells have in common between quotation marks is searched once.
    """
    common = b'"'.join({*b'"'.join(cells).split(b'"')}) + b'"'
    searches = [search for search in (_SIGNS.search, _words(masking.names)) if search(common) is not None]
    if not searches:
        return []
    return [index for index, cell in enumerate(cells) if any(search(cell + b'"') for search in searches)]


def is_suspect(text: bytes, masking: Masking) -> bool:
    """Whether a text may hold something to be masked; names count where they end at a quotation mark or a parameter."""
    return _SIGNS.search(text) is not None or _words(masking.names)(text) is not None


@functools.lru_cache(maxsize=4)
def _words(more: frozenset[str]) -> Search:
    """Searches for names that end at a quotation mark, or at a sign of equality, which may be encoded."""
    members = names.LISTED | more
    parameters = members | {*names.DOUBTFUL_PARAMETERS}
    lasts = "".join(sorted({word[-1:] for word in parameters}))
    ends = rf'["=%](?<=[{lasts}].)(?:(?<=")(?:{_ends(members)})|(?<=[=%])(?:{_ends(parameters)}))'
    search = re.compile(ends.encode(), re.DOTALL).search
    return lambda text: search(text.translate(_FOLD, b"_-"))


def _ends(words: Iterable[str]) -> str:
    """A pattern for what stands before a sign, if that is one of some words; by their last letters, for speed."""
    by_last: dict[str, list[str]] = {}
    for word in sorted(words):
        by_last.setdefault(word[-1:], []).append(f"(?<={re.escape(word)}.)")
    return "|".join(f"(?<={re.escape(last)}.)(?:{'|'.join(each)})" for last, each in by_last.items())
