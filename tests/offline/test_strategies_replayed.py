"""Help by segment is derived again from the archive bit for bit, and by another policy from the same segments."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from journeymesh.common.v1 import event_pb2

from offline import archive
from offline.decisions import archived
from offline.decisions.archived import Record
from offline.decisions.what_if import Alternative
from offline.declared import archived as declared
from offline.declared import label, moments
from offline.declared.journeys import spill
from offline.declared.moments import Span
from services.features.domain.state import DAY_US
from services.ingest.archive.adapters.files import ParquetArchive
from services.intervention.policy.domain.interpretation import policy_of
from tests.builders import MINUTE_US, NOW_US, event
from tests.intervention.test_segments import STRATEGIES, action
from tests.offline import mesh
from tests.offline.test_what_if import document, replayed

USERS = 24
SEGMENTS = ("Champions", "New", "")
POLICY: dict[str, Any] = document(
    version="strategies", actions=STRATEGIES, exploration={"temperature": 0.5, "floor": 0.1, "salt": "1"}, cooldown="1m"
)
OTHER = document(
    version="other", actions=[action("loyal", segments=["Loyal"]), action("all_but", segments=[*SEGMENTS[:2], "none"])]
)
PRODUCTS = [{"product_id": f"p-{number}"} for number in range(3)]


def of_user(number: int) -> list[event_pb2.Event]:
    """A user who is in a segment, struggles, buys what is recommended, struggles again, and is moved."""
    user, first_us = f"user-{number}", NOW_US + number

    def at(minutes: int, kind: str, **members: Any) -> event_pb2.Event:
        at_us = first_us + minutes * MINUTE_US
        return event(
            f"{user}-{minutes}", user, kind, event_time_us=at_us, received_time_us=at_us, page="/loan", **members
        )

    def said(minutes: int, segment: str) -> event_pb2.Event:
        change = {"segment": segment, "previous_segment": "Loyal", "products": PRODUCTS}
        return at(minutes, "segment_change", is_system=True, segment_change=change)

    bought = {"amount": 5, "currency": "EUR", "lines": [{"product_id": "p-0", "quantity": 1}]}
    return [
        said(0, SEGMENTS[number % 3]),
        at(1, "struggle_signal", attempt_count=4),
        at(5, "purchase", purchase=bought),
        at(10, "struggle_signal", attempt_count=5),
        said(11, "Loyal"),
        at(50, "struggle_signal", attempt_count=6),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("archive")

    async def fill() -> None:
        async with mesh.running(made, json.dumps(POLICY)) as running:
            for number in range(USERS):
                for each in of_user(number):
                    await running.send(each)
            await running.archive()

    asyncio.run(fill())
    return made


@pytest.fixture(scope="module")
def records(folder: Path) -> list[Record]:
    files = ParquetArchive(f"file://{folder}")
    return list(archived.records(files, archive.contents(files), lambda events: events))


def test_the_same_decisions_are_derived_again(records: list[Record]) -> None:
    found = replayed(records, policies=[policy_of(POLICY)])
    assert (found.compared_count, found.different_count) == (USERS * 6, 0)
    rows = [row["intervention"] for each in records for row in each.decisions.values() if row["intervention"]]
    made = [json.loads(each) for each in rows]
    assert {each["action"] for each in made} == {"thank", "welcome", "help"}
    offered = {tuple(product["product_id"] for product in each.get("products", ())) for each in made}
    assert offered == {("p-0", "p-1"), ("p-1", "p-2"), ()}  # p-0 was bought between


def test_another_policy_is_tried_on_the_same_segments(records: list[Record]) -> None:
    found = replayed(records, Alternative(policy=policy_of(OTHER)), policies=[policy_of(POLICY)])
    assert found.other_actions == {"all_but": USERS, "loyal": USERS}


def test_segments_are_no_moments_of_training(folder: Path, tmp_path: Path) -> None:
    spilled = spill(declared.taken(str(folder)), tmp_path)
    assert {len(each.events) for each in spilled.journeys()} == {6}
    asked = label.parse("session is over, at events", ())
    span = Span(spilled.first_us, spilled.last_us + DAY_US)
    assert {len(list(moments.snapshots(each, asked, span))) for each in spilled.journeys()} == {4}
