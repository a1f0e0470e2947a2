"""The gRPC face of erasures: translate, call, translate."""

from typing import Any, Final

from journeymesh.ingest.v1 import erasure_pb2 as wire
from journeymesh.ingest.v1.erasure_pb2_grpc import ErasureServiceServicer

from mesh.rpc.timestamps import timestamp
from services.ingest.erasure.domain.erasure import Erasure, Step, receipt_hash
from services.ingest.erasure.usecases import Erasing

_STATES: Final = {
    Step.SUPPRESS: wire.ERASURE_STATE_SUPPRESSED,
    Step.IDENTIFY: wire.ERASURE_STATE_SUPPRESSED,
    Step.DRAIN: wire.ERASURE_STATE_SUPPRESSED,
    Step.COUNT: wire.ERASURE_STATE_SUPPRESSED,
    Step.ERASE: wire.ERASURE_STATE_ERASING,
    Step.REPORT: wire.ERASURE_STATE_ERASING,
    Step.DONE: wire.ERASURE_STATE_ERASED,
}


class ErasureServicer(ErasureServiceServicer):
    """Serves `ErasureService`."""

    def __init__(self, erasing: Erasing) -> None:
        self._erasing = erasing

    async def CreateErasure(self, request: wire.CreateErasureRequest, context: Any) -> wire.CreateErasureResponse:
        """Begins an erasure."""
        return wire.CreateErasureResponse(erasure=_message(await self._erasing.create(request.user_id)))

    async def GetErasure(self, request: wire.GetErasureRequest, context: Any) -> wire.GetErasureResponse:
        """Reads an erasure."""
        return wire.GetErasureResponse(erasure=_message(await self._erasing.read(request.id)))

    async def EndSuppression(self, request: wire.EndSuppressionRequest, context: Any) -> wire.EndSuppressionResponse:
        """Lets the person come back."""
        await self._erasing.end_suppression(request.id)
        return wire.EndSuppressionResponse()


def _message(erasure: Erasure) -> wire.Erasure:
    is_done = erasure.step is Step.DONE
    return wire.Erasure(
        id=erasure.id,
        state=_STATES[erasure.step],
        trouble=erasure.trouble,
        is_suppressing=bool(erasure.pseudonyms),
        requested_at=timestamp(erasure.requested_us),
        erased_at=timestamp(erasure.erased_us) if is_done else None,
        receipt=erasure.receipt if is_done else "",
        receipt_hash=receipt_hash(erasure.receipt) if is_done else "",
        receipt_signature=erasure.signature.signature,
        receipt_public_key=erasure.signature.public_key,
    )
