"""The services that keep something of people, and the audit log, over gRPC."""

import hashlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from journeymesh.access.v1 import audit_pb2
from journeymesh.access.v1.audit_pb2_grpc import AuditServiceStub
from journeymesh.customers.v1 import customers_pb2
from journeymesh.customers.v1.customers_pb2_grpc import CustomersServiceStub
from journeymesh.experiments.v1 import experiments_pb2
from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceStub
from journeymesh.features.v1 import features_pb2
from journeymesh.features.v1.features_pb2_grpc import FeaturesServiceStub
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceStub
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceStub
from journeymesh.video.v1 import video_pb2
from journeymesh.video.v1.video_pb2_grpc import VideoServiceStub

from mesh.observability.telemetry import Telemetry
from mesh.rpc import channel
from mesh.rpc.tls import Tls
from mesh.state.exporting import Record
from services.ingest.erasure.domain.erasure import Signature

# Intervention reads its whole ledger.
_STEP_SECONDS: Final = 600.0
_ACTOR: Final = "erasure"
_ACT_ID_BYTES: Final = 16


class PeerService:
    """One service, by its stub and messages."""

    def __init__(self, stub: Any, messages: ModuleType) -> None:  # noqa: ANN401 - stubs with one method in common
        self._stub = stub
        self._messages = messages

    async def count(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        """See `services.ingest.erasure.ports.Service`."""
        return await self._ask(user_ids, counts_only=True)

    async def erase(self, user_ids: Sequence[str], pseudonym: str) -> None:
        """See `services.ingest.erasure.ports.Service`."""
        await self._ask(user_ids, pseudonym=pseudonym)

    async def export(self, user_ids: Sequence[str]) -> Sequence[Record]:
        """See `services.ingest.export.ports.Source`."""
        answer = await self._stub.ExportUser(self._messages.ExportUserRequest(user_ids=user_ids), timeout=_STEP_SECONDS)
        return [Record(each.store, each.json) for each in answer.records]

    async def _ask(self, user_ids: Sequence[str], **said: str | bool) -> Mapping[str, int]:
        request = self._messages.EraseUserRequest(user_ids=user_ids, **said)
        answer = await self._stub.EraseUser(request, timeout=_STEP_SECONDS)
        return {each.store: each.count for each in answer.stores}


class PeerAuditLog:
    """The audit log of the access service."""

    def __init__(self, target: str, traced: Telemetry, tls: Tls | None = None) -> None:
        self._stub: Any = AuditServiceStub(channel.dial(target, traced, tls))

    async def record(self, act: str, erasure_id: str, subject: str, time_us: int, *, is_user: bool) -> None:
        """See `services.ingest.erasure.ports.AuditLog`."""
        named = hashlib.blake2b(f"{act} {erasure_id}".encode(), digest_size=_ACT_ID_BYTES).digest()
        said = audit_pb2.Act(act_id=named, time_us=time_us, actor=_ACTOR, action=act, subject=subject, is_user=is_user)
        await self._stub.RecordActs(audit_pb2.RecordActsRequest(acts=[said]))

    async def sign(self, receipt_hash: str) -> Signature:
        """See `services.ingest.erasure.ports.Signer`."""
        asked = audit_pb2.SignReceiptRequest(receipt_hash=bytes.fromhex(receipt_hash))
        signed = await self._stub.SignReceipt(asked)
        return Signature(signed.signature.hex(), signed.public_key.hex())


def services(targets: Sequence[str], traced: Telemetry, tls: Tls | None = None) -> list[PeerService]:
    """The services at these targets: of video, features, scoring, intervention, customers, experiments.

    Intervention comes last: what it keeps is about what the others keep.
    """
    dialled = (channel.dial(target, traced, tls) for target in targets)
    video, features, scoring, intervention, customers, experiments = dialled
    return [
        PeerService(VideoServiceStub(video), video_pb2),
        PeerService(FeaturesServiceStub(features), features_pb2),
        PeerService(ScoringServiceStub(scoring), scoring_pb2),
        PeerService(CustomersServiceStub(customers), customers_pb2),
        PeerService(ExperimentsServiceStub(experiments), experiments_pb2),
        PeerService(InterventionServiceStub(intervention), intervention_pb2),
    ]
