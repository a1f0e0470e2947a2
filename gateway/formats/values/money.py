"""Amounts of money as people write them: numbers, or texts with currencies and separators of either convention.

docs/clients.md states the rules. Ambiguous amounts are refused: an amount is never guessed.
"""

import re
import unicodedata
from typing import Final, NamedTuple

from mesh.errors import InvalidArgument

AMOUNT_MOST: Final = 1e12

_LENGTH: Final = 64

# Signs of one currency. Several countries share `$`, `¥` and `kr`, which therefore identify none.
_CODES: Final = {
    "€": "EUR",
    "£": "GBP",
    "₹": "INR",
    "₽": "RUB",
    "₺": "TRY",
    "₩": "KRW",
    "₪": "ILS",
    "₫": "VND",
    "₴": "UAH",
    "₦": "NGN",
    "₱": "PHP",
    "₸": "KZT",
    "₡": "CRC",
    "฿": "THB",
    "ZŁ": "PLN",
    "KČ": "CZK",
    "FT": "HUF",
    "LEI": "RON",
    "US$": "USD",
    "A$": "AUD",
    "AU$": "AUD",
    "C$": "CAD",
    "CA$": "CAD",
    "HK$": "HKD",
    "NZ$": "NZD",
    "NT$": "TWD",
    "S$": "SGD",
    "R$": "BRL",
    "MX$": "MXN",
    "元": "CNY",
    "円": "JPY",
    "원": "KRW",
    "$": "",
    "¥": "",
    "¤": "",
    "KR": "",
    "KR.": "",
    "RS": "",
    "RS.": "",
}
_CODE: Final = re.compile(r"[A-Z]{3}")
# ISO 4217. Any other word of three letters beside an amount may mean anything: `25 pcs`.
_ISO: Final = (
    " AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD "
    "HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD "
    "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN "
    "PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY "
    "TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG "
)

# Every kind of minus and apostrophe, and the separators of other scripts, as one that is read here. The Arabic ones are
# unambiguous and become point and apostrophe.
_ALIKE: Final = str.maketrans(
    dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "-")
    | dict.fromkeys("\u2018\u2019\u02bc\u00b4`\u066c\uff07", "'")
    | {"\u066b": ".", "\uff0e": ".", "\uff0c": ",", "\uff0b": "+", "\uff04": "$", "\uffe5": "¥", "\uffe1": "£"}
)
_NAME: Final = r"[^\d\s()+\-.,'][^\d\s()+\-,']*"
_WHOLE: Final = re.compile(
    rf"(?P<bracket>\()? ?(?P<sign>[-+])? ?(?P<before>{_NAME}?)? ?(?P<sign_behind>[-+])? ?"
    r"(?P<number>\.?\d(?:[\d.,' ]*\d)?)(?:[.,](?:--?)?)? ?(?P<sign_after>-)? ?"
    rf"(?P<after>{_NAME})? ?(?(bracket)\))"
)
_SCIENTIFIC: Final = re.compile(r"[-+]?\d+(?:\.\d+)?[eE][-+]?\d{1,3}")
# Groups of three, or in India of two before the last three; then the other separator and decimals.
_GROUPED: Final = tuple(
    (re.compile(rf"[1-9]\d{{0,2}}(?:{escaped}\d{{2,3}})*{escaped}\d{{3}}(?:[{decimal}]\d+)?"), group)
    for group, escaped, decimal in ((",", ",", "."), (".", r"\.", ","), (" ", " ", ".,"), ("'", "'", ".,"))
)
_PLAIN: Final = re.compile(r"\d*[.,]?\d+")
_LONE_POINT: Final = re.compile(r"\d+\.\d{3}")
# Currencies with three decimals.
_MILLESIMAL: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})

NAMED_NO_NUMBER: Final = re.compile(
    rb'"(?:revenue|total|value|amount|price)"\s*+:\s*+(?:NaN|-?Infinity)', re.IGNORECASE
)
"""A purchase's amount that is NaN or infinite."""


class Amount(NamedTuple):
    """An amount, and the currency code in its own text; empty if there is none or it is ambiguous."""

    value: float
    currency: str = ""


def amount(written: object) -> Amount:
    """The amount in a number or a text.

    Raises:
        InvalidArgument: `UNREADABLE_AMOUNT`, it is ambiguous, infinite or too large.
    """
    found = _in_text(written) if isinstance(written, str) else _in_number(written)
    if found is None or not abs(found.value) <= AMOUNT_MOST:
        raise InvalidArgument("UNREADABLE_AMOUNT", "The amount cannot be read as a number, or is too large.")
    return found


def currency(written: str) -> str:
    """The currency code that a text is, or that its sign stands for; empty if neither."""
    word = written.strip().upper()
    return _CODES.get(word, word if _CODE.fullmatch(word) else "")


def _in_number(written: object) -> Amount | None:
    if isinstance(written, bool) or not isinstance(written, (int, float)):
        return None
    try:
        return Amount(float(written))
    except OverflowError:
        return None


def _in_text(written: str) -> Amount | None:
    if len(written) > _LENGTH:
        return None
    text = " ".join("".join(map(_alike, written.translate(_ALIKE))).split())
    if _SCIENTIFIC.fullmatch(text):
        return Amount(float(text))
    match = _WHOLE.fullmatch(text)
    if match is None:
        return None
    names = [name for name in (match["before"], match["after"]) if name]
    code = currency(names[0]) if names else ""
    value = _value(match["number"], is_of_money=bool(names) and code not in _MILLESIMAL)
    signs = [sign for sign in (match["sign"], match["sign_behind"], match["sign_after"], match["bracket"]) if sign]
    if value is None or len(names) > 1 or len(signs) > 1 or not all(map(_is_currency, names)):
        return None
    is_negative = bool(signs) and signs[0] != "+"
    return Amount(-value if is_negative else value, code)


def _alike(letter: str) -> str:
    """A digit of any script as ASCII, any space as a space, invisible marks as nothing."""
    category = unicodedata.category(letter)
    if category == "Nd":
        return str(unicodedata.decimal(letter))
    if category == "Cf":
        return ""
    return " " if category == "Zs" else letter


def _is_currency(name: str) -> bool:
    word = name.upper()
    return word in _CODES or (_CODE.fullmatch(word) is not None and f" {word} " in _ISO)


def _value(written: str, *, is_of_money: bool) -> float | None:
    """The value of digits and separators; None if their order is unusual.

    A lone point before three digits is a decimal point, `1.234`; but next to a currency without three decimals it
    separates groups: `€1.234`.
    """
    if is_of_money or not _LONE_POINT.fullmatch(written):
        for pattern, group in _GROUPED:
            if pattern.fullmatch(written):
                return float(written.replace(group, "").replace(",", "."))
    return float(written.replace(",", ".")) if _PLAIN.fullmatch(written) else None
