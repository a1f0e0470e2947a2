"""Tenants: who uses the mesh beside others. The default one is always there, and in no list.

Times are Unix microseconds. A deleted tenant stays listed, so that its name is never given to
somebody else, who would find its data.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final, NamedTuple

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
AS_THE_MESH: Final = 0
"""Days of retention of a tenant that has none of its own."""
LONGEST_DAYS: Final = 36_500
MOST_NAMES: Final = 100
_LONGEST_MASKED_NAME: Final = 64


class Masking(NamedTuple):
    """What is masked in events beside what the mesh masks: kinds, and names of members whose values are masked."""

    kinds: tuple[int, ...] = ()
    """Values of `journeymesh.access.v1.MaskedKind`, ascending."""
    names: tuple[str, ...] = ()


NOTHING_MORE: Final = Masking()
"""Masks what the mesh masks."""


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
    retention_days: int = AS_THE_MESH
    masking: Masking = NOTHING_MORE

    @property
    def has_settings(self) -> bool:
        """Whether something was set for it that concerns its events."""
        return self.retention_days != AS_THE_MESH or self.masking != NOTHING_MORE


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


def retain(tenants: Tenants, name: str, days: int) -> dict[str, Tenant]:
    """The tenants with other days of retention for one of them, also one that was deleted: its data is still there.

    Raises:
        Refusal: there never was one of this name, or the days are out of range.
    """
    if not 0 <= days <= LONGEST_DAYS:
        raise Refusal(Cause.OUT_OF_RANGE, f"Retention is 1 to {LONGEST_DAYS:,} days, or 0: as long as the mesh's.")
    return {**tenants, name: dataclasses.replace(_known(tenants, name), retention_days=days)}


def mask(tenants: Tenants, name: str, masking: Masking) -> dict[str, Tenant]:
    """The tenants with other masking for one of them.

    Raises:
        Refusal: there never was one of this name, or there are too many names, or one is empty or too long.
    """
    sorted_names = tuple(sorted({*masking.names}))
    if len(sorted_names) > MOST_NAMES or not all(map(_may_be_masked, sorted_names)):
        may_be = f"At most {MOST_NAMES} names are masked, each of 1 to {_LONGEST_MASKED_NAME} printable characters"
        raise Refusal(Cause.OUT_OF_RANGE, f"{may_be} without a comma, and not `_` and `-` alone.")
    checked_masking = Masking(tuple(sorted({*masking.kinds})), sorted_names)
    return {**tenants, name: dataclasses.replace(_known(tenants, name), masking=checked_masking)}


def _may_be_masked(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_MASKED_NAME and name.isprintable() and "," not in name and bool(name.strip("_- "))


def _known(tenants: Tenants, name: str) -> Tenant:
    if name not in tenants:
        raise Refusal(Cause.UNKNOWN_TENANT, "There is no tenant of this name. The default one has the mesh's settings.")
    return tenants[name]


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
