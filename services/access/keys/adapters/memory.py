"""Keys in memory: for tests."""

from collections.abc import Collection, Mapping, Sequence

from services.access.keys.domain.key import Key
from services.access.keys.domain.tenant import Tenant
from services.access.keys.ports import NO_REVISION, Snapshot


class MemoryKeys:
    """Keeps keys in dictionaries. No step is interrupted, so each is atomic."""

    def __init__(self) -> None:
        self._revision = NO_REVISION
        self._keys: dict[str, Key] = {}
        self._uses: dict[str, int] = {}
        self._tenants: dict[str, Tenant] = {}

    async def revision(self) -> str:
        """See `services.access.keys.ports.KeyStore`."""
        return self._revision

    async def read(self) -> Snapshot:
        """See `services.access.keys.ports.KeyStore`."""
        return Snapshot(self._revision, dict(self._keys), dict(self._tenants))

    async def change(
        self, put: Sequence[Key], dropped: Collection[str], before: str, after: str, tenants: Sequence[Tenant] = ()
    ) -> bool:
        """See `services.access.keys.ports.KeyStore`."""
        if self._revision == after:
            return True
        if self._revision != before:
            return False
        self._revision = after
        for key_id in dropped:
            self._keys.pop(key_id, None)
            self._uses.pop(key_id, None)
        self._keys |= {key.key_id: key for key in put}
        self._tenants |= {tenant.name: tenant for tenant in tenants}
        return True

    async def record_uses(self, uses: Mapping[str, int]) -> None:
        """See `services.access.keys.ports.KeyStore`."""
        for key_id, used_us in uses.items():
            if key_id in self._keys:
                self._uses[key_id] = max(used_us, self._uses.get(key_id, 0))

    async def last_used(self) -> Mapping[str, int]:
        """See `services.access.keys.ports.KeyStore`."""
        return dict(self._uses)

    async def ping(self) -> None:
        """See `services.access.keys.ports.KeyStore`."""
