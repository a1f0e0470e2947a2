"""The audit log behind a real server, with real interceptors and a real stub."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from journeymesh.access.v1 import audit_pb2 as wire
from journeymesh.access.v1.audit_pb2_grpc import AuditServiceStub, add_AuditServiceServicer_to_server

from mesh.errors import InvalidArgument, Unavailable
from mesh.store import redis
from services.access.audit.adapters import heads
from services.access.audit.adapters.memory import MemoryChain
from services.access.audit.adapters.redis import RedisChain
from services.access.audit.servicer import AuditServicer
from services.access.audit.usecases import Audit
from tests.builders import NOW_US
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.audit_pb2_grpc import AuditServiceAsyncStub

DEAD = "redis://127.0.0.1:1/0"


@pytest.fixture
async def stub(server: redis.Client) -> AsyncIterator["AuditServiceAsyncStub"]:
    chance = random.Random(1)  # noqa: S311 - secrets of tests
    audit = Audit(RedisChain(server), lambda: NOW_US, chance.randbytes)
    async with serving(lambda to: add_AuditServiceServicer_to_server(AuditServicer(audit), to)) as channel:
        yield AuditServiceStub(channel)


def act(number: int = 1, **members: Any) -> wire.Act:
    """A valid act, but for the given members."""
    usual = {"act_id": number.to_bytes(16, "big"), "time_us": NOW_US - 10, "actor": "k1", "action": "GET /api/users"}
    return wire.Act(**{**usual, **members})


async def test_acts_are_listed_the_newest_first_and_a_repeated_call_appends_nothing(
    stub: "AuditServiceAsyncStub",
) -> None:
    both = wire.RecordActsRequest(acts=[act(1, subject="k2"), act(2, subject="anna", is_user=True, trace_id=b"t" * 16)])
    await stub.RecordActs(both)
    await stub.RecordActs(both)
    await stub.RecordActs(wire.RecordActsRequest(acts=[act(2), act(3, actor="command"), act(3)]))
    listed = (await stub.ListEntries(wire.ListEntriesRequest())).entries
    assert [(each.sequence, each.actor) for each in listed] == [(3, "command"), (2, "k1"), (1, "k1")]
    assert [each.trace_id for each in listed] == ["", (b"t" * 16).hex(), ""]
    assert (listed[2].subject, listed[1].subject[:5], len(listed[1].subject)) == ("k2", "user:", 37)
    assert all(len(each.hash) == 64 for each in listed)
    assert listed[0].time.ToMicroseconds() == NOW_US - 10


async def test_lists_are_filtered_and_paged(stub: "AuditServiceAsyncStub") -> None:
    acts = [act(number, actor=f"k{number % 2}", subject=f"user {number % 3}", is_user=True) for number in range(1, 13)]
    await stub.RecordActs(wire.RecordActsRequest(acts=acts))
    found, token = [], ""
    while True:
        page = await stub.ListEntries(
            wire.ListEntriesRequest(page_size=1, page_token=token, actor="k1", user_id="user 0")
        )
        found += [each.sequence for each in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert found == [9, 3]
    assert not (await stub.ListEntries(wire.ListEntriesRequest(user_id="nobody"))).entries


@pytest.mark.parametrize("token", ["x", "-1", "0", "1" * 16, "²"])
async def test_what_is_no_page_token_is_refused(stub: "AuditServiceAsyncStub", token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await stub.ListEntries(wire.ListEntriesRequest(page_token=token))
    assert refused.value.reason == "INVALID_PARAMETER"


@pytest.mark.parametrize(
    ("acts", "reason"),
    [
        ([], "MISSING_FIELD"),
        ([act(act_id=b"")], "MISSING_FIELD"),
        ([act(actor="")], "MISSING_FIELD"),
        ([act(action="")], "MISSING_FIELD"),
        ([act(is_user=True)], "MISSING_FIELD"),
        ([act()] * 501, "VALUE_OUT_OF_RANGE"),
        ([act(), act(act_id=b"short")], "VALUE_OUT_OF_RANGE"),
        ([act(trace_id=b"short")], "VALUE_OUT_OF_RANGE"),
        ([act(actor="k" * 101)], "VALUE_OUT_OF_RANGE"),
        ([act(action="a" * 101)], "VALUE_OUT_OF_RANGE"),
        ([act(subject="a" * 257)], "VALUE_OUT_OF_RANGE"),
        ([act(subject="user:0")], "VALUE_OUT_OF_RANGE"),
        ([act(time_us=-1)], "VALUE_OUT_OF_RANGE"),
    ],
)
async def test_invalid_acts_are_refused_and_none_is_appended(
    stub: "AuditServiceAsyncStub", acts: list[wire.Act], reason: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await stub.RecordActs(wire.RecordActsRequest(acts=acts))
    assert refused.value.reason == reason
    assert (await stub.ReadChain(wire.ReadChainRequest())).last_sequence == 0


async def test_the_chain_is_read_in_parts(stub: "AuditServiceAsyncStub") -> None:
    await stub.RecordActs(wire.RecordActsRequest(acts=[act(number) for number in range(1, 6)]))
    first = await stub.ReadChain(wire.ReadChainRequest(max_entries=2))
    assert (first.first_sequence, first.hash_before, len(first.entries), first.last_sequence) == (1, bytes(32), 2, 5)
    rest = await stub.ReadChain(wire.ReadChainRequest(after_sequence=2, max_entries=1000))
    newest = (await stub.ListEntries(wire.ListEntriesRequest())).entries
    assert (rest.first_sequence, rest.hash_before.hex(), len(rest.entries)) == (3, newest[3].hash, 3)
    assert rest.last_hash.hex() == newest[0].hash
    end = await stub.ReadChain(wire.ReadChainRequest(after_sequence=5, max_entries=1))
    assert (len(end.entries), end.first_sequence, end.last_sequence) == (0, 0, 5)


async def test_without_the_store_nothing_is_recorded() -> None:
    audit = Audit(RedisChain(redis.connect(DEAD)), lambda: NOW_US, random.Random(1).randbytes)  # noqa: S311
    async with serving(lambda to: add_AuditServiceServicer_to_server(AuditServicer(audit), to)) as channel:
        with pytest.raises(Unavailable):
            await AuditServiceStub(channel).RecordActs(wire.RecordActsRequest(acts=[act()]))


async def test_a_receipt_is_signed_with_the_key_of_the_heads(tmp_path: Path) -> None:
    file, audit = heads.opened(tmp_path / "heads", tmp_path / "key"), Audit(MemoryChain(), lambda: NOW_US, bytes)
    named = bytes(32)
    asked = wire.SignReceiptRequest(receipt_hash=named)
    async with serving(lambda to: add_AuditServiceServicer_to_server(AuditServicer(audit, file), to)) as channel:
        stub: Any = AuditServiceStub(channel)
        signed = await stub.SignReceipt(asked)
        heads.verify_receipt(named, signed.signature, signed.public_key)
        assert signed.public_key.hex() == heads.read(tmp_path / "heads").public_key
        with pytest.raises(heads.HeadsError):
            heads.verify_receipt(b"1" * 32, signed.signature, signed.public_key)
        with pytest.raises(InvalidArgument, match="VALUE_OUT_OF_RANGE"):
            await stub.SignReceipt(wire.SignReceiptRequest(receipt_hash=b"1"))
    async with serving(lambda to: add_AuditServiceServicer_to_server(AuditServicer(audit), to)) as channel:
        stub = AuditServiceStub(channel)
        assert await stub.SignReceipt(asked) == wire.SignReceiptResponse()
