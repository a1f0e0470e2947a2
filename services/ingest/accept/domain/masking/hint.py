"""Whether anything in a batch might have to be masked: quickly answered where there is nothing."""

import functools
import re
from collections.abc import Callable, Iterable
from typing import Final

from services.ingest.accept.domain.masking import names
from services.ingest.accept.domain.masking.kinds import Masking
from services.ingest.accept.domain.masking.patterns import CARD, GROUPED, IBAN_SEEN, INTERNATIONAL, NATIONAL, SSN

_FOLD: Final = bytes(range(256)).lower()
# Whatever has at least eight signs from its first digit on: shorter numbers are dismissed by one look.
_LONG: Final = r"(?=[0-9 ()+./%\x80-\xff-]{7})"
_DIGIT: Final = "|".join(f"(?<={each.first}){each.rest}" for each in (*NATIONAL[:1], *GROUPED, CARD, SSN))
_SIGNS: Final = re.compile(
    "|".join(
        (
            rf"[@%+(J\\0-9](?:(?<=[0-9])(?:{_LONG}(?:{_DIGIT})|{IBAN_SEEN})",
            *(f"(?<={each.first}){each.rest}" for each in (*INTERNATIONAL, NATIONAL[1])),
            # An address of e-mail, or who logs in at an address of the web; also encoded.
            r"(?<=[^\x00-\x20/@\"]@)[^\x00-\x20@\"]",
            "(?<=%)(?:25)*40",
            r"(?<=eyJ)[\w-]{5}",
            # Signs of ASCII, or such as stand between digits, as JSON may escape them; a number behind an escaped sign.
            r"(?<=\\)(?:u(?:00[2-7aA]|20[12])|(?:[bfnrt]|u[0-9A-Fa-f]{4})(?:[0-9+(]|[A-Za-z]{2}[0-9]{2})))",
        )
    ).encode()
)


def is_suspect(text: bytes, masking: Masking) -> bool:
    """Whether a text in UTF-8, which may be JSON, may hold something to be masked."""
    return _SIGNS.search(text) is not None or _words(masking.names)(text.translate(_FOLD, b"_-")) is not None


def suspects(cells: Iterable[bytes], masking: Masking) -> bool:
    """Whether any cell may hold something to be masked. What many cells have between quotation marks is seen once."""
    return is_suspect(b'"'.join({*b'"'.join(cells).split(b'"')}) + b'"', masking)


@functools.lru_cache(maxsize=4)
def _words(more: frozenset[str]) -> Callable[[bytes], object]:
    """Searches a folded text for names that end at a quotation mark, or at a sign of equality, which may be encoded."""
    by_last: dict[str, list[str]] = {}
    for word in sorted({*more, *names.LISTED}):
        by_last.setdefault(word[-1:], []).append(f"(?<={re.escape(word)}.)")
    ends = "|".join(f"(?<={re.escape(last)}.)(?:{'|'.join(each)})" for last, each in by_last.items())
    return re.compile(f'["=%](?:{ends})'.encode(), re.DOTALL).search
