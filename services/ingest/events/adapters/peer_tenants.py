"""What was set for tenants, as the access service says it."""

from typing import TYPE_CHECKING, Final

from journeymesh.access.v1 import access_pb2

from services.ingest.events.domain.tenants import NONE, Settings, TenantSettings

if TYPE_CHECKING:
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub

_SECONDS: Final = 2.0
_PREFIX: Final = "MASKED_KIND_"


class PeerTenants:
    """Asks for changes only; remembers the rest."""

    def __init__(self, stub: "AccessServiceAsyncStub") -> None:
        self._stub = stub
        self._revision = ""
        self._known = NONE

    async def all(self) -> Settings:
        """See `services.ingest.events.ports.Tenants`."""
        asked = access_pb2.GetTenantSettingsRequest(known_revision=self._revision)
        answer = await self._stub.GetTenantSettings(asked, timeout=_SECONDS)
        if not answer.is_unchanged:
            self._known = {each.tenant: _settings(each) for each in answer.settings}
            self._revision = answer.revision
        return self._known


def _settings(message: access_pb2.TenantSettings) -> TenantSettings:
    kinds = (access_pb2.MaskedKind.Name(each).removeprefix(_PREFIX).lower() for each in message.masking.kinds)
    return TenantSettings(message.retention_days, frozenset(kinds), frozenset(message.masking.names))
