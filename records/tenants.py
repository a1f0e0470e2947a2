"""Tenants: whose an id is. Every id of a tenant carries the tenant's name, so that those of two are never equal.

An id as a client writes it is *plain*. The mesh works with *qualified* ids, `<U+001F><tenant><U+001F><plain id>`; those
of the default tenant are the plain ids themselves. The gateway qualifies ids on their way in, by the caller's key only,
and whatever leaves the mesh is made plain again. No client's id holds the separator.
"""

import re
from typing import Final

DEFAULT: Final = ""
"""The tenant of whoever says nothing of tenants."""
SEPARATOR: Final = "\x1f"
LONGEST_NAME: Final = 31
NAME: Final = rf"[a-z0-9][a-z0-9-]{{0,{LONGEST_NAME - 1}}}"
"""What a tenant may be called, as a pattern."""

_NAME: Final = re.compile(NAME, re.ASCII)
_QUALIFIED: Final = re.compile(rf"{SEPARATOR}({NAME}){SEPARATOR}(.*)", re.ASCII | re.DOTALL)


def is_name(text: str) -> bool:
    """Whether a tenant may be called this: 1 to 31 small letters, digits and hyphens, the first no hyphen."""
    return _NAME.fullmatch(text) is not None


def qualified(tenant: str, plain_id: str) -> str:
    """The id that a client wrote, with its tenant. An empty one becomes an id that says nothing but the tenant.

    What a client wrote so that it looks qualified belongs to no other tenant, and remains unfit to be an id.
    """
    if tenant:
        return f"{SEPARATOR}{tenant}{SEPARATOR}{plain_id}"
    return SEPARATOR + plain_id if tenant_of(plain_id) != DEFAULT else plain_id


def tenant_of(some_id: str) -> str:
    """The tenant that an id belongs to."""
    return _parts(some_id)[0] if some_id[:1] == SEPARATOR else DEFAULT


def plain(some_id: str) -> str:
    """The id as its client writes it."""
    return _parts(some_id)[1] if some_id[:1] == SEPARATOR else some_id


def beside(other_id: str, plain_id: str) -> str:
    """An id of the tenant that another one belongs to."""
    return qualified(tenant_of(other_id), plain_id) if other_id[:1] == SEPARATOR else plain_id


def _parts(some_id: str) -> tuple[str, str]:
    found = _QUALIFIED.fullmatch(some_id)
    return (found[1], found[2]) if found else (DEFAULT, some_id)
