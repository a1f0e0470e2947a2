"""Masks what a text holds. Masked text stays as it is, whatever is masked a second time."""

import re
from collections.abc import Callable
from typing import Final

from services.ingest.accept.domain.masking import numbers, patterns
from services.ingest.accept.domain.masking.kinds import MASKS, Masking, folded
from services.ingest.accept.domain.masking.names import DOUBTFUL_PARAMETERS, EMPTY, is_of_phone, kind_of_name

# Who logs in, before the host of an address: `https://ada:secret@host/`.
_LOGIN: Final = re.compile(r"(?<=://)[^\s/?#@\"]{1,512}(?=@)")
# A name and what makes it a parameter, also within an address that is itself encoded as a parameter.
_PARAMETER: Final = re.compile(r"(?:(?<![\w.%-])|(?<=%[0-9A-Fa-f]{2}))([\w.-]{1,64})(=|%3[Dd])(?!=)")
_VALUE: Final = re.compile(r"[^\s&#;\"'<>]+")
_ENCODED_VALUE: Final = re.compile(r"(?:(?!%26|%23)[^\s&#;\"'<>])+")
_PHONE_VALUE: Final = re.compile(r"[ +]*(?:%2[Bb])?[0-9](?:(?:[ +./()-]|%20){0,3}[0-9]){6,14}(?!\w)")
_SAYS_NOTHING: Final = EMPTY | {*MASKS.values()}
_RANDOM: Final = re.compile(r"(?=\D*\d).{6}", re.DOTALL)
_JWT: Final = re.compile(r"(?<![\w\]-])eyJ[\w-]{5,}+\.[\w-]{5,}+(?:\.[\w-]*+)?")
# The local part begins behind an encoded sign, or where no sign of a local part stands; not behind another `@`, as in
# the handle `@ada@social.example`.
_EMAIL: Final = re.compile(
    r"(?:(?<![\w.+%@\]-])|(?<=%[0-9A-Fa-f]{2}))(?!git@)"
    r"[\w.+-](?:[\w.+'-]|%2[Bb]){0,63}+(?:@|%(?:25)*40)"
    r"(?![0-9]+x\.|[0-9]+\.[0-9])"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?!(?:png|jpe?g|gif|svg|webp|js|css)\b)[^\W\d_]{2,24}(?![\w-])"
)
_CARD: Final = re.compile(patterns.CARD.whole)
_SSN: Final = re.compile(rf"(?!000|666){patterns.SSN.first}(?!..-00|..-..-0000){patterns.SSN.rest}")
_PHONE: Final = re.compile(
    "|".join(each.whole for each in (*patterns.INTERNATIONAL, *patterns.NATIONAL, *patterns.GROUPED))
)

Judge = Callable[[str], int]
"""How many characters of a run are to be masked, from the first on; 0 for none."""

_STEPS: Final[tuple[tuple[str, re.Pattern[str], Judge], ...]] = (
    ("token", _JWT, len),
    ("email", _EMAIL, len),
    ("iban", patterns.IBAN, numbers.iban_length),
    ("card", _CARD, numbers.card_length),
    ("ssn", _SSN, len),
    ("phone", _PHONE, numbers.phone_length),
)


def masked_text(text: str, masking: Masking, found: list[str]) -> str:
    """The text with its personal data and secrets masked; the same object if there are none.

    Args:
        text: any text; JSON is `json_text`'s.
        masking: what is masked.
        found: gets the kind of each value that is masked.
    """
    if "://" in text and "secret" in masking.kinds:
        text = _replaced(text, "secret", _LOGIN, len, found)
    if "=" in text or "%3" in text:
        text = _without_parameters(text, masking, found)
    for kind, pattern, judge in _STEPS:
        if kind in masking.kinds:
            text = _replaced(text, kind, pattern, judge, found)
    return text


def _replaced(text: str, kind: str, pattern: re.Pattern[str], judge: Judge, found: list[str]) -> str:
    mask = MASKS[kind]
    match = pattern.search(text)
    while match is not None:
        start, run = match.start(), match[0]
        length = judge(run)
        if length and run[:length] != mask:
            found.append(kind)
            text = f"{text[:start]}{mask}{text[start + length :]}"
            end = start + len(mask)
        else:
            # A number of another kind may begin within a run, but no other phone number.
            end = match.end() if length or kind == "phone" else start + 1
        match = pattern.search(text, end)
    return text


def _without_parameters(text: str, masking: Masking, found: list[str]) -> str:
    parts: list[str] = []
    end = 0
    match = _PARAMETER.search(text)
    while match is not None:
        name, sign = match[1], match[2]
        next_start = match.end()
        kind = kind_of_name(name, masking)
        value = (_VALUE if sign == "=" else _ENCODED_VALUE).match(text, match.end())
        if not kind and "token" in masking.kinds and folded(name) in DOUBTFUL_PARAMETERS:
            kind = "token" if value and _RANDOM.match(value[0]) else ""
        elif not kind and "phone" in masking.kinds and is_of_phone(name):
            value = _PHONE_VALUE.match(text, match.end())
            kind = "phone" if value else ""
        if kind and value and value[0].lower() not in _SAYS_NOTHING:
            parts += (text[end : match.end()], MASKS[kind])
            next_start = end = value.end()
            found.append(kind)
        match = _PARAMETER.search(text, next_start)
    return "".join((*parts, text[end:])) if parts else text
