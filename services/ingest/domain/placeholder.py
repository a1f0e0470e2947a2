"""Ids that stand for nobody. A client with a fault sends the same one for many people, who would become one user.

docs/text.md shows the list; a setting extends it. PostHog refuses a like list of its own (posthog.com, "identify").
"""

import re
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
        "(null)",
        "<null>",
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
        "(not set)",
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
_LONGEST: Final = 64


def is_placeholder(identifier: str, more: Collection[str] = frozenset()) -> bool:
    """Whether an id stands for nobody, by the list, by `more` (in lower case), or by its form."""
    if len(identifier) > _LONGEST:
        return False
    told = identifier.strip().strip("\"'`").strip().lower()
    return told in PLACEHOLDERS or told in more or _EMPTY.fullmatch(told) is not None
