"""The published Segment clients against a gateway in the test's own process: what they send is what is taken."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from journeymesh.common.v1 import event_pb2
from segment.analytics.client import Client

from mesh.errors import ResourceExhausted
from tests.clients.story import EVENTS, tell_by_node, tell_by_python, told
from tests.gateway.running import Gateway, listening

TELLERS: dict[str, Callable[[str, str], Any]] = {
    "python": tell_by_python,
    "python, packed": lambda host, user: tell_by_python(host, user, gzip=True),
    "python, one by one": lambda host, user: tell_by_python(host, user, sync_mode=True),
    "node": tell_by_node,
}


def check(gateway: Gateway) -> None:
    """Returns if the story was understood."""
    events = gateway.services.ingest.events
    assert told(events) == EVENTS
    assert gateway.services.ingest.unreadable == []
    assert len({event.event_id for event in events}) == len(events)
    assert all(event.sent_time_us > event.event_time_us for event in events)
    first, identified, aliased, grouped, screen, moved, bought, *beats = events
    assert first.user_id == first.anonymous_id == "anonymous-ada"
    assert (identified.user_id, identified.anonymous_id) == ("ada", "anonymous-ada")
    assert json.loads(identified.properties) == {"plan": "pro"}
    assert (aliased.user_id, aliased.anonymous_id) == ("ada", "old-ada")
    assert {"name": "Initech", "groupId": "g-1"}.items() <= json.loads(grouped.properties).items()
    assert screen.platform == event_pb2.PLATFORM_MOBILE
    assert moved.platform == event_pb2.PLATFORM_BACKEND
    assert (bought.purchase.amount, bought.purchase.currency) == (25.5, "EUR")
    assert {(beat.playback.video_id, beat.playback.viewing_id) for beat in beats} == {("video-ada", "viewing-ada")}
    assert [beat.playback.position_seconds for beat in beats] == [0, 10, 20, 24]


@pytest.mark.parametrize("teller", TELLERS.values(), ids=TELLERS)
async def test_a_published_client_is_understood(teller: Callable[[str, str], Any]) -> None:
    async with listening() as (gateway, url):
        lost = await asyncio.to_thread(teller, url, "ada")
        assert not lost
        check(gateway)


@pytest.mark.parametrize("teller", [tell_by_python, tell_by_node])
async def test_a_published_client_comes_again_when_it_is_told_to(teller: Callable[[str, str], Any]) -> None:
    async with listening() as (gateway, url):
        ingest = gateway.services.ingest
        ingest.error = ResourceExhausted("BUFFER_FULL", "Full.", 1)
        telling = asyncio.create_task(asyncio.to_thread(teller, url, "ada"))
        arrived = asyncio.create_task(ingest.arrived.wait())
        await asyncio.wait((telling, arrived), return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        ingest.error = None
        assert not await telling
        assert sorted(told(ingest.events), key=lambda one: one[2]) == EVENTS


async def test_what_is_no_json_costs_nothing_but_itself() -> None:
    def tell(url: str) -> None:
        client = Client("any", host=url)
        for value in (1.0, float("nan"), 2.0):
            client.track("ada", "Slider Moved", {"value": value})
        client.shutdown()

    async with listening() as (gateway, url):
        await asyncio.to_thread(tell, url)
        values = [json.loads(event.properties)["value"] for event in gateway.services.ingest.events]
        assert values == [1, None, 2]
        assert gateway.services.ingest.unreadable == []
