"""A rolling upgrade: an ingest of the previous version, which does not know tables, loses no events."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from journeymesh.common.v1 import callers_pb2, error_reason_pb2, event_pb2, event_table_pb2, position_pb2
from journeymesh.ingest.v1 import ingest_pb2

from gateway import peers
from gateway.accepting import ingest_versions
from gateway.accepting.coalescer import Coalescer, Submission
from gateway.http.shares import Shares
from mesh.observability import telemetry
from tests.gateway.fakes import events_of, rows_of
from tests.serving import serving

MODULES: Final = (
    descriptor_pb2,
    callers_pb2,
    timestamp_pb2,
    error_reason_pb2,
    event_pb2,
    event_table_pb2,
    position_pb2,
    ingest_pb2,
)
SPAN: Final = (bytes(16), bytes(8))


def older_request() -> Any:
    """`AcceptEventsRequest` as it was before there were tables."""
    pool = descriptor_pool.DescriptorPool()
    for module in MODULES:
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            if message.name == "AcceptEventsRequest":
                del message.field[2]
                assert [field.name for field in message.field] == ["events", "unreadable"]
        pool.Add(file)
    found = pool.FindMessageTypeByName(ingest_pb2.AcceptEventsRequest.DESCRIPTOR.full_name)
    return message_factory.GetMessageClass(found)


class Older:
    """Ingest of the version before, until it is upgraded."""

    def __init__(self) -> None:
        self._request = older_request()
        self.is_upgraded = False
        self.forms: list[str] = []
        self.taken: list[str] = []
        self.unreadable: list[str] = []

    def accept(self, message: bytes, _context: object) -> ingest_pb2.AcceptEventsResponse:
        request = ingest_pb2.AcceptEventsRequest.FromString(message)
        self.forms.append("table" if request.tables else "events")
        known = request if self.is_upgraded else self._request.FromString(message)
        events = events_of(request) if self.is_upgraded else known.events
        self.taken += [event.event_id for event in events]
        self.unreadable += [one.event_id for one in known.unreadable]
        verdict = {"bad": ingest_pb2.VERDICT_REJECTED}
        response = ingest_pb2.AcceptEventsResponse(
            verdicts=[verdict.get(event.user_id, ingest_pb2.VERDICT_ACCEPTED) for event in events]
        )
        for index, event in enumerate(events):
            if event.user_id == "bad":
                response.rejections.add(event_index=index, detail="No.")
        return response

    def register(self, server: grpc.aio.Server) -> None:
        async def accept(message: bytes, context: object) -> ingest_pb2.AcceptEventsResponse:
            return self.accept(message, context)

        service = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"]
        handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            accept, response_serializer=ingest_pb2.AcceptEventsResponse.SerializeToString
        )
        handlers = {"AcceptEvents": handler}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))


@contextlib.asynccontextmanager
async def over(ingest: Older) -> AsyncIterator[Coalescer]:
    async with serving(ingest.register) as channel:
        accept = peers.over(dict.fromkeys(peers.SERVICES, channel)).accept
        yield Coalescer(accept, telemetry.off(), 2_000, Shares(1_000_000, 1_000_000))


def sent(*ids: str, users: tuple[str, ...] = (), unreadable: str = "") -> Submission:
    others = ingest_pb2.AcceptEventsRequest()
    if unreadable:
        others.unreadable.add(event_id=unreadable)
    return Submission(rows_of(ids, users), 50, others)


async def test_an_older_ingest_gets_the_same_events_one_by_one_and_invalid_ones_once() -> None:
    ingest = Older()
    async with over(ingest) as coalescer:
        response = await coalescer.accept(sent("a", "b", users=("ada", "bad"), unreadable="u"), SPAN, "here")
        assert (ingest.forms, ingest.taken, ingest.unreadable) == (["table", "events"], ["a", "b"], ["u"])
        assert response.verdicts == [ingest_pb2.VERDICT_ACCEPTED, ingest_pb2.VERDICT_REJECTED]
        assert [(each.event_index, each.detail) for each in response.rejections] == [(1, "No.")]
        await asyncio.gather(*(coalescer.accept(sent(one, unreadable=f"u-{one}"), SPAN, "here") for one in "cd"))
        assert ingest.forms[2:] == ["events"]
        assert (ingest.taken, ingest.unreadable) == (["a", "b", "c", "d"], ["u", "u-c", "u-d"])


async def test_an_invalid_event_alone_does_not_reveal_the_version() -> None:
    ingest = Older()
    async with over(ingest) as coalescer:
        assert (await coalescer.accept(sent(unreadable="u"), SPAN, "here")).verdicts == []
        assert (await coalescer.accept(sent("a"), SPAN, "here")).verdicts == [ingest_pb2.VERDICT_ACCEPTED]
        assert (ingest.taken, ingest.unreadable) == (["a"], ["u"])


async def test_that_ingest_is_older_is_remembered_for_a_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    ingest = Older()
    async with over(ingest) as coalescer:
        monkeypatch.setattr(ingest_versions, "_REMEMBERED_SECONDS", 0.0)
        await coalescer.accept(sent("a"), SPAN, "here")
        ingest.is_upgraded = True
        assert (await coalescer.accept(sent("b"), SPAN, "here")).verdicts == [ingest_pb2.VERDICT_ACCEPTED]
        assert (ingest.forms, ingest.taken) == (["table", "events", "table"], ["a", "b"])


async def test_an_upgraded_ingest_still_takes_events() -> None:
    ingest = Older()
    async with over(ingest) as coalescer:
        await coalescer.accept(sent("a"), SPAN, "here")
        ingest.is_upgraded = True
        assert (await coalescer.accept(sent("b"), SPAN, "here")).verdicts == [ingest_pb2.VERDICT_ACCEPTED]
        assert (ingest.forms, ingest.taken) == (["table", "events", "events"], ["a", "b"])
