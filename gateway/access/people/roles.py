"""What the roles of people allow."""

import enum
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from mesh.keys import Scope


class Role(enum.StrEnum):
    """What somebody does with the mesh."""

    VIEWER = "viewer"
    """Looks at figures that are about nobody."""
    ANALYST = "analyst"
    """Also looks at single users, and asks language models about them."""
    OPERATOR = "operator"
    """Runs the mesh: failed events, replays, the pipeline, the audit log."""
    PRIVACY = "privacy"
    """Looks at single users, and erases people."""
    ADMIN = "admin"
    """May do all that people may."""


_VIEWER: Final = frozenset({Scope.READ_FIGURES})
_ANALYST: Final = _VIEWER | {Scope.READ_PEOPLE, Scope.ANALYSE}
_OPERATOR: Final = _VIEWER | {Scope.OPERATE}
_PRIVACY: Final = _VIEWER | {Scope.READ_PEOPLE, Scope.PRIVACY}

SCOPES: Final[Mapping[Role, frozenset[Scope]]] = MappingProxyType(
    {
        Role.VIEWER: _VIEWER,
        Role.ANALYST: _ANALYST,
        Role.OPERATOR: _OPERATOR,
        Role.PRIVACY: _PRIVACY,
        Role.ADMIN: _ANALYST | _OPERATOR | _PRIVACY,
    }
)
"""What each role allows. Nobody sends events or answers help as a person: that is for keys."""


class NoRoles(ValueError):
    """The text names no roles; its message says what is wrong."""


def roles_of_groups(text: str) -> Mapping[str, Role]:
    """The role of each of the provider's groups, from `role=group` pairs separated by commas.

    Raises:
        NoRoles: a pair is none, or names no role.
    """
    found: dict[str, Role] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        role, _, group = pair.partition("=")
        try:
            found[group.strip()] = Role(role.strip())
        except ValueError:
            raise NoRoles(pair) from None
    if "" in found:
        raise NoRoles(text)
    return found


def scopes_of(roles: Collection[Role]) -> frozenset[Scope]:
    """All that these roles allow."""
    return frozenset().union(*(SCOPES[role] for role in roles))


def roles_in(groups: object, role_of: Mapping[str, Role]) -> tuple[Role, ...]:
    """The roles of somebody whom the provider puts into these groups, a text or a list of texts; sorted."""
    names = groups if isinstance(groups, list) else [groups]
    return tuple(sorted({role_of[name] for name in names if isinstance(name, str) and name in role_of}))
