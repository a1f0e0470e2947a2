"""The gRPC face of the access service: translate, call, translate."""

from collections.abc import Awaitable, Callable

from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceServicer

from mesh.rpc.context import ServerContext
from services.access.keys import translation
from services.access.keys.usecases import Access


class AccessServicer(AccessServiceServicer):
    """Serves `AccessService`."""

    def __init__(self, access: Access, end_sessions_of: Callable[[str], Awaitable[None]] | None = None) -> None:
        """Without `end_sessions_of`, which ends the sessions in a tenant, nobody signs in."""
        self._access = access
        self._end_sessions_of = end_sessions_of

    async def CreateKey(self, request: wire.CreateKeyRequest, _context: ServerContext) -> wire.CreateKeyResponse:
        """Creates a key and returns its text, which is never shown again."""
        issued = await self._access.create(translation.request_of(request))
        return wire.CreateKeyResponse(
            key=translation.new_key_message(issued.key),
            text=issued.text,
            identity_secret=issued.key.credentials.identity_secret,
        )

    async def ListKeys(self, _request: wire.ListKeysRequest, _context: ServerContext) -> wire.ListKeysResponse:
        """Lists all keys, the newest first."""
        return wire.ListKeysResponse(keys=map(translation.key_message, await self._access.listed()))

    async def RotateKey(self, request: wire.RotateKeyRequest, _context: ServerContext) -> wire.RotateKeyResponse:
        """Creates a key with the same rights as an active one, which ends after a grace period."""
        issued, replaced = await self._access.rotate(
            request.key_id, request.grace_seconds, translation.made_of(request)
        )
        return wire.RotateKeyResponse(
            key=translation.new_key_message(issued.key),
            text=issued.text,
            identity_secret=issued.key.credentials.identity_secret,
            replaced=translation.key_message(replaced),
        )

    async def RevokeKey(self, request: wire.RevokeKeyRequest, _context: ServerContext) -> wire.RevokeKeyResponse:
        """Ends a key at once."""
        return wire.RevokeKeyResponse(key=translation.key_message(await self._access.revoke(request.key_id)))

    async def GetKeyring(self, request: wire.GetKeyringRequest, _context: ServerContext) -> wire.GetKeyringResponse:
        """Returns what a gateway needs to check keys, unless the caller has it."""
        keyring = await self._access.keyring(request.known_revision)
        if keyring is None:
            return wire.GetKeyringResponse(revision=request.known_revision, is_unchanged=True)
        return translation.keyring_message(keyring)

    async def RecordKeyUses(
        self, request: wire.RecordKeyUsesRequest, _context: ServerContext
    ) -> wire.RecordKeyUsesResponse:
        """Records when keys were last used."""
        await self._access.record_uses(translation.uses_of(request))
        return wire.RecordKeyUsesResponse()

    async def CreateTenant(
        self, request: wire.CreateTenantRequest, _context: ServerContext
    ) -> wire.CreateTenantResponse:
        """Creates a tenant."""
        return wire.CreateTenantResponse(
            tenant=translation.tenant_message(
                await self._access.create_tenant(request.name, translation.rate_of(request), request.request_id)
            )
        )

    async def LimitTenant(self, request: wire.LimitTenantRequest, _context: ServerContext) -> wire.LimitTenantResponse:
        """Sets how much a tenant may send and ask for."""
        limited = await self._access.limit_tenant(request.name, translation.rate_of(request))
        return wire.LimitTenantResponse(tenant=translation.tenant_message(limited))

    async def SetTenantRetention(
        self, request: wire.SetTenantRetentionRequest, _context: ServerContext
    ) -> wire.SetTenantRetentionResponse:
        """Sets for how many days the archive keeps what a tenant sent."""
        retained = await self._access.retain(request.name, request.days, request.actor)
        return wire.SetTenantRetentionResponse(tenant=translation.tenant_message(retained))

    async def SetTenantMasking(
        self, request: wire.SetTenantMaskingRequest, _context: ServerContext
    ) -> wire.SetTenantMaskingResponse:
        """Sets what is masked in events of a tenant beside what the mesh masks."""
        masked = await self._access.mask(request.name, translation.masking_of(request), request.actor)
        return wire.SetTenantMaskingResponse(tenant=translation.tenant_message(masked))

    async def GetTenantSettings(
        self, request: wire.GetTenantSettingsRequest, _context: ServerContext
    ) -> wire.GetTenantSettingsResponse:
        """Returns what was set for tenants, unless the caller has it."""
        kept = await self._access.tenant_settings(request.known_revision)
        if kept is None:
            return wire.GetTenantSettingsResponse(revision=request.known_revision, is_unchanged=True)
        return translation.settings_message(kept)

    async def ListTenants(self, _request: wire.ListTenantsRequest, _context: ServerContext) -> wire.ListTenantsResponse:
        """Lists all tenants, by name."""
        return wire.ListTenantsResponse(tenants=map(translation.tenant_message, await self._access.tenants()))

    async def DeleteTenant(
        self, request: wire.DeleteTenantRequest, _context: ServerContext
    ) -> wire.DeleteTenantResponse:
        """Ends a tenant's keys, for good, and its people's sessions."""
        deleted, ended = await self._access.delete_tenant(request.name)
        if self._end_sessions_of:
            await self._end_sessions_of(request.name)
        return wire.DeleteTenantResponse(tenant=translation.tenant_message(deleted), ended_key_count=ended)
