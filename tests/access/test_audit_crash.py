"""The access service is killed between the append and its answer; whoever acts repeats the call."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from journeymesh.access.v1 import audit_pb2 as wire
from journeymesh.access.v1.audit_pb2_grpc import AuditServiceStub

from mesh.errors import Unavailable
from mesh.observability import telemetry
from mesh.rpc import channel
from mesh.store import redis
from services.access.audit.adapters.redis import RedisChain
from services.access.audit.usecases import verify
from tests.access.test_audit_servicer import act
from tests.conftest import free_port

if TYPE_CHECKING:
    from journeymesh.access.v1.audit_pb2_grpc import AuditServiceAsyncStub

PATIENCE_SECONDS = 60


@contextlib.asynccontextmanager
async def access(store_url: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, "AuditServiceAsyncStub"]]:
    """The service as a process, and a stub once it answers."""
    address = f"127.0.0.1:{free_port()}"
    environment = {**os.environ, "JOURNEYMESH_REDIS_URL": store_url, "JOURNEYMESH_ACCESS_LISTEN": address}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.access", env=environment)
    try:
        async with channel.dial(address, telemetry.off()) as dialled:
            stub = AuditServiceStub(dialled)
            await stub.ReadChain(wire.ReadChainRequest(), timeout=PATIENCE_SECONDS, wait_for_ready=True)
            yield process, stub
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.processes
async def test_an_act_whose_answer_was_lost_is_appended_once(server: redis.Client, valkey_url: str) -> None:
    chain = RedisChain(server)
    request = wire.RecordActsRequest(acts=[act(number) for number in range(1, 501)])
    async with access(valkey_url) as (process, stub):
        call = asyncio.ensure_future(stub.RecordActs(request))
        while not (await chain.head()).sequence:
            assert not call.done()
        process.kill()
        with contextlib.suppress(Unavailable):
            await call
    async with access(valkey_url) as (_, stub):
        await stub.RecordActs(request)
    progress = await verify(chain.read, {}, lambda *_: None)
    assert (progress.first, progress.last) == (1, 500)
