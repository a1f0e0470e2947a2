"""One device, several people: whose each event is, however what was sent is cut into requests and batches."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2

from mesh.errors import MeshError, Unavailable
from records.table import of_events
from services.ingest.accept.domain.identity import LINKS_AT_ONCE, Linking
from services.ingest.events.adapters.memory import MemorySeenEvents
from services.ingest.events.ports import AppendedEvents, SeenEvents
from tests.builders import MINUTE_US, NOW_US, SECOND_US, event
from tests.ingest.harness import Harness, running
from tests.ingest.test_stitching import WithFeatures, anonymous, known, settle

USERS = ("ada", "bob", "eve")
ONE_BY_ONE, TOGETHER = "one by one", "together"


class Unlimited(Linking):
    """As many links as come."""

    def may(self, anonymous_id: str, now_us: int) -> bool:
        return True


def story(steps: Sequence[str]) -> list[event_pb2.Event]:
    """Events a second apart: `-` is one without a user, `ada` a login, `ada out` and `out` are log-outs."""
    made = []
    for number, step in enumerate(steps):
        user, _, out = step.partition(" ")
        is_known = user in USERS
        kind = "session_end" if out or step == "out" else "identify" if is_known else "error"
        at_us = NOW_US + (number - len(steps)) * SECOND_US
        made.append(event(f"{number}", user if is_known else "a-1", kind, anonymous_id="a-1", event_time_us=at_us))
    return made


def whose(steps: Sequence[str]) -> dict[str, set[str]]:
    """Whose each event without a user is: who is logged in, else who logs in next, unless a log-out comes before."""
    found: dict[str, set[str]] = {user: set() for user in USERS}
    owner, waiting = "", set[str]()
    for number, step in enumerate(steps):
        user, _, out = step.partition(" ")
        if step == "-":
            (found[owner] if owner else waiting).add(f"{number}")
        elif step == "out":
            owner = ""
        elif out:
            waiting = waiting if owner else set()
            owner = "" if user == owner else owner
        elif user != owner:
            found[user] |= waiting
            owner, waiting = user, set()
    return found


async def journeys(steps: Sequence[str], cuts: Sequence[int], dispatch: str) -> dict[str, set[str]]:
    """Whose the events without a user turn out to be, in requests that begin at the cuts."""
    features, events = WithFeatures(), story(steps)  # type: ignore[abstract]
    async with running(features, linking=Unlimited()) as harness:
        edges = sorted({0, *cuts, len(events)})
        for start, end in itertools.pairwise(edges):
            await harness.accept(*events[start:end])
            if dispatch == ONE_BY_ONE:
                await settle(harness)
        await settle(harness)
        return {user: {seen for seen in await seen_of(features, user) if steps[int(seen)] == "-"} for user in USERS}


async def seen_of(features: WithFeatures, user: str) -> list[str]:
    """The events a user's journey holds, by the ids they came with."""
    known = await features.batch([user])
    ids = [each.copied_event_id or each.event_id for each in known[0]]
    return [each for each in ids if not each.startswith("jm:")]


STORIES = {
    "a queue of two people": "-,ada,ada out,-,bob",
    "both act before their logins": "-,-,ada,-,ada out,-,-,bob,-",
    "without a log-out between": "-,ada,-,bob,-",
    "a log-out that names nobody": "-,ada,-,out,-,bob",
    "there and back": "-,ada,ada out,-,bob,bob out,-,ada",
    "three": "-,ada,ada out,-,bob,out,-,eve,eve out,-",
    "a log-out without a login": "-,ada out,-,bob",
    "somebody else's log-out": "-,ada,bob out,-,ada out,-,bob",
    "the same login again": "-,ada,ada,-,ada out,-,ada",
}


@pytest.mark.parametrize("dispatch", [ONE_BY_ONE, TOGETHER])
@pytest.mark.parametrize("requests", ["one", "one each"])
@pytest.mark.parametrize("drawn", STORIES.values(), ids=STORIES)
async def test_each_has_what_was_done_before_their_own_login(drawn: str, requests: str, dispatch: str) -> None:
    steps = drawn.split(",")
    cuts = [] if requests == "one" else range(len(steps))
    assert await journeys(steps, cuts, dispatch) == whose(steps)


STEPS = st.sampled_from(["-", "-", "out", *USERS, *(f"{user} out" for user in USERS)])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(STEPS, min_size=2, max_size=12),
    st.lists(st.integers(0, 12), max_size=4),
    st.sampled_from([ONE_BY_ONE, TOGETHER]),
)
def test_how_it_is_cut_changes_nothing(steps: list[str], cuts: list[int], dispatch: str) -> None:
    assert asyncio.run(journeys(steps, [min(cut, len(steps)) for cut in cuts], dispatch)) == whose(steps)


@pytest.mark.parametrize("count", [25, 120])
async def test_however_much_the_next_one_does_in_the_same_batch_the_first_keeps_their_own(count: int) -> None:
    features = WithFeatures()  # type: ignore[abstract]
    async with running(features) as harness:
        events = [
            anonymous("before", -3),
            known("in", "ada", -2, "identify"),
            known("out", "ada", -2, "session_end"),
            *(anonymous(f"{number}", -1) for number in range(count)),
            event("next", "bob", "identify", anonymous_id="a-1"),
        ]
        await harness.accept(*events)
        await settle(harness)
        assert "before" in await seen_of(features, "ada")
        assert set(await seen_of(features, "bob")) - {"next"} == {f"{number}" for number in range(count - 19, count)}


class Shaky(WithFeatures):
    """Features that is away at every second look, so that each batch that moves a journey is applied twice."""

    looks = 0

    async def BatchListRecentEvents(self, request: Any, context: Any) -> features_pb2.BatchListRecentEventsResponse:
        self.looks += 1
        if self.looks % 2:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")
        return await super().BatchListRecentEvents(request, context)


@pytest.mark.parametrize("drawn", STORIES.values(), ids=STORIES)
async def test_what_is_applied_again_gives_the_same(drawn: str) -> None:
    steps, features = drawn.split(","), Shaky()  # type: ignore[abstract]
    async with running(features) as harness:
        await harness.accept(*story(steps))
        for _ in range(4 * len(steps)):
            with contextlib.suppress(Unavailable):
                await harness.dispatch()
        found = {user: {each for each in await seen_of(features, user) if steps[int(each)] == "-"} for user in USERS}
        assert found == whose(steps)
        assert features.looks


class Breaking:
    """What is remembered of events, but for one time, when a fault comes before it is written."""

    def __init__(self, seen: SeenEvents, breaks_at: int, fault: Exception) -> None:
        self._fault = fault
        self.find, self.claim, self.release, self._remember = seen.find, seen.claim, seen.release, seen.remember
        self._left = breaks_at

    async def remember(self, records: Sequence[AppendedEvents]) -> set[str]:
        self._left -= 1
        if self._left == 0:
            raise self._fault
        return await self._remember(records)


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
@pytest.mark.parametrize("breaks_at", [1, 2])
@pytest.mark.parametrize("is_reversed", ["", "reversed"])
@pytest.mark.parametrize("drawn", STORIES.values(), ids=STORIES)
async def test_what_breaks_off_and_is_sent_again_gives_the_same(
    drawn: str, is_reversed: str, breaks_at: int, order: int
) -> None:
    steps, features = drawn.split(","), WithFeatures()  # type: ignore[abstract]
    seen = MemorySeenEvents()
    ends = Breaking(seen, breaks_at, OSError("The process ends."))
    async with running(features, linking=Unlimited(), seen=ends) as harness:
        steps_of = dataclasses.replace(harness.dispatcher.steps, seen=seen)
        one = harness._replace(dispatcher=dataclasses.replace(harness.dispatcher, steps=steps_of))
        with contextlib.suppress(MeshError):
            await one.accept(*story(steps)[::order])
        await one.accept(*story(steps)[::order])
        for _ in range(3):
            shards = [shard.name for shard in await one.stream.shards()]
            for shard in reversed(shards) if is_reversed else shards:
                await one.advance(shard)
        found = {user: {each for each in await seen_of(features, user) if steps[int(each)] == "-"} for user in USERS}
        assert found == whose(steps)


async def crowd(harness: Harness, count: int = LINKS_AT_ONCE + 1) -> None:
    """Logs so many people in at one device, one after the other: one more than may be linked at once."""
    for number in range(count):
        await harness.accept(event(f"in {number}", f"u{number}", "identify", anonymous_id="a-1"))


async def after_a_minute(harness: Harness, *events: event_pb2.Event) -> None:
    """Events at another process, where the device is linked again."""
    elsewhere = dataclasses.replace(harness.ingest, linking=Linking())
    await elsewhere.accept(of_events(events))
    await settle(harness)


async def test_who_could_not_be_linked_gives_nothing_to_the_one_before_and_the_one_after() -> None:
    features = WithFeatures()  # type: ignore[abstract]
    async with running(features) as harness:
        await crowd(harness)
        await harness.accept(anonymous("theirs", 0, "error"))
        await settle(harness)
        assert await seen_of(features, "u4") == ["in 4"]
        assert await seen_of(features, "u5") == ["in 5"]
        assert await seen_of(features, "a-1") == ["theirs"]
        await after_a_minute(harness, event("next", "bob", "identify", anonymous_id="a-1"))
        assert await seen_of(features, "bob") == ["next"]


async def test_who_could_not_be_linked_and_is_later_has_their_own() -> None:
    features = WithFeatures()  # type: ignore[abstract]
    async with running(features) as harness:
        await crowd(harness)
        await harness.accept(anonymous("theirs", 0, "error"))
        await after_a_minute(harness, event("again", "u5", "identify", anonymous_id="a-1"))
        assert set(await seen_of(features, "u5")) == {"in 5", "theirs", "again"}


@pytest.mark.parametrize("named", ["u5", "a-1"])
async def test_who_comes_after_the_log_out_of_one_who_could_not_be_linked_has_their_own(named: str) -> None:
    features = WithFeatures()  # type: ignore[abstract]
    async with running(features) as harness:
        await crowd(harness)
        await harness.accept(anonymous("theirs", 0, "error"))
        await after_a_minute(
            harness,
            event("out", named, "session_end", anonymous_id="a-1"),
            anonymous("own", 0, "error"),
            event("next", "bob", "identify", anonymous_id="a-1"),
        )
        assert set(await seen_of(features, "bob")) == {"own", "next"}


async def test_what_was_bought_by_one_who_could_not_be_linked_does_not_move_to_the_next() -> None:
    features = WithFeatures()  # type: ignore[abstract]
    async with running(features) as harness:
        await crowd(harness)
        bought = event_pb2.Purchase(amount=5, currency="EUR")
        await harness.accept(anonymous("bought", 0, "purchase", purchase=bought))
        await after_a_minute(harness, event("next", "bob", "identify", anonymous_id="a-1"))
        later_us = NOW_US + MINUTE_US
        await after_a_minute(harness, event("later", "bob", event_time_us=later_us, received_time_us=later_us))
        assert (await features.profile("bob")).purchase_count == 0
