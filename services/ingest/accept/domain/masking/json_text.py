"""Masks what JSON holds, in names and values. What is not masked stays as it was written, to the byte.

It takes JSON as it comes, token by token, so that text that is nearly JSON, or its beginning, is masked as well.
"""

import json
import re
from collections.abc import Collection
from typing import Final

from services.ingest.accept.domain.masking import numbers
from services.ingest.accept.domain.masking.hint import is_suspect
from services.ingest.accept.domain.masking.kinds import MASKS, Masking
from services.ingest.accept.domain.masking.names import EMPTY, is_of_phone, kind_of_name
from services.ingest.accept.domain.masking.texts import masked_text

# A string, perhaps cut off, with the colon that makes it a name; an opening or closing bracket; a number or a word.
_TOKEN: Final = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+"?)(\s*+:)?|([\[{])|([\]}])|[^\s"\[\]{},:]++', re.DOTALL)
_SHORTEST: Final = len('"x=1"')
_CARD: Final = re.compile(r"\d{13,19}")


def masked_json(text: str, masking: Masking, found: list[str], kept: Collection[str] = ()) -> str:
    """The text with what its strings and numbers hold masked; the same object if there is nothing to mask.

    Args:
        text: JSON, or nearly.
        masking: what is masked.
        found: gets the kind of each value that is masked.
        kept: names of members of the outermost object whose values stay.
    """
    parts: list[str] = []
    end = depth = 0
    name = ""  # that of the member whose value comes next
    for token in _TOKEN.finditer(text):
        start = token.start()
        if start < end:  # within an array or object that was masked as a whole
            continue
        string, colon, opening, closing = token.groups()
        written = masked = string or token[0]
        if colon:
            masked = _masked_string(written, masking, found)
        elif opening and kind_of_name(name, masking):
            written = text[start : _end_of_value(text, start)]
            masked = _mask(kind_of_name(name, masking), found)
        elif opening or closing:
            depth += 1 if opening else -1
        elif depth != 1 or name not in kept:
            masked = _masked_value(written, name, masking, found)
        if masked is not written:
            parts += (text[end:start], masked)
            end = start + len(written)
        name = _content(masked) if colon else ""
    return "".join((*parts, text[end:])) if parts else text


def _end_of_value(text: str, start: int) -> int:
    """Where the array or object ends that begins at `start`; the text's end if it does not."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += (token[3] is not None) - (token[4] is not None)
        if depth == 0:
            return token.end()
    return len(text)


def _masked_value(written: str, name: str, masking: Masking, found: list[str]) -> str:
    """A string, number or word as it is masked; the same object if it stays."""
    if written in EMPTY:
        return written
    is_string = written[0] == '"'
    kind = kind_of_name(name, masking) or _kind_of_number(_content(written), name, masking, is_string=is_string)
    if not kind:
        return _masked_string(written, masking, found) if is_string else written
    return written if written == _quoted(MASKS[kind]) else _mask(kind, found)


def _kind_of_number(text: str, name: str, masking: Masking, *, is_string: bool) -> str:
    """The kind of a phone number by its name, or of a card that is no string; empty for all others."""
    if "phone" in masking.kinds and name and is_of_phone(name) and numbers.is_phone_value(text):
        return "phone"
    is_card = not is_string and _CARD.fullmatch(text) and numbers.card_length(text) == len(text)
    return "card" if is_card and "card" in masking.kinds else ""


def _mask(kind: str, found: list[str]) -> str:
    found.append(kind)
    return _quoted(MASKS[kind])


def _masked_string(written: str, masking: Masking, found: list[str]) -> str:
    if len(written) < _SHORTEST or not is_suspect(written.encode("utf-8", "surrogatepass"), masking):
        return written
    text = _content(written)
    masked = masked_text(text, masking, found)
    return written if masked is text else _quoted(masked)


def _content(written: str) -> str:
    """What a string says; of one that is no valid JSON, what it looks like."""
    if "\\" not in written:
        return written.strip('"')
    try:
        text: str = json.loads(written, strict=False)
    except ValueError:
        return written.strip('"')
    return text


def _quoted(text: str) -> str:
    # Halves of surrogate pairs are written as they were sent: escaped.
    return json.dumps(text, ensure_ascii=not text.isprintable())
