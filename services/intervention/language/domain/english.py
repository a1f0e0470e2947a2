"""Whether words are English, and which of them are so common that they say nothing: a cheap judgement by a list."""

import re
from collections.abc import Iterable
from typing import Final

_COMMON_WORDS: Final = """
the be is are was were been being am to of and a an in that have has had having it its for not on with he she
they them their we us our you your yours this these those but his her from or as by at which who whom whose what
when where why how all any both each few more most other some such no nor only own same so than too very can
could will would shall should may might must do does did done doing if then else there here about into over
under after before between through during without within up down out off again once just also let get got go
going see seen like need needs want help one two three first next last now new good well still even way make
made take give something anything nothing someone somebody anyone while because until against yet ever never
always often many much little lot right left show try please thank
"""
_REASON_WORDS: Final = """
errors error form forms page pages failed attempts attempt retries retry requests request minutes minute seconds second
hours hour days day clicks click left unfinished success successes succeeded last calculation loaded times time
sessions session different places place average tried frustrated ago begun a signal signals row current spent gone
untouched nothing least fell
"""
# The commonest words of English; no other language shares more than a few of them.
_COMMON: Final = frozenset(_COMMON_WORDS.split())
# With those that the mesh's own reasons are made of.
_PLAIN: Final = _COMMON | frozenset(_REASON_WORDS.split())
_LEAST_COMMON: Final = 0.4
_LEAST_ASCII: Final = 0.97

_JOINTS: Final = re.compile(r"[\s_/+.?=&%:;,-]+")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")


def words(text: str) -> list[str]:
    """The words of a text in small letters, in their order."""
    return _WORD.findall(spaced(text.lower()))


def spaced(text: str) -> str:
    """Text whose words stand apart, also where signs join them as in a path."""
    return _JOINTS.sub(" ", text)


def is_common(word: str) -> bool:
    """Whether a word, in small letters, says nothing by itself."""
    return re.split("['\u2019]", word, maxsplit=1)[0] in _COMMON


def is_plain(found: Iterable[str]) -> bool:
    """Whether all of some words, in small letters, are common or of those that the mesh's own reasons are made of."""
    return _PLAIN.issuperset(found)


def is_english(text: str) -> bool:
    """Whether text is most likely English: nearly all letters are Latin without accents, many words the commonest.

    A cheap sign, for text of five words and more: of plain English 45 to 70% are such words, of any other language
    less than a quarter.
    """
    letters = [each for each in text if each.isalpha()]
    found = words(text)
    if not found or sum(each.isascii() for each in letters) < _LEAST_ASCII * len(letters):
        return False
    return sum(map(is_common, found)) >= _LEAST_COMMON * len(found)
