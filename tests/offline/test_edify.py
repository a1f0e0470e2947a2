"""The Moodle log becomes events that the contract knows, in time order, the same in every run."""

import collections
import gzip
import os
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from journeymesh.common.v1 import event_pb2

from mesh.settings import read
from offline.datasets import edify
from offline.settings import Settings

HEADER = "offering,Time,Event context,Component,Event name,Origin,moodle_user,obj\n"
ROWS = """\
M1_F19,2019-10-01 09:02:00,File: Week 1,File,Course module viewed,web,7,12
M1_F19,2019-10-01 09:01:00,Course: Object Oriented Programming(Fall 2019),System,Course viewed,web,7,
M1_F19,2019-10-01 09:01:00,Assignment: Lab,Assignment,Submission form viewed.,ws,8,
M1_F19,2019-10-01 09:00:00,Course: Object Oriented Programming(Fall 2019),System,Course backup created,cli,1,
M1_F19,,File: Week 1,File,Course module viewed,web,7,
M1_F19,2019-10-01 09:00:00,Assignment: Lab,Assignment,A submission has been submitted.,web,,
M1_F19,2019-10-01 09:00:00,Assignment: Lab,Assignment,The submission has been graded.,web,9,
M1_F19,2019-10-01 08:59:00,Assignment: Lab,Assignment,A submission has been submitted.,web,8,
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "moodle_events.csv.gz").write_bytes(gzip.compress((HEADER + ROWS).encode()))
    return tmp_path


def test_rows_become_events_in_time_order(folder: Path) -> None:
    mapped = [(e["userId"], e["eventType"], e["timestamp"]) for e in edify.events(folder)]
    assert mapped == [
        ("edify-8", "task_success", "2019-10-01T08:59:00Z"),
        ("edify-8", "form_start", "2019-10-01T09:01:00Z"),
        ("edify-7", "page_view", "2019-10-01T09:01:00Z"),
        ("edify-7", "page_view", "2019-10-01T09:02:00Z"),
    ]


def test_an_event_has_the_shape_of_the_contract(folder: Path) -> None:
    first, begun, *_ = edify.events(folder)
    assert begun == {
        "eventId": "edify-000002",
        "userId": "edify-8",
        "eventType": "form_start",
        "timestamp": "2019-10-01T09:01:00Z",
        "properties": {
            "page": "/m1-f19/assignment/lab",
            "offering": "M1_F19",
            "component": "Assignment",
            "form": "/m1-f19/assignment/lab",
        },
        "context": {"platform": "mobile"},
    }
    assert cast("dict[str, Any]", first["properties"])["feature"] == "a-submission-has-been-submitted"


DATA = Path(read(Settings, os.environ).data) / edify.NAME


@pytest.mark.skipif(not DATA.exists(), reason="the published data is not here")
def test_the_published_log_is_mapped_whole() -> None:
    events = list(edify.events(DATA))
    kinds = {name.removeprefix("EVENT_TYPE_").lower() for name in event_pb2.EventType.keys()}  # noqa: SIM118 - an enum
    assert 30_000 < len(events) < 36_106
    assert len({str(event["eventId"]) for event in events}) == len(events)
    assert {str(event["eventType"]) for event in events} <= kinds
    times = [datetime.fromisoformat(str(event["timestamp"])) for event in events]
    assert times == sorted(times)
    count = collections.Counter(event["eventType"] for event in events)
    assert count["page_view"] > count["task_success"] > count["form_submit"] > 0
