"""Whether anything in a batch might have to be masked: quickly answered where there is nothing."""

import functools
import re
from collections.abc import Iterable, Sequence
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


def suspects(cells: Sequence[bytes], masking: Masking) -> list[int]:
    """Which cells may hold something to be masked, by their indexes; seldom one that does not, never too few.

    Cells are texts in UTF-8, perhaps JSON. What many have in common between quotation marks is searched once.
    """
    parts = [*{*b'"'.join(cells).split(b'"')}]
    text = b'"'.join(parts) + b'"'
    folded = text.translate(_FOLD, b"_-")
    found = _parts_with(_SIGNS, text)
    named = _parts_with(_words(masking.names), folded)
    if named:
        found.update(part for part, short in zip(parts, folded.split(b'"'), strict=False) if short in named)
    if not found:
        return []
    return [index for index, cell in enumerate(cells) if not found.isdisjoint(cell.split(b'"'))]


def is_suspect(text: bytes, masking: Masking) -> bool:
    """Whether a text may hold something to be masked."""
    words = _words(masking.names)
    return _SIGNS.search(text) is not None or words.search(text.translate(_FOLD, b"_-")) is not None


def _parts_with(pattern: re.Pattern[bytes], text: bytes) -> set[bytes]:
    """What stands between quotation marks around each match; a match may begin at the mark that ends a part."""
    found: set[bytes] = set()
    end = -1
    for match in pattern.finditer(text):
        start = match.start()
        if start > end:
            end = text.find(b'"', start)
            found.add(text[text.rfind(b'"', 0, start) + 1 : end])
    return found


@functools.lru_cache(maxsize=256)  # one of the mesh, and of each tenant with names of its own
def _words(more: frozenset[str]) -> re.Pattern[bytes]:
    """Names that end at a quotation mark, or at a sign of equality, which may be encoded; in a folded text."""
    # Bytes are folded as ASCII is, so of other names only the end is searched for that is ASCII, if there is one.
    members = names.LISTED | {re.split(r"[^\x00-\x7f]", name)[-1] for name in more}
    if "" in members:
        return re.compile(b'["=%]')
    parameters = members | {*names.DOUBTFUL_PARAMETERS}
    lasts = "".join(sorted({word[-1:] for word in parameters}))
    ends = rf'["=%](?<=[{lasts}].)(?:(?<=")(?:{_ends(members)})|(?<=[=%])(?:{_ends(parameters)}))'
    return re.compile(ends.encode(), re.DOTALL)


def _ends(words: Iterable[str]) -> str:
    """A pattern for what stands before a sign, if that is one of some words; by their last letters, for speed."""
    by_last: dict[str, list[str]] = {}
    for word in sorted(words):
        by_last.setdefault(word[-1:], []).append(f"(?<={re.escape(word)}.)")
    return "|".join(f"(?<={re.escape(last)}.)(?:{'|'.join(each)})" for last, each in by_last.items())
