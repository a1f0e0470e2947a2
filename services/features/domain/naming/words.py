"""Splits names of pages and targets into words, in any language. Linear time, bounded length."""

import unicodedata

from services.features.domain.event import NAME_LIMIT

_JOINERS = "\u200c\u200d"


def words(name: str) -> list[str]:
    """The words of a name in order, folded; only its first 200 characters count.

    A word ends where the case changes, at digits, and at any other character that is not a letter. Marks without a
    letter, such as those that select how an emoji looks, are not a word. Empty without letters.
    Example: `btnPlus-24 Zurück` has the words `btn`, `plus`, `zuruck`.
    """
    text = name[:NAME_LIMIT]
    found: list[str] = []
    start = 0
    for at, each in enumerate(text):
        if not _is_of_word(each):
            found.append(text[start:at])
            start = at + 1
        elif each.isupper() and at > start and _begins_word(text, at):
            found.append(text[start:at])
            start = at
    found.append(text[start:])
    return [folded(word) for word in found if any(map(str.isalpha, word))]


def folded(word: str) -> str:
    """A word without case, accents and joiners, so that all spellings of it are one."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(
        each for each in decomposed if each not in _JOINERS and not unicodedata.category(each).startswith("M")
    )


def _is_of_word(each: str) -> bool:
    return each.isalpha() or each in _JOINERS or unicodedata.category(each).startswith("M")


def _begins_word(text: str, at: int) -> bool:
    """Whether the capital at an index begins a word: after a small letter or before one, as `Next` in `HTMLNext`."""
    if not text[at - 1].isupper():
        return True
    return text[at + 1 : at + 2].islower()
