"""A key's text is shown once and is nowhere else; secrets are in the store and the keyring alone."""

import logging

import pytest
from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.access.v1 import audit_pb2 as audit_wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub, add_AccessServiceServicer_to_server
from journeymesh.access.v1.audit_pb2_grpc import AuditServiceStub, add_AuditServiceServicer_to_server
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.errors import MeshError
from mesh.observability import telemetry
from mesh.store import redis
from services.access.audit.adapters.redis import RedisChain
from services.access.audit.servicer import AuditServicer
from services.access.audit.translation import acts_of, filters_of
from services.access.keys.adapters.redis import RedisKeys
from services.access.keys.servicer import AccessServicer
from tests.access.builders import World, asked
from tests.builders import NOW_US
from tests.serving import serving


async def test_neither_logs_nor_traces_nor_the_store_have_the_text(
    server: redis.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exporter = InMemorySpanExporter()
    traced = telemetry.exporting("access", exporter)
    access = World(RedisKeys(server)).access
    async with serving(
        lambda to: add_AccessServiceServicer_to_server(AccessServicer(access), to), observed_by=traced
    ) as channel:
        stub = AccessServiceStub(channel)
        created = await stub.CreateKey(wire.CreateKeyRequest(kind=wire.KEY_KIND_PUBLIC, name="shop"))
        rotated = await stub.RotateKey(wire.RotateKeyRequest(key_id=created.key.key_id, grace_seconds=60))
        await stub.ListKeys(wire.ListKeysRequest())
        await stub.GetKeyring(wire.GetKeyringRequest())
        for text in (created.text, rotated.text):
            with pytest.raises(MeshError) as refused:
                await stub.RevokeKey(wire.RevokeKeyRequest(key_id=text))
            assert text not in str(refused.value)
        await stub.RevokeKey(wire.RevokeKeyRequest(key_id=rotated.key.key_id))
    traced.provider.force_flush()
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    logs = "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    stored = b"".join([await server.dump(name) or b"" for name in await server.keys()])
    assert created.key.key_id in logs
    assert "RotateKey" in spans
    assert created.key.key_id.encode() in stored
    for issued in (created, rotated):
        secret = issued.text.rpartition("_")[2]
        for kept in (spans, logs, stored.decode("latin-1")):
            assert secret not in kept
            assert secret[:43] not in kept
        assert issued.identity_secret not in spans + logs


async def test_no_value_shows_a_secret() -> None:
    world = World()
    issued = await world.access.create(asked("pk"))
    rotated, replaced = await world.access.rotate(issued.key.key_id, 60)
    snapshot = await world.access.keyring("")
    shown = f"{issued!r} {rotated} {replaced!r} {snapshot!r} {await world.access.listed()!r} {issued.key.credentials}"
    assert issued.key.key_id in shown
    for each in (issued, rotated):
        assert each.text.rpartition("_")[2] not in shown
        assert each.key.credentials.identity_secret not in shown
        assert repr(each.key.credentials.text_hash) not in shown


async def test_neither_logs_nor_traces_nor_the_store_have_the_id_of_an_audited_user(
    server: redis.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exporter = InMemorySpanExporter()
    traced = telemetry.exporting("access", exporter)
    audit = World(chain=RedisChain(server)).audit
    act = audit_wire.Act(act_id=b"a" * 16, time_us=NOW_US, actor="k1", action="GET", subject="anna-lena", is_user=True)
    async with serving(
        lambda to: add_AuditServiceServicer_to_server(AuditServicer(audit), to), observed_by=traced
    ) as channel:
        stub = AuditServiceStub(channel)
        await stub.RecordActs(audit_wire.RecordActsRequest(acts=[act]))
        (entry,) = (await stub.ListEntries(audit_wire.ListEntriesRequest(user_id="anna-lena"))).entries
    traced.provider.force_flush()
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    logs = "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    stored = f"{await server.keys()} {await server.xrange('jm:{audit}:entries')}"
    stored += b"".join([await server.dump(name) or b"" for name in await server.keys()]).decode("latin-1")
    assert "RecordActs" in spans
    assert entry.subject in stored
    assert "anna-lena" not in f"{spans} {logs} {stored} {acts_of(audit_wire.RecordActsRequest(acts=[act]))!r} {entry}"
    assert "anna-lena" not in repr(filters_of(audit_wire.ListEntriesRequest(user_id="anna-lena")))
