"""What the roles of people allow."""

import enum
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from mesh.keys import Scope
from records import tenants


class Role(enum.StrEnum):
    """What somebody does with the mesh."""

    VIEWER = "viewer"
    """Looks at figures that are about nobody."""
    ANALYST = "analyst"
    """Also looks at single users, asks language models about them, and saves segments."""
    OPERATOR = "operator"
    """Runs the mesh: failed events, replays, the pipeline, the audit log."""
    PRIVACY = "privacy"
    """Looks at single users, and erases people."""
    ADMIN = "admin"
    """May do all that people may."""


_DEFAULT: Final = "default"
_ROLES: Final = frozenset(map(str, Role))
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


class Grant(NamedTuple):
    """A role in a tenant."""

    tenant: str
    role: Role


Grants = Mapping[str, frozenset[Grant]]
"""What each of the provider's groups grants."""


def grants_of_groups(text: str) -> Grants:
    """What groups grant, from `role=group` and `tenant:role=group` pairs separated by commas.

    Without a tenant, and with `default`, a role is for the default tenant.

    Raises:
        NoRoles: a pair is none, or names no role or no tenant.
    """
    found: dict[str, frozenset[Grant]] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        granted, _, group = (part.strip() for part in pair.partition("="))
        tenant, _, role = granted.rpartition(":")
        is_tenant = tenant == "" or tenants.is_name(tenant)
        if not group or not is_tenant or role not in _ROLES:
            raise NoRoles(pair)
        found[group] = found.get(group, frozenset()) | {Grant(tenant_of_name(tenant), Role(role))}
    return found


def tenant_of_name(name: str) -> str:
    """The tenant that people call by this name."""
    return tenants.DEFAULT if name == _DEFAULT else name


def name_of_tenant(tenant: str) -> str:
    """What people call a tenant."""
    return tenant or _DEFAULT


def scopes_of(roles: Collection[Role]) -> frozenset[Scope]:
    """All that these roles allow."""
    return frozenset().union(*(SCOPES[role] for role in roles))


def roles_in(groups: object, grants: Grants) -> Mapping[str, tuple[Role, ...]]:
    """The roles, sorted, by tenant, of somebody whom the provider puts into these groups, a text or a list of texts."""
    names = groups if isinstance(groups, list) else [groups]
    granted = frozenset[Grant]().union(*(grants.get(name, ()) for name in names if isinstance(name, str)))
    return {
        tenant: tuple(sorted(grant.role for grant in granted if grant.tenant == tenant))
        for tenant in sorted({grant.tenant for grant in granted})
    }
