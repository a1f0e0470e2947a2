"""Text that people see, in one form: composed, on one line, without what nobody can see. docs/text.md has the rules.

Identifiers are not text: they stay as they were sent.
"""

import unicodedata
from typing import Final, NamedTuple

from records.tenants import SEPARATOR, plain

# Space separators (Zs) other than the space itself.
_SPACES: Final = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_BREAKS: Final = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
# Soft hyphen, zero-width space, word joiner, byte order mark, and marks of direction. Joiners (U+200C, U+200D) are
# parts of words and emoji and stay.
_INVISIBLE: Final = (
    0xAD,
    0x200B,
    0x2060,
    0xFEFF,
    0x61C,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
_TABLE: Final[dict[int, str | None]] = {
    **dict.fromkeys(map(ord, _SPACES), " "),
    **dict.fromkeys(_BREAKS, " "),
    **dict.fromkeys(_INVISIBLE),
}
# Marks that may stand on one letter: as many as in the Stream-Safe Text Format (Unicode Standard Annex 15, D3).
# Composing sorts them, which takes more than linear time.
_MARKS_MOST: Final = 30
_UNFIT_IN_ID: Final = frozenset(map(chr, (*_BREAKS, *range(0xD800, 0xE000))))


class Cleaned(NamedTuple):
    """A text in its one form, and whether anything but its composition had to be changed for that."""

    text: str
    is_changed: bool


def is_clean(text: str, most: int) -> bool:
    """Whether a text needs no cleaning, by a cheap check; false also for most text beyond ASCII."""
    return text.isascii() and text.isprintable() and len(text) <= most and text[:1] != " " and text[-1:] != " "


def cleaned(text: str, most: int) -> Cleaned:
    """A text of at most `most` characters in its one form; may be empty."""
    cut = unicodedata.normalize("NFC", _stream_safe(text[:most]))
    trimmed = " ".join(cut.translate(_TABLE).split(" ")).strip()
    if "  " in trimmed:
        trimmed = " ".join(filter(None, trimmed.split(" ")))
    return Cleaned(trimmed[:most].rstrip(), trimmed != cut or len(text) > most)


def _stream_safe(text: str) -> str:
    """The text without the marks beyond 30 in a row."""
    kept, marks = [], 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= _MARKS_MOST:
            kept.append(letter)
    return "".join(kept)


def is_identifier(text: str, most: int) -> bool:
    """Whether a text may be an id: of 1 to `most` characters, none of them a control character or a line break.

    The name of its tenant does not count.
    """
    if text[:1] == SEPARATOR:
        text = plain(text)
    if not 0 < len(text) <= most:
        return False
    return (text.isascii() and text.isprintable()) or _UNFIT_IN_ID.isdisjoint(text)
