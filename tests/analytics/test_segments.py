"""Saved segments: the port over every adapter, and what they do over a real stub."""

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import msgspec
import pytest
from journeymesh.analytics.v1 import analytics_pb2 as ask
from journeymesh.analytics.v1 import segments_pb2 as wire
from journeymesh.analytics.v1.segments_pb2_grpc import SegmentsServiceStub, add_SegmentsServiceServicer_to_server

from mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, MeshError, NotFound, VersionMismatch
from mesh.store import redis
from services.analytics import usecases
from services.analytics.adapters.segments import MemorySegments, RedisSegments
from services.analytics.domain.question import Comparison, Condition, Field, Level, UserFilter
from services.analytics.domain.segment import Draft, Segment
from services.analytics.ports import Saved, SegmentStore
from services.analytics.segments import SegmentsServicer
from services.analytics.usecases import Saving
from tests.builders import NOW_US
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.analytics.v1.segments_pb2_grpc import SegmentsServiceAsyncStub

VIEWERS = UserFilter((Condition(Field.PAGE, Comparison.IS, ("/a",)),), at_least=Level.HIGH)
ONE = Segment("s-1", "Größe 😀", "who viewed", VIEWERS, 1, NOW_US, NOW_US)
TWO = dataclasses.replace(ONE, segment_id="s-2", name="two", users=UserFilter(did_not=VIEWERS.did))


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> SegmentStore:
    return MemorySegments() if request.param == "memory" else RedisSegments(valkey)


async def test_what_replaces_is_read(store: SegmentStore) -> None:
    assert await store.read("") == Saved(0, ())
    assert await store.replace("", (ONE, TWO), 0)
    assert await store.read("") == Saved(1, (ONE, TWO))
    assert await store.replace("", (), 1)
    assert await store.read("") == Saved(2, ())


async def test_who_has_not_seen_the_last_change_replaces_nothing(store: SegmentStore) -> None:
    assert not await store.replace("", (ONE,), 1)
    assert await store.replace("", (ONE,), 0)
    assert not await store.replace("", (TWO,), 0)
    assert (await store.read("")).segments == (ONE,)


async def test_tenants_have_their_own(store: SegmentStore) -> None:
    assert await store.replace("acme", (ONE,), 0)
    assert await store.read("") == await store.read("globex") == Saved(0, ())


async def test_many_who_change_at_once_lose_nothing(store: SegmentStore) -> None:
    segments = Saving(store, lambda: NOW_US, secrets.token_bytes)
    created = await asyncio.gather(*(segments.create("", Draft(f"n-{number}", "", VIEWERS)) for number in range(4)))
    assert [each.name for each in await segments.listed("")] == ["n-0", "n-1", "n-2", "n-3"]
    await asyncio.gather(*(segments.delete("", each.segment_id) for each in created[:3]))
    assert await segments.listed("") == [created[3]]


async def test_of_two_changes_of_the_same_revision_one_is_made(store: SegmentStore) -> None:
    segments = Saving(store, lambda: NOW_US, secrets.token_bytes)
    created = await segments.create("", Draft("one", "", VIEWERS))
    drafts = [Draft(name, "", TWO.users) for name in ("left", "right")]
    made = await asyncio.gather(
        *(segments.change("", created.segment_id, each, 1) for each in drafts), return_exceptions=True
    )
    (refused,) = (each for each in made if isinstance(each, MeshError))
    (kept,) = (each for each in made if isinstance(each, Segment))
    assert refused.reason == "SEGMENT_CHANGED"
    assert await segments.listed("") == [kept]
    assert kept.revision == 2


async def test_what_a_newer_build_wrote_is_not_misread(valkey: redis.Client) -> None:
    blob = msgspec.msgpack.encode([[2, "a", {"new": "form"}]])
    await valkey.hset("jm:{analytics}:segments:", mapping={"changes": 1, "segments": blob})
    with pytest.raises(VersionMismatch):
        await RedisSegments(valkey).read("")


DRAFT = Draft("one", "", VIEWERS)
FULL = tuple(dataclasses.replace(ONE, segment_id=str(each), name=str(each)) for each in range(usecases.MOST_SEGMENTS))
LARGE = UserFilter((Condition(Field.PAGE, Comparison.IS, tuple(str(each) * 100 for each in range(90))),))


@pytest.mark.parametrize(
    ("refused", "kind", "reason"),
    [
        (lambda: usecases.created(FULL, DRAFT, "new", NOW_US), FailedPrecondition, "TOO_MANY_SEGMENTS"),
        (lambda: usecases.created((TWO,), dataclasses.replace(DRAFT, name="two"), "new", 1), AlreadyExists, "TAKEN"),
        (lambda: usecases.changed((ONE, TWO), "s-1", Draft("two", "", VIEWERS), 1, 1), AlreadyExists, "TAKEN"),
        (lambda: usecases.changed((ONE,), "s-2", DRAFT, 1, 1), NotFound, "SEGMENT_NOT_FOUND"),
        (lambda: usecases.changed((ONE,), "s-1", DRAFT, 2, 1), FailedPrecondition, "SEGMENT_CHANGED"),
        (lambda: usecases.deleted((ONE,), "s-2"), NotFound, "SEGMENT_NOT_FOUND"),
        (lambda: usecases.require_valid(Draft(" ", "", VIEWERS)), InvalidArgument, "MISSING_FIELD"),
        (lambda: usecases.require_valid(Draft("one", "", UserFilter())), InvalidArgument, "MISSING_FIELD"),
        (lambda: usecases.require_valid(Draft("n" * 101, "", VIEWERS)), InvalidArgument, "VALUE_OUT_OF_RANGE"),
        (lambda: usecases.require_valid(Draft("one", "d" * 501, VIEWERS)), InvalidArgument, "VALUE_OUT_OF_RANGE"),
        (
            lambda: usecases.require_valid(Draft("one", "", UserFilter(saved="s-2"))),
            InvalidArgument,
            "VALUE_OUT_OF_RANGE",
        ),
        (lambda: usecases.require_valid(Draft("one", "", LARGE)), InvalidArgument, "VALUE_OUT_OF_RANGE"),
    ],
)
def test_what_cannot_be_is_refused(refused: Callable[[], object], kind: type[MeshError], reason: str) -> None:
    with pytest.raises(kind) as error:
        refused()
    assert error.value.reason.endswith(reason)


def test_a_segment_keeps_its_name_in_a_change() -> None:
    (other, changed) = usecases.changed((ONE, TWO), "s-1", Draft(ONE.name, "", TWO.users), 1, NOW_US + 5)
    assert other == TWO
    assert changed == dataclasses.replace(ONE, description="", users=TWO.users, revision=2, changed_us=NOW_US + 5)


@contextlib.asynccontextmanager
async def stub() -> AsyncIterator["SegmentsServiceAsyncStub"]:
    servicer = SegmentsServicer(Saving(MemorySegments(), lambda: NOW_US, secrets.token_bytes))
    async with serving(lambda to: add_SegmentsServiceServicer_to_server(servicer, to)) as channel:
        yield SegmentsServiceStub(channel)


async def test_what_is_saved_is_told_as_it_was_said() -> None:
    users = ask.UserFilter(
        did=[ask.Condition(field=ask.FIELD_PAGE, comparison=ask.COMPARISON_CONTAINS, values=["/a"])],
        did_not=[ask.Condition(field=ask.FIELD_EVENT_TYPE, comparison=ask.COMPARISON_IS, values=["purchase"])],
        at_least=ask.LEVEL_MEDIUM,
    )
    draft = wire.SegmentDraft(name="one", description="why", users=users)
    async with stub() as at:
        created = (await at.CreateSegment(wire.CreateSegmentRequest(tenant="acme", segment=draft))).segment
        assert (created.name, created.description, created.users, created.revision) == ("one", "why", users, 1)
        draft.name = "two"
        changed = await at.ChangeSegment(
            wire.ChangeSegmentRequest(tenant="acme", segment_id=created.segment_id, revision=1, segment=draft)
        )
        assert (changed.segment.name, changed.segment.revision) == ("two", 2)
        listed = await at.ListSegments(wire.ListSegmentsRequest(tenant="acme"))
        assert list(listed.segments) == [changed.segment]
        named = wire.GetSegmentRequest(tenant="globex", segment_id=created.segment_id)
        with pytest.raises(NotFound):
            await at.GetSegment(named)
        await at.DeleteSegment(wire.DeleteSegmentRequest(tenant="acme", segment_id=created.segment_id))
        assert not (await at.ListSegments(wire.ListSegmentsRequest(tenant="acme"))).segments
