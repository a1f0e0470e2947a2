"""Ids that stand for nobody. A client with a fault sends the same one for many people, who would become one user.

docs/text.md shows the list and the rules; a setting extends it. PostHog refuses a like list of its own (posthog.com,
"identify").
"""

import operator
import re
import unicodedata
import urllib.parse
from collections.abc import Collection
from typing import Final

from records import tenants

NOTHING: Final = frozenset({"undefined", "undef", "null", "nil", "none", "nan", "infinity", "inf", "false"})
"""How languages write that there is no value."""
WORDS: Final = NOTHING | {
    "true",
    "guest",
    "anonymous",
    "anon",
    "nobody",
    "unknown",
    "unauthenticated",
    "n a",
    "void 0",
    "id",
    "email",
}
"""What stands for nobody, its words parted by one space."""
PHRASES: Final = frozenset(
    {
        "not logged in",
        "logged out",
        "not authenticated",
        "not identified",
        "not set",
        "not available",
        "not applicable",
        "no user",
        "no id",
        "guest user",
        "anonymous user",
        "anon user",
        "unknown user",
        "user id",
        "your user id",
        "your id",
        "distinct id",
        "anonymous id",
    }
)
"""As `WORDS`; these also stand for nobody with nothing between their words."""
_JOINED: Final = frozenset(phrase.replace(" ", "") for phrase in PHRASES)

# Only zeros, minus signs and the like: `0`, `-1`, `00000000-0000-0000-0000-000000000000`; the highest UUID; objects and
# functions as JavaScript prints them; what a spreadsheet shows in place of a value.
_EMPTY: Final = re.compile(
    r"[\W_0]*|-1|0x0+|\{?f{8}-f{4}-f{4}-f{4}-f{12}\}?|\[object [^\]]*\]|function ?\w* ?\(.*"
    r"|#(?:ref!|value!|name\?|num!|null!|div/0!)",
    re.DOTALL,
)
# A template that nobody filled in: `{{user.id}}`, `${userId}`, `#{id}`, `$(id)`, `[[id]]`, `<%= id %>`, `%USER_ID%`,
# `<customer_id>`, `{customer_id}`, `$user_id`, `:user_id`, `%s`.
_TEMPLATE: Final = re.compile(
    r"\{\{.*\}\}|[$#]\{.*\}|\$\(.*\)|\[\[.*\]\]|<%.*%>|%+[a-z_.]+%+|<[a-z_. -]+>|\{[a-z_. -]+\}|%[a-z]", re.DOTALL
)
_OPTIONAL: Final = re.compile(r"(?:optional\(|some\()+([^()]*)\)+")
_WORD: Final = re.compile(r"[^\W_]+")
_ZEROS: Final = re.compile("0+")
_QUOTES: Final = " \"'`\\\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_UNSEEN: Final = frozenset({"Cf", "Cc"})
# As databases write that there is no value into a file, and the character of nothing written out.
_WRITTEN_OUT: Final = re.compile(r"\\n|(?:\\+(?:u0{4}|x00|0))+", re.IGNORECASE)


# Ids that stand for nobody have no such digit or begin in a way of their own; those of the mesh's own begin with `j`.
_ORDINARY_DIGIT: Final = re.compile("[1-9]")
_SPECIAL: Final = frozenset(" \t\"'`-{$<%[(j")
_FIRST: Final = operator.itemgetter(0)


def is_ordinary(identifier: str, most: int) -> bool:
    """Whether an id of at most `most` characters is fine at a glance: most are, and the glance is cheap."""
    return (
        identifier.isascii()
        and identifier.isprintable()
        and len(identifier) <= most
        and identifier[:1] not in _SPECIAL
        and "%" not in identifier
        and _ORDINARY_DIGIT.search(identifier) is not None
    )


def are_ordinary(identifiers: Collection[str], most: int) -> bool:
    """Whether all of some ids are fine at a glance; there is one at least."""
    joined = "".join(identifiers)
    lengths = [*map(len, identifiers)]
    return (
        joined.isascii()
        and joined.isprintable()
        and "%" not in joined
        and min(lengths) > 0
        and max(lengths) <= most
        and _SPECIAL.isdisjoint(map(_FIRST, identifiers))
        and all(map(_ORDINARY_DIGIT.search, identifiers))
    )


def plain(identifier: str) -> str:
    """An id as it is compared with those that stand for nobody, in time proportional to its length; may be empty.

    Invisible characters are left out, white space becomes one space, quotation marks around it go, wide letters and the
    digits of all scripts become those of ASCII, case is folded.
    """
    text = identifier
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_simple, text))
    return " ".join(text.split()).strip(_QUOTES).casefold()


def _simple(letter: str) -> str:
    if letter.isspace():
        return " "
    if unicodedata.category(letter) in _UNSEEN:
        return ""
    digit = unicodedata.decimal(letter, -1)
    return f"{digit}" if digit >= 0 else unicodedata.normalize("NFKC", letter)


def is_placeholder(identifier: str, more: Collection[str] = frozenset()) -> bool:
    """Whether an id stands for nobody, by the list, by `more` (each `plain`), or by its form.

    An id that is percent-encoded is also looked at as it was before. The name of its tenant does not count.
    """
    identifier = tenants.plain(identifier)
    if "%" in identifier and _is_nobody(plain(urllib.parse.unquote(identifier)), more):
        return True
    if "\\" in identifier and _WRITTEN_OUT.fullmatch(identifier.strip(" \"'")):
        return True
    return _is_nobody(plain(identifier), more)


def _is_nobody(text: str, more: Collection[str]) -> bool:
    if text in more or _EMPTY.fullmatch(text) or _TEMPLATE.fullmatch(text):
        return True
    optional = _OPTIONAL.fullmatch(text)
    if optional:
        text = optional[1]
    words = _WORD.findall(text)
    phrase = " ".join(words)
    return (
        phrase in WORDS
        or phrase in PHRASES
        or phrase in _JOINED
        or all(word in NOTHING or _ZEROS.fullmatch(word) for word in words)
        or (words[0] in WORDS and len(set(words)) == 1)
    )
