"""The gRPC face of the audit log: translate, call, translate."""

from journeymesh.access.v1 import audit_pb2 as wire
from journeymesh.access.v1.audit_pb2_grpc import AuditServiceServicer

from mesh.errors import InvalidArgument
from mesh.rpc.context import ServerContext
from services.access.audit import translation
from services.access.audit.domain.entry import HASH_BYTES
from services.access.audit.ports import Signer
from services.access.audit.usecases import Audit


class AuditServicer(AuditServiceServicer):
    """Serves `AuditService`."""

    def __init__(self, audit: Audit, signer: Signer | None = None) -> None:
        self._audit = audit
        self._signer = signer

    async def RecordActs(self, request: wire.RecordActsRequest, _context: ServerContext) -> wire.RecordActsResponse:
        """Appends acts to the chain, and returns once they are stored."""
        await self._audit.record(translation.acts_of(request))
        return wire.RecordActsResponse()

    async def SignReceipt(self, request: wire.SignReceiptRequest, _context: ServerContext) -> wire.SignReceiptResponse:
        """Signs the receipt of an erasure, if there is a key."""
        if len(request.receipt_hash) != HASH_BYTES:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"A hash has {HASH_BYTES} bytes.")
        if self._signer is None:
            return wire.SignReceiptResponse()
        signature, public_key = self._signer.sign_receipt(request.receipt_hash)
        return wire.SignReceiptResponse(signature=signature, public_key=public_key)

    async def ListEntries(self, request: wire.ListEntriesRequest, _context: ServerContext) -> wire.ListEntriesResponse:
        """Lists entries, the newest first."""
        before, most = translation.page_of(request)
        listed, following = await self._audit.listed(translation.filters_of(request), before, most)
        return translation.entries_message(listed, following)

    async def ReadChain(self, request: wire.ReadChainRequest, _context: ServerContext) -> wire.ReadChainResponse:
        """Reads entries as they are stored, the oldest first."""
        after, most = translation.part_of(request)
        return translation.chain_message(await self._audit.read(after, most))
