"""The gRPC face of exports: translate, call, translate."""

from collections.abc import AsyncIterator
from typing import Any, Final

from journeymesh.ingest.v1 import export_pb2 as wire
from journeymesh.ingest.v1.export_pb2_grpc import ExportServiceServicer

from mesh.rpc.timestamps import timestamp
from services.ingest.export.domain.export import Export, Step
from services.ingest.export.usecases import Exporting

_PIECE_BYTES: Final = 1024 * 1024
_STATES: Final = {
    Step.COLLECT: wire.EXPORT_STATE_COLLECTING,
    Step.ARCHIVE: wire.EXPORT_STATE_COLLECTING,
    Step.READY: wire.EXPORT_STATE_READY,
    Step.FAILED: wire.EXPORT_STATE_FAILED,
}


class ExportServicer(ExportServiceServicer):
    """Serves `ExportService`."""

    def __init__(self, exporting: Exporting) -> None:
        self._exporting = exporting

    async def CreateExport(self, request: wire.CreateExportRequest, context: Any) -> wire.CreateExportResponse:
        """Begins an export."""
        return wire.CreateExportResponse(export=_message(await self._exporting.create(request.user_id)))

    async def GetExport(self, request: wire.GetExportRequest, context: Any) -> wire.GetExportResponse:
        """Reads how far an export is."""
        return wire.GetExportResponse(export=_message(await self._exporting.read(request.id)))

    async def ReadExport(self, request: wire.ReadExportRequest, context: Any) -> AsyncIterator[wire.ReadExportResponse]:
        """Reads the data, in pieces."""
        data = await self._exporting.data(request.id, as_csv=request.format == wire.EXPORT_FORMAT_CSV)
        for start in range(0, len(data), _PIECE_BYTES):
            yield wire.ReadExportResponse(piece=data[start : start + _PIECE_BYTES])


def _message(export: Export) -> wire.Export:
    is_ready = export.step is Step.READY
    return wire.Export(
        id=export.id,
        state=_STATES[export.step],
        trouble=export.trouble,
        requested_at=timestamp(export.requested_us),
        ready_at=timestamp(export.ready_us) if is_ready else None,
        expires_at=timestamp(export.expires_us),
        record_count=export.record_count if is_ready else 0,
    )
