"""An anonymous journey becomes part of the user's, with features as they are."""

from typing import Any, Final, cast

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2

from mesh.observability.metrics import Metrics
from mesh.state.memory import MemoryState
from services.features.domain import state
from services.features.servicer import FeaturesServicer
from services.features.usecases import Features
from services.ingest.accept.domain.identity import LINKS_AT_ONCE
from services.ingest.dispatch.domain.journeys import MOST_COPIES, SESSION_GAP_US
from tests.builders import MINUTE_US, NOW_US, event
from tests.ingest import peers
from tests.ingest.harness import ACCEPTED, Harness, running

_NO_CONTEXT: Final = cast("Any", None)


def test_a_session_ends_after_the_same_gap_as_in_features() -> None:
    assert SESSION_GAP_US == state.SESSION_GAP_US


class WithFeatures(peers.Steps):
    """The steps, with the features service as it is."""

    def __init__(self) -> None:
        super().__init__(lambda _step, _request: None)
        self.features = FeaturesServicer(Features(MemoryState()), Metrics())

    async def ApplyEvents(self, request: Any, context: Any) -> features_pb2.ApplyEventsResponse:
        self.log.append(("features", [each.event_id for each in request.events]))
        return await self.features.ApplyEvents(request, context)

    async def BatchListRecentEvents(self, request: Any, context: Any) -> features_pb2.BatchListRecentEventsResponse:
        self.asked.append(list(request.user_ids))
        return await self.features.BatchListRecentEvents(request, context)

    async def feature(self, user_id: str, name: str) -> float:
        answer = await self.features.GetFeatures(features_pb2.GetFeaturesRequest(user_id=user_id), _NO_CONTEXT)
        return next(each.value for each in answer.features if each.name == name)

    async def batch(self, user_ids: list[str]) -> list[list[event_pb2.Event]]:
        request = features_pb2.BatchListRecentEventsRequest(user_ids=user_ids)
        return [list(each.events) for each in (await self.features.BatchListRecentEvents(request, _NO_CONTEXT)).users]

    async def profile(self, user_id: str) -> features_pb2.GetProfileResponse:
        return await self.features.GetProfile(features_pb2.GetProfileRequest(user_id=user_id), _NO_CONTEXT)

    async def last_events(self, user_id: str) -> list[event_pb2.Event]:
        request = features_pb2.ListRecentEventsRequest(user_id=user_id)
        return list((await self.features.ListRecentEvents(request, _NO_CONTEXT)).events)


def anonymous(event_id: str, minutes: float, kind: str = "page_view", **members: Any) -> event_pb2.Event:
    time_us = NOW_US + round(minutes * MINUTE_US)
    return event(event_id, "a-1", kind, anonymous_id="a-1", event_time_us=time_us, **members)


def known(event_id: str, user_id: str, minutes: float, kind: str = "page_view") -> event_pb2.Event:
    time_us = NOW_US + round(minutes * MINUTE_US)
    return event(event_id, user_id, kind, anonymous_id="a-1", event_time_us=time_us)


async def settle(harness: Harness) -> None:
    """Takes all through the mesh, and what comes of it."""
    for _ in range(3):
        await harness.dispatch()


async def test_the_known_user_s_session_begins_with_the_anonymous_one() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with running(steps) as harness:
        await harness.accept(anonymous("old", -300), anonymous("a", -70), anonymous("b", -45, page="/pricing"))
        await harness.accept(anonymous("c", -20, "error"), anonymous("d", -2, "error"))
        await settle(harness)
        login = event("login", "ada", "identify", anonymous_id="a-1")
        await harness.accept(login, event("first", "ada", anonymous_id="a-1"))
        await settle(harness)
        assert await steps.feature("ada", "session_duration") == 70 * 60
        assert await steps.feature("ada", "session_count") == 1
        assert await steps.feature("ada", "error_count") == 2
        assert await steps.feature("ada", "unique_pages_visited") == 2
        recent = await steps.last_events("ada")
        assert [each.copied_event_id or each.event_id for each in recent] == ["a", "b", "c", "d", "first", "login"]
        assert {each.session_start_us for each in recent} == {NOW_US - 70 * MINUTE_US}
        assert await steps.feature("a-1", "session_count") == 2


async def test_what_was_done_before_the_first_login_is_the_first_user_s_alone() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with running(steps) as harness:
        await harness.accept(anonymous("a", -5))
        await settle(harness)
        await harness.accept(event("1", "ada", "identify", anonymous_id="a-1"))
        await harness.accept(event("2", "bob", "identify", anonymous_id="a-1"))
        await harness.accept(event("3", "ada", "identify", anonymous_id="a-1"))
        await settle(harness)
        copied = {
            user_id: [each.copied_event_id for each in await steps.last_events(user_id) if each.copied_event_id]
            for user_id in ("ada", "bob")
        }
        assert copied == {"ada": ["a"], "bob": []}


async def test_what_is_done_on_a_device_after_a_log_out_is_the_next_user_s() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with running(steps) as harness:
        await harness.accept(anonymous("a", -9), known("1", "ada", -8, "identify"))
        await settle(harness)
        await harness.accept(anonymous("b", -7, "error"), known("2", "ada", -6, "session_end"))
        await harness.accept(anonymous("c", -5), known("3", "bob", -4, "identify"))
        await settle(harness)
        assert [each.copied_event_id for each in await steps.last_events("bob") if each.copied_event_id] == ["c"]
        assert await steps.feature("bob", "error_count") == 0
        assert {"a", "b"} <= {each.copied_event_id or each.event_id for each in await steps.last_events("ada")}


async def test_a_user_who_comes_back_after_a_log_out_gets_what_was_done_meanwhile() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with running(steps) as harness:
        for login, minutes in (("1", -9), ("2", -5)):
            await harness.accept(anonymous(f"before {login}", minutes), known(login, "ada", minutes + 1))
            await harness.accept(known(f"out {login}", "ada", minutes + 2, "session_end"))
            await settle(harness)
        copied = [each.copied_event_id for each in await steps.last_events("ada") if each.copied_event_id]
        assert copied == ["before 2", "before 1"]


CROWDS = {
    "log in": [event(f"{number}", f"u{number}", "identify", anonymous_id="a-1") for number in range(500)],
    "come and go": [
        event(f"{number} {kind}", f"u{number}", kind, anonymous_id="a-1")
        for number in range(250)
        for kind in ("identify", "session_end")
    ],
    "log out": [event(f"{number}", f"u{number}", "session_end", anonymous_id="a-1") for number in range(500)],
    "look around and log out": [
        made
        for number in range(250)
        for made in (
            anonymous(f"{number}", -1),
            event(f"out {number}", f"u{number}", "session_end", anonymous_id="a-1"),
        )
    ],
    "come back": [event(f"{number}", f"u{number % 50}", "click", anonymous_id="a-1") for number in range(500)],
}


@pytest.mark.parametrize("requests", [1, 5])
@pytest.mark.parametrize("crowd", CROWDS.values(), ids=CROWDS)
async def test_one_anonymous_id_with_hundreds_of_users_holds_nobody_up(
    crowd: list[event_pb2.Event], requests: int
) -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with running(steps) as harness:
        await harness.accept(*[anonymous(f"a{number}", -5) for number in range(30)])
        await settle(harness)
        calls, size = len(steps.requests), len(crowd) // requests
        answers = [await harness.accept(*crowd[start : start + size]) for start in range(0, len(crowd), size)]
        await settle(harness)
        assert all(verdict == ACCEPTED for answer in answers for verdict in answer.verdicts)
        # What each costs is as much as without links: five journeys end, each with one look, one arrival and 20 copies.
        ends = 2 * LINKS_AT_ONCE
        written = [each for step, ids in steps.log if step == "features" for each in ids]
        assert len(written) <= 30 + len(crowd) + ends + LINKS_AT_ONCE + MOST_COPIES
        assert sum(map(len, steps.asked)) <= LINKS_AT_ONCE
        batches = 2 * requests + len(crowd) // 100 + ends + LINKS_AT_ONCE
        assert len(steps.requests) - calls <= 4 * batches


async def test_many_devices_that_change_hands_in_one_request_take_no_more_batches_than_one() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    crowd: list[event_pb2.Event] = []
    async with running(steps) as harness:
        for number in range(125):
            anonymous_id = f"a-{number}"
            known = {"anonymous_id": anonymous_id}
            crowd.extend(
                [
                    event(f"in {number}", f"u{number}", "identify", **known),
                    event(f"out {number}", f"u{number}", "session_end", **known),
                    event(f"{number}", anonymous_id, **known),
                    event(f"next {number}", f"v{number}", "identify", **known),
                ]
            )
        await harness.accept(*crowd)
        await settle(harness)
        assert (await steps.batch(["v0", "v124"]))[1][0].copied_event_id == "124"
        # 500 events, 250 links and 125 copies by hundreds; two parts on each of two shards.
        assert sum(step == "features" for step, _ in steps.log) <= 9 + 2 * 2 * 2


async def test_of_hundreds_of_users_of_one_anonymous_id_a_few_are_linked_and_the_others_are_told() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with running(steps) as harness:
        await harness.accept(anonymous("a", -5))
        answer = await harness.accept(*CROWDS["log in"])
        await settle(harness)
        assert len(answer.warnings) == 500 - LINKS_AT_ONCE
        assert {each.member for each in answer.warnings} == {"anonymousId"}
        assert [each.copied_event_id != "" for each in await steps.last_events("u499")] == [False]


async def test_an_identification_alone_is_enough_and_what_follows_goes_on_with_it() -> None:
    steps = WithFeatures()  # type: ignore[abstract]
    async with running(steps) as harness:
        await harness.accept(anonymous("a", -40), anonymous("b", -20))
        await settle(harness)
        await harness.accept(event("login", "ada", "identify", anonymous_id="a-1"))
        await settle(harness)
        now_us = harness.time.now_us = NOW_US + MINUTE_US
        await harness.accept(event("next", "ada", event_time_us=now_us, received_time_us=now_us))
        await settle(harness)
        assert await steps.feature("ada", "session_duration") == 41 * 60
        assert await steps.feature("ada", "session_count") == 1
