"""The audit log of the access service, and how much of the policies it has."""

import hashlib
from typing import Any, Final, cast

import grpc
from journeymesh.access.v1 import audit_pb2
from journeymesh.access.v1.audit_pb2_grpc import AuditServiceStub

from mesh.store import redis

_ACTOR: Final = "intervention"
_ACTION: Final = "policy.changed"
_ACT_ID_BYTES: Final = 16


class PeerAuditLog:
    """The audit log of the access service."""

    def __init__(self, dialled: grpc.aio.Channel) -> None:
        self._stub: Any = AuditServiceStub(dialled)

    async def record(self, number: int, version: str, start_us: int) -> None:
        """See `services.intervention.policy.ports.AuditLog`."""
        act_id = hashlib.blake2b(f"{_ACTION} {number} {version}".encode(), digest_size=_ACT_ID_BYTES).digest()
        act = audit_pb2.Act(act_id=act_id, time_us=start_us, actor=_ACTOR, action=_ACTION, subject=version)
        await self._stub.RecordActs(audit_pb2.RecordActsRequest(acts=[act]))


class MemoryMark:
    """Keeps the number in memory: for tests."""

    def __init__(self) -> None:
        self._count = 0

    async def read(self) -> int:
        """See `services.intervention.policy.ports.Mark`."""
        return self._count

    async def write(self, count: int) -> None:
        """See `services.intervention.policy.ports.Mark`."""
        self._count = count


class RedisMark:
    """Keeps the number in Redis."""

    def __init__(self, client: redis.Client, key: str) -> None:
        self._client = client
        self._key = key

    async def read(self) -> int:
        """See `services.intervention.policy.ports.Mark`."""
        with redis.translating_errors():
            return int(cast("bytes | None", await self._client.get(self._key)) or 0)

    async def write(self, count: int) -> None:
        """See `services.intervention.policy.ports.Mark`."""
        with redis.translating_errors():
            await self._client.set(self._key, count)
