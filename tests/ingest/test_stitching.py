"""An anonymous journey becomes part of the user's, with features as they are."""

from typing import Any

from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2

from mesh.metrics import Metrics
from mesh.states.memory import MemoryState
from services.features.servicer import FeaturesServicer
from tests.builders import MINUTE_US, NOW_US, event
from tests.ingest import peers
from tests.ingest.house import House, housed


class WithFeatures(peers.Steps):
    """The steps, with the features service as it is."""

    def __init__(self) -> None:
        super().__init__(lambda _step, _request: None)
        self.features = FeaturesServicer(MemoryState(), Metrics())

    async def ApplyEvents(self, request: Any, context: Any) -> features_pb2.ApplyEventsResponse:
        self.log.append(("features", [each.event_id for each in request.events]))
        return await self.features.ApplyEvents(request, context)

    async def ListRecentEvents(self, request: Any, context: Any) -> features_pb2.ListRecentEventsResponse:
        return await self.features.ListRecentEvents(request, context)

    async def feature(self, user_id: str, name: str) -> float:
        answer = await self.features.GetFeatures(features_pb2.GetFeaturesRequest(user_id=user_id), None)
        return next(each.value for each in answer.features if each.name == name)

    async def last_events(self, user_id: str) -> list[event_pb2.Event]:
        request = features_pb2.ListRecentEventsRequest(user_id=user_id)
        return list((await self.features.ListRecentEvents(request, None)).events)


def anonymous(event_id: str, minutes: float, kind: str = "page_view", **members: Any) -> event_pb2.Event:
    time_us = NOW_US + round(minutes * MINUTE_US)
    return event(event_id, "anon", kind, anonymous_id="anon", event_time_us=time_us, **members)


async def settle(house: House) -> None:
    """Takes all through the mesh, and what comes of it."""
    for _ in range(3):
        await house.dispatch()


async def test_the_known_user_s_session_begins_with_the_anonymous_one() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with housed(steps) as house:
        await house.accept(anonymous("old", -300), anonymous("a", -70), anonymous("b", -45, page="/pricing"))
        await house.accept(anonymous("c", -20, "error"), anonymous("d", -2, "error"))
        await settle(house)
        login = event("login", "ada", "identify", anonymous_id="anon")
        await house.accept(login, event("first", "ada", anonymous_id="anon"))
        await settle(house)
        assert await steps.feature("ada", "session_duration") == 70 * 60
        assert await steps.feature("ada", "session_count") == 1
        assert await steps.feature("ada", "error_count") == 2
        assert await steps.feature("ada", "unique_pages_visited") == 2
        recent = await steps.last_events("ada")
        assert [each.copied_event_id or each.event_id for each in recent] == ["a", "b", "c", "d", "first", "login"]
        assert {each.session_start_us for each in recent} == {NOW_US - 70 * MINUTE_US}
        assert await steps.feature("anon", "session_count") == 2


async def test_a_second_link_copies_nothing_twice() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with housed(steps) as house:
        await house.accept(anonymous("a", -5))
        await settle(house)
        await house.accept(event("1", "ada", "identify", anonymous_id="anon"))
        await house.accept(event("2", "bob", "identify", anonymous_id="anon"))
        await house.accept(event("3", "ada", "identify", anonymous_id="anon"))
        await settle(house)
        for user_id in ("ada", "bob"):
            assert [each.copied_event_id for each in await steps.last_events(user_id) if each.copied_event_id] == ["a"]


async def test_an_identification_alone_is_enough_and_what_follows_goes_on_with_it() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with housed(steps) as house:
        await house.accept(anonymous("a", -40), anonymous("b", -20))
        await settle(house)
        await house.accept(event("login", "ada", "identify", anonymous_id="anon"))
        await settle(house)
        now_us = house.time.now_us = NOW_US + MINUTE_US
        await house.accept(event("next", "ada", event_time_us=now_us, received_time_us=now_us))
        await settle(house)
        assert await steps.feature("ada", "session_duration") == 41 * 60
        assert await steps.feature("ada", "session_count") == 1
