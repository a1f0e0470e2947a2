"""Budgets that tenants set, in Redis, and in memory for tests: a member for each tenant."""

from typing import Final, cast

import msgspec

from mesh.errors import VersionMismatch
from mesh.store import redis
from mesh.stored import reading
from services.analytics.domain.costs import OwnBudget

_KEY: Final = "jm:{analytics}:budgets"
_VERSION: Final = 1


class _Packed(msgspec.Struct, array_like=True):
    """A budget as it is stored; grows at its end."""

    version: int
    daily_usd: float
    set_by: str
    set_us: int


class _Version(msgspec.Struct, array_like=True):
    version: int


class RedisBudgets:
    """Keeps budgets in Redis."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def read(self, tenant: str) -> OwnBudget | None:
        """See `ports.BudgetStore`."""
        with redis.translating_errors():
            blob = cast("bytes | None", await self._client.hget(_KEY, tenant))
        if blob is None:
            return None
        with reading("The budget"):
            if msgspec.msgpack.decode(blob, type=_Version).version > _VERSION:
                raise VersionMismatch("A budget was stored by a newer version of the service.")
            return OwnBudget(*msgspec.structs.astuple(msgspec.msgpack.decode(blob, type=_Packed))[1:])

    async def replace(self, tenant: str, budget: OwnBudget | None) -> None:
        """See `ports.BudgetStore`."""
        with redis.translating_errors():
            if budget is None:
                await self._client.hdel(_KEY, tenant)
            else:
                await self._client.hset(_KEY, tenant, msgspec.msgpack.encode(_Packed(_VERSION, *budget)))


class MemoryBudgets:
    """Keeps budgets in a dictionary."""

    def __init__(self) -> None:
        self._kept: dict[str, OwnBudget | None] = {}

    async def read(self, tenant: str) -> OwnBudget | None:
        """See `ports.BudgetStore`."""
        return self._kept.get(tenant)

    async def replace(self, tenant: str, budget: OwnBudget | None) -> None:
        """See `ports.BudgetStore`."""
        self._kept[tenant] = budget
