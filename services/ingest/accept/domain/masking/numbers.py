"""Which runs of digits are payment cards, bank accounts or phone numbers. Pure.

Each judge gets a run as it stands in a text, separators included, and returns how many of its characters belong to the
number, from the first on; 0 if it is none. What follows a number may be in the run as well.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

# By issuer: how numbers begin, and how many digits they have.
_CARDS: Final = (
    (re.compile("4"), (13, 16, 19)),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile("3[47]"), (15,)),
    (re.compile("6011|64[4-9]|65|62|60|220[0-4]|35(?:2[89]|[3-8])"), (16, 17, 18, 19)),
    (re.compile("30[0-5]|3095|36|3[89]"), (14, 15, 16, 17, 18, 19)),
    (re.compile("50|5[6-8]|6304|6759|676[1-3]|67"), (13, 14, 15, 16, 17, 18, 19)),
)
_CARD_GROUPS: Final = re.compile(r"(\d+|\d{4}(?: \d{4}){2,3}(?: \d{1,4})?|\d{4} \d{6} \d{4,5})\Z")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

# ISO 13616: how long the account numbers of each country are.
IBAN_LENGTHS: Final = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}

_CALLING_CODE: Final = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-69]\d|35\d|37\d|38\d|42\d|50\d|59\d|67\d|68\d|69\d"
    r"|80\d|85\d|87\d|88\d|96\d|97\d|99\d"
)
_PHONE_DIGITS: Final = range(9, 16)
_NATIONAL_DIGITS: Final = range(9, 13)
# A date, and a postcode of the United States.
_NO_PHONE: Final = re.compile(r"\d\d[./-]\d\d[./-](?:19|20)\d\d(?!\d)|\d{5}-\d{4}\Z")
_DECIMAL: Final = re.compile(r"\+?\d+\.\d+")
_AREA: Final = re.compile(r"\((?:0\d{1,5}|[2-9]\d\d|[1-9]\d)\)")
_DIGITS: Final = re.compile(r"\d+")
_GROUPS_MOST: Final = 20
_ENCODED: Final = re.compile("%[0-9A-Fa-f]{2}")


class _Part(NamedTuple):
    """The beginning of a run, up to the end of one of its groups of digits."""

    text: str
    digits: str
    groups: list[str]


def card_length(run: str) -> int:
    """How much of a run of digits, spaces and hyphens is a payment card."""
    for part in _parts(run):
        signs = {*_blanked(part.text)} - {*part.digits}
        if len(signs) <= 1 and _CARD_GROUPS.match(" ".join(part.groups)) and _is_card(part.digits):
            return len(part.text)
    return 0


def _is_card(digits: str) -> bool:
    is_issued = any(begins.match(digits) and len(digits) in lengths for begins, lengths in _CARDS)
    return is_issued and len({*digits}) > 1 and _luhn(digits) == 0


def _luhn(digits: str) -> int:
    numbers = [*map(int, reversed(digits))]
    return (sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])) % 10


def iban_length(run: str) -> int:
    """How much of a run of letters, digits and single separators is an IBAN; what follows it ends the word."""
    wanted = IBAN_LENGTHS.get(run[:2], 0)
    signs: list[str] = []
    for end, sign in enumerate(_blanked(run), 1):
        if sign.isalnum():
            signs.append(sign)
        if len(signs) == wanted:
            is_whole = not run[end : end + 1].isalnum()
            return end if is_whole and _remainder("".join(signs)) == 1 else 0
    return 0


def _remainder(iban: str) -> int:
    return int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97


def phone_length(run: str) -> int:
    """How much of a run, which `patterns` found, is a phone number."""
    if run[0] in "+%" or run.startswith("00"):
        return _international_length(run)
    return _national_length(run) if run[0] in "0(" else len(run)


def _international_length(run: str) -> int:
    begin = 3 if run[0] == "%" else 1 if run[0] == "+" else 2
    if _DECIMAL.fullmatch(run):
        return 0
    for part in _parts(run[begin:]):
        # The zero in `+44 (0) 20` is not dialled.
        digits = "".join(_DIGITS.findall(_blanked(part.text).replace("(0)", "")))
        is_american = digits.startswith("1")
        is_whole = len(digits) == 11 and digits[1] > "1" if is_american else len(digits) in _PHONE_DIGITS
        if _CALLING_CODE.match(digits) and is_whole and (run[0] != "0" or len(part.groups) > 1):
            return begin + len(part.text)
    return 0


def _national_length(run: str) -> int:
    """Of a run that begins with `0` or `(`: all of it, or all up to where another number begins likewise."""
    for part in _parts(run):
        rest = run[len(part.text) :]
        if (not rest or rest.startswith((" 0", " ("))) and _is_national(part):
            return len(part.text)
    return 0


def _is_national(part: _Part) -> bool:
    text, groups = _blanked(part.text), part.groups
    are_groups = len(groups) > 1 and min(map(len, groups)) > 1
    if len(part.digits) not in _NATIONAL_DIGITS or not are_groups or _NO_PHONE.match(text):
        return False
    if text[0] == "(":
        is_long_enough = len(groups[0]) != 3 or text[1] == "0" or len(part.digits) == 10
        return _AREA.match(text) is not None and is_long_enough
    # One point is that of a decimal number.
    return text.count(".") != 1 and len(groups[0]) <= 6


def is_phone_value(text: str) -> bool:
    """Whether the value of a member that is named after a phone can be a phone number."""
    digits = "".join(_DIGITS.findall(text))
    return 7 <= len(digits) <= 15 and re.fullmatch(r"[\d +()./\u00a0\u2011\u202f-]+", text) is not None


def _parts(run: str) -> Iterator[_Part]:
    """The beginnings of a run that end with a group of digits, the longest first; none has more than 20 groups."""
    found = [*itertools.islice(_DIGITS.finditer(_blanked(run)), _GROUPS_MOST)]
    groups = [each[0] for each in found]
    for count in range(len(found), 0, -1):
        yield _Part(run[: found[count - 1].end()], "".join(groups[:count]), groups[:count])


def _blanked(text: str) -> str:
    """The text with its percent-encoded signs blank, of the same length."""
    return _ENCODED.sub("   ", text) if "%" in text else text
