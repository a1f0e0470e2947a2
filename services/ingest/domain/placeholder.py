"""Ids that stand for nobody. A client with a fault sends the same one for many people, who would become one user.

docs/text.md shows the list; a setting extends it. PostHog refuses a like list of its own (posthog.com, "identify").
"""

import re
import unicodedata
import urllib.parse
from collections.abc import Collection
from typing import Final

PLACEHOLDERS: Final = frozenset(
    {
        "",
        "undefined",
        "null",
        "nil",
        "none",
        "nan",
        "[object object]",
        "[object undefined]",
        "true",
        "false",
        "guest",
        "anonymous",
        "anon",
        "unknown",
        "not_authenticated",
        "not authenticated",
        "unauthenticated",
        "not set",
        "n/a",
        "id",
        "userid",
        "user_id",
        "user id",
        "distinctid",
        "distinct_id",
        "anonymousid",
        "anonymous_id",
        "email",
    }
)

# Only zeros, minus signs and the like: `0`, `-1`, `00000000-0000-0000-0000-000000000000`; the highest UUID; a template
# that nobody filled in: `{{user.id}}`, `${userId}`, `<%= id %>`, `%USER_ID%`.
_EMPTY: Final = re.compile(
    r"[\W_0]*|-1|\{?f{8}-f{4}-f{4}-f{4}-f{12}\}?|\{\{.*\}\}|\$\{.*\}|<%.*%>|%[a-z_]+%", re.DOTALL
)
_QUOTES: Final = " \"'`\\\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_BRACKETS: Final = "()<>[]{}"
_UNSEEN: Final = frozenset({"Cf", "Cc"})


def plain(identifier: str) -> str:
    """An id as it is compared with those that stand for nobody, in time proportional to its length; may be empty.

    Invisible characters are left out, white space becomes one space, quotation marks around it go, case is folded.
    """
    told = identifier
    if not (told.isascii() and told.isprintable()):
        told = "".join(each for each in told if each.isspace() or unicodedata.category(each) not in _UNSEEN)
    return " ".join(told.split()).strip(_QUOTES).casefold()


def is_placeholder(identifier: str, more: Collection[str] = frozenset()) -> bool:
    """Whether an id stands for nobody, by the list, by `more` (each `plain`), or by its form.

    An id that is percent-encoded is also looked at as it was before.
    """
    if "%" in identifier and _is_listed(plain(urllib.parse.unquote(identifier)), more):
        return True
    return _is_listed(plain(identifier), more)


def _is_listed(told: str, more: Collection[str]) -> bool:
    return (
        told in PLACEHOLDERS
        or told in more
        or told.strip(_BRACKETS) in PLACEHOLDERS
        or _EMPTY.fullmatch(told) is not None
    )
