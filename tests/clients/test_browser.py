"""Pages of another origin, in a real Chromium: Segment's published browser client, and beacons to our own endpoints."""

import asyncio
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2

from mesh.errors import ResourceExhausted
from services.ingest.accept.domain.page import PageRules, page_of
from tests.clients.story import NODE
from tests.gateway.fakes import intervention
from tests.gateway.running import Gateway, listening

pytestmark = pytest.mark.tools

_SCRIPT: Final = Path(__file__).with_name("browser.mjs")
_SECONDS: Final = 60


async def tell(story: str, url: str) -> None:
    """Tells a story by a page in a browser."""
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: apt-get install chromium"
    command = [str(NODE), str(_SCRIPT), chromium, url, story]
    told = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert told.returncode == 0, told.stderr


async def heard(gateway: Gateway, count: int) -> list[event_pb2.Event]:
    """The events that came, once there are so many: what a page sends as it is left comes after it."""
    deadline = time.monotonic() + _SECONDS
    ingest = gateway.services.ingest
    while len(ingest.events) < count and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells of the last one
        await asyncio.sleep(0.02)
    return ingest.events


def kinds(events: list[event_pb2.Event]) -> list[str]:
    return [event_pb2.EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower() for event in events]


def properties(event: event_pb2.Event) -> Any:
    return json.loads(event.properties)


async def test_the_published_client_is_understood() -> None:
    async with listening(cors_origins="http://localhost:*") as (gateway, url):
        await tell("calls", url)
        events = sorted(await heard(gateway, 7), key=lambda event: event.event_time_us)
    viewed, aliased, identified, moved, bought, grouped, screen = events
    assert kinds(events)[:4] == ["page_view", "identify", "identify", "feature_interaction"]
    assert kinds(events)[4:] == ["purchase", "feature_interaction", "page_view"]
    assert (viewed.page.partition("/loans")[1:], viewed.platform) == (("/loans", "?q=1"), event_pb2.PLATFORM_WEB)
    assert viewed.user_id == viewed.anonymous_id == identified.anonymous_id != ""
    assert (identified.user_id, properties(identified)["plan"]) == ("ada", "pro")
    assert (moved.target, properties(moved)["value"]) == ("Slider Moved", 25000)
    assert (bought.purchase.amount, bought.purchase.currency) == (1234.5, "EUR")
    assert (properties(grouped)["groupId"], screen.page) == ("g-1", "Calculator")
    assert (aliased.user_id, aliased.anonymous_id) == ("ada", viewed.user_id)
    assert all(event.user_agent and event.sent_time_us for event in events)
    assert gateway.services.ingest.unreadable == []


async def test_pages_of_a_hash_router_are_told_apart() -> None:
    async with listening(cors_origins="http://localhost:*") as (gateway, url):
        await tell("routed", url)
        events = sorted(await heard(gateway, 7), key=lambda event: event.event_time_us)
    assert {properties(event)["url"].partition("/app/")[2] for event in events} == {""}
    views = [page_of(event.page, PageRules()) for event in events]
    assert [view.name for view in views[1:4]] == ["/app#/loans", "/app#/rates", "/app#/faq"]
    assert views[3] == views[4]
    assert len({view.name for view in views[:4]}) == 4
    assert len({view.address for view in views[5:]}) == 2


@pytest.mark.parametrize(("story", "count"), [("told", 1), ("batched", 3), ("left", 3)])
async def test_it_sends_in_each_of_its_ways(story: str, count: int) -> None:
    async with listening(cors_origins="http://localhost:*") as (gateway, url):
        await tell(story, url)
        events = await heard(gateway, count)
    assert sorted(properties(event)["value"] for event in events) == list(range(1, count + 1))


async def test_it_comes_again_when_it_is_told_to() -> None:
    async with listening(cors_origins="*") as (gateway, url):
        ingest = gateway.services.ingest
        ingest.error = ResourceExhausted("BUFFER_FULL", "Full.", 1)
        telling = asyncio.create_task(tell("told", url))
        await asyncio.wait_for(ingest.arrived.wait(), _SECONDS)
        ingest.error = None
        await telling
        assert len(await heard(gateway, 1)) == 1


async def test_beacons_of_a_page_that_is_left_are_taken() -> None:
    async with listening(cors_origins="http://localhost:*") as (gateway, url):
        made = intervention_pb2.GetInterventionResponse(intervention=intervention("i-1"), user_id="ada")
        gateway.services.intervention.made["i-1"] = made
        await tell("beacons", url)
        events = await heard(gateway, 5)
    ids = {"as a text", "as JSON", "as nothing", "kept alive", "jm:outcome:i-1:declined"}
    assert {event.event_id for event in events} == ids


async def test_headers_of_tracing_pass_and_answers_can_be_read() -> None:
    async with listening(cors_origins="http://localhost:*") as (gateway, url):
        await tell("traced", url)
        (event,) = await heard(gateway, 1)
    assert event.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
