"""What runs of signs look like that may be a card, an account, a phone number and so on. `numbers` judges them.

Each has a first sign and a rest, because only a search that begins with a sign skips quickly what cannot begin a match;
so the rest says what must not stand before the first sign. Brackets are those of masks, which count as the words they
replaced; so masked text stays as it is.
"""

import re
from typing import Final, NamedTuple

from services.ingest.accept.domain.masking.numbers import IBAN_LENGTHS

# No-break spaces, the hyphen that does not break, and a space as it is encoded in addresses.
_GAP: Final = "(?:[ ./()-]|\u00a0|\u202f|\u2011|%20)"
_CARD_GAP: Final = "(?:[ +-]|\u00a0|\u202f|%20)"
_IBAN_GAP: Final = "(?: |\u00a0|\u202f|%20)?"
_END: Final = r"(?![\w\[]|[.-]\d)"


class Pattern(NamedTuple):
    """A regular expression, in two parts."""

    first: str
    rest: str

    @property
    def whole(self) -> str:
        """The expression."""
        return self.first + self.rest


INTERNATIONAL: Final = (
    # +49 171 1234567, also with an encoded plus
    Pattern(r"\+", rf"(?<![\w+\]]\+)\(?[1-9](?:{_GAP}{{0,3}}[0-9]){{7,64}}+"),
    Pattern("%", rf"2[Bb]\(?[1-9](?:{_GAP}{{0,3}}[0-9]){{7,64}}+"),
)
NATIONAL: Final = (
    # 0171 1234567, 06.12.34.56.78, 0049 171 1234567
    Pattern("0", rf"(?<![\w.,:/+\]-]0)[0-9]{{1,12}}+{_GAP}{{1,3}}[0-9](?:{_GAP}{{0,3}}[0-9]){{3,64}}+"),
    # (030) 1234567, (555) 123-4567
    Pattern(r"\(", rf"(?<![\w.,:/+\]]\()[0-9]{{2,6}}\)(?:{_GAP}{{0,3}}[0-9]){{6,64}}+"),
)
GROUPED: Final = tuple(
    Pattern(first, rf"(?<![\w.,:/+()\]-]{first})(?<![0-9] {first}){rest}{_END}")
    for first, rest in (
        # 555-123-4567, 555.123.4567, 555 123 4567; 1-800-555-0199
        ("[2-9]", r"[0-9]{2}(?:\.[0-9]{3}\.|-[0-9]{3}-| [0-9]{3}[ -])[0-9]{4}"),
        ("1", r"(?:\.[2-9][0-9]{2}\.[0-9]{3}\.|-[2-9][0-9]{2}-[0-9]{3}-| [2-9][0-9]{2}[ -][0-9]{3}[ -])[0-9]{4}"),
        # 8-912-345-67-89, 138 0013 8000, 612 34 56 78
        ("8", "[- ]9[0-9]{2}[- ][0-9]{3}[- ][0-9]{2}[- ][0-9]{2}"),
        ("1", "[3-9][0-9][- ][0-9]{4}[- ][0-9]{4}"),
        ("[679]", "[0-9]{2} [0-9]{2} [0-9]{2} [0-9]{2}(?! [0-9])"),
    )
)
"""Phone numbers that are known by their groups alone."""
CARD: Final = Pattern(
    "[2-6]",
    r"(?<![\w.,+\]-][2-6])(?:[0-9]{12,19}+|[0-9]{3}"
    rf"{_CARD_GAP}[0-9]{{4}}(?:{_CARD_GAP}?[0-9]){{4,12}}+)",
)
SSN: Final = Pattern("[0-8]", r"(?<![\w.,+\]-][0-8])[0-9]{2}-[0-9]{2}-[0-9]{4}(?![\w\[]|-\w|\.\d)")
_COUNTRIES: Final = "|".join(IBAN_LENGTHS)
IBAN: Final = re.compile(rf"(?<![A-Za-z0-9\]])(?:{_COUNTRIES})[0-9]{{2}}(?:{_IBAN_GAP}[A-Z0-9]){{11,30}}+")
IBAN_SEEN: Final = (
    r"(?<=[A-Z][A-Z][0-9])(?<![A-Za-z0-9\]][A-Z][A-Z][0-9])"
    rf"(?<=(?:{_COUNTRIES})[0-9])[0-9](?:{_IBAN_GAP}[A-Z0-9]){{11}}"
)
"""The same from its first digit on, where the search for it is quicker."""
