"""Tenants: who uses the mesh beside others. The default one is always there, and in no list.

Times are Unix microseconds. A deleted tenant stays listed, so that its name is never given to
somebody else, who would find its data.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

from records import tenants as names
from services.access.keys.domain.key import Ending, Key
from services.access.keys.domain.lifecycle import Keys, remembered
from services.access.keys.domain.rate import Rate, checked
from services.access.keys.domain.refusal import Cause, Refusal

MOST: Final = 1_000
"""Tenants that were not deleted."""
NOT_YET: Final = 0
"""When a tenant was deleted that was not."""
_RESERVED: Final = "default"
_LONGEST_REQUEST_ID: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant other than the default one."""

    name: str
    created_us: int
    deleted_us: int = NOT_YET
    rate: Rate | None = None
    """How much it may send and ask for with all its keys; None: what gateways are set to."""
    request_id: str = ""
    """The request that created it, if it may be repeated."""


Tenants = Mapping[str, Tenant]
"""By name."""


def create(tenants: Tenants, name: str, rate: Rate | None, request_id: str, now_us: int) -> dict[str, Tenant]:
    """The tenants with a new one; the same ones if this request has created it.

    Raises:
        Refusal: the name cannot be one or is taken, also by a tenant that was deleted, the rate is out of range, or
            there are too many.
    """
    if not names.is_name(name) or name == _RESERVED:
        may_be = f"has 1 to {names.LONGEST_NAME} small letters, digits and hyphens, and is not `default`"
        raise Refusal(Cause.OUT_OF_RANGE, f"A tenant's name {may_be}.")
    if len(request_id) > _LONGEST_REQUEST_ID:
        raise Refusal(Cause.OUT_OF_RANGE, f"A request id has at most {_LONGEST_REQUEST_ID} characters.")
    if name in tenants and request_id and tenants[name].request_id == request_id:
        return dict(tenants)
    if name in tenants:
        raise Refusal(Cause.TENANT_EXISTS, "There is a tenant of this name, or there was one.")
    if sum(each.deleted_us == NOT_YET for each in tenants.values()) >= MOST:
        raise Refusal(Cause.TOO_MANY_TENANTS, f"There are {MOST:,} tenants: delete those not needed.")
    return {**tenants, name: Tenant(name, now_us, rate=checked(rate), request_id=request_id)}


def limit(tenants: Tenants, name: str, rate: Rate | None) -> dict[str, Tenant]:
    """The tenants with another rate for one of them.

    Raises:
        Refusal: there is none of this name, or it was deleted, or the rate is out of range.
    """
    tenant = tenants.get(name)
    if tenant is None or tenant.deleted_us != NOT_YET:
        raise Refusal(Cause.UNKNOWN_TENANT, "There is no tenant of this name. The default one has no limit.")
    return {**tenants, name: dataclasses.replace(tenant, rate=checked(rate))}


def require(tenants: Tenants, name: str) -> None:
    """Returns if there is a tenant of this name, or if it is the default one.

    Raises:
        Refusal: there is none, or it was deleted.
    """
    if name != names.DEFAULT and (name not in tenants or tenants[name].deleted_us != NOT_YET):
        raise Refusal(Cause.UNKNOWN_TENANT, "There is no tenant of this name.")


def delete(tenants: Tenants, name: str, now_us: int) -> dict[str, Tenant]:
    """The tenants with one deleted now; the same ones if it was deleted before.

    Raises:
        Refusal: there never was one of this name.
    """
    tenant = tenants.get(name)
    if tenant is None:
        raise Refusal(Cause.UNKNOWN_TENANT, "There is no tenant of this name.")
    if tenant.deleted_us != NOT_YET:
        return dict(tenants)
    return {**tenants, name: dataclasses.replace(tenant, deleted_us=now_us)}


def without_its_keys(keys: Keys, name: str, now_us: int) -> dict[str, Key]:
    """The keys, with those of a tenant ended now as far as they have not ended."""
    return {
        key_id: dataclasses.replace(key, ends_us=now_us, ended_as=Ending.TENANT_DELETED)
        if key.tenant == name and not key.has_ended(now_us)
        else key
        for key_id, key in remembered(keys, now_us).items()
    }
