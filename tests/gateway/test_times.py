"""Times as people write them, on every way in."""

import json
from typing import Any

import pytest

from gateway.formats import cloudevents
from gateway.formats.values import times
from mesh.errors import InvalidArgument
from tests.gateway.running import Gateway

AT_US = 1_767_348_030_000_000

TIMES: list[Any] = [
    "2026-01-02T10:00:30Z",
    "2026-01-02t10:00:30z",
    "2026-01-02 10:00:30Z",
    "2026-01-02 10:00:30 UTC",
    "2026-01-02 10:00:30UTC",
    "2026-01-02T10:00:30 GMT",
    "2026-01-02 10:00:30+00",
    "2026-01-02 10:00:30 +0000",
    "2026-01-02T12:00:30+0200",
    "2026-01-02 05:00:30-05",
    "2026-01-02T10:00:30,000Z",
    "2026-01-02T10:00:30.000000000Z",
    "2026-1-2T10:00:30Z",
    "20260102T100030Z",
    " 2026-01-02T10:00:30Z ",
    "Fri, 02 Jan 2026 10:00:30 GMT",
    "Fri, 02 Jan 2026 12:00:30 +0200",
    1767348030,
    1767348030.0,
    1767348030000,
    "1767348030",
    "1767348030000",
    "1767348030.000",
]
NO_TIMES: list[Any] = [
    *(
        "yesterday",
        "",
        "now",
        "2026-02-30T10:00:30Z",
        "10:00:30",
        "02/01/2026 10:00",
        "2026-01-02T10:00:30 CET",
        "x" * 65,
    ),
    *(0, 70, 17673480, 20260102, 176734803000, 1767348030000000, -1767348030, 1e300, "17673480", "20260102100030"),
]
WITHOUT_ZONE = ["2026-01-02T10:00:30", "2026-01-02 10:00:30", "2026-01-02", "Fri, 02 Jan 2026 10:00:30 -0000"]


async def by_track(gateway: Gateway, written: Any) -> int:
    answer = await gateway.track({"userId": "ada", "eventType": "session_end", "timestamp": written})
    return answer.status_code


async def by_segment(gateway: Gateway, written: Any) -> int:
    message = {"userId": "ada", "event": "e", "timestamp": written}
    return (await gateway.client.post("/v1/track", json=message)).status_code


async def by_cloud(gateway: Gateway, written: Any) -> int:
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "session_end", "subject": "ada", "time": written}
    headers = {"content-type": cloudevents.STRUCTURED}
    return (await gateway.client.post("/api/events/track", content=json.dumps(event), headers=headers)).status_code


WAYS = [by_track, by_segment, by_cloud]


@pytest.mark.parametrize("written", TIMES)
async def test_a_time_is_read_alike_on_every_way_in(gateway: Gateway, written: Any) -> None:
    for way in WAYS:
        assert await way(gateway, written) in {200, 202}
    assert [event.event_time_us for event in gateway.services.ingest.events] == [AT_US] * 3


@pytest.mark.parametrize("written", NO_TIMES)
async def test_an_ambiguous_time_is_refused_and_kept(gateway: Gateway, written: Any) -> None:
    for way in WAYS:
        assert await way(gateway, written) == 400
    assert len(gateway.services.ingest.unreadable) == 3
    assert gateway.services.ingest.events == []


@pytest.mark.parametrize("written", WITHOUT_ZONE)
async def test_without_a_zone_it_is_utc_to_segment_alone(gateway: Gateway, written: Any) -> None:
    assert [await by_track(gateway, written), await by_cloud(gateway, written)] == [400, 400]
    assert (await by_segment(gateway, written) == 200) is (not written.startswith("Fri"))


@pytest.mark.parametrize("written", TIMES)
async def test_the_time_of_sending_is_read_alike(gateway: Gateway, written: Any) -> None:
    answer = await gateway.track({"userId": "ada", "eventType": "session_end", "sentAt": written})
    assert (answer.status_code, answer.json()["warnings"]) == (202, [])
    message = {"userId": "ada", "event": "e", "sentAt": written}
    assert (await gateway.client.post("/v1/track", json=message)).status_code == 200
    assert [event.sent_time_us for event in gateway.services.ingest.events] == [AT_US] * 2


@pytest.mark.parametrize(
    "written",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "Fri, 31 Dec 9999 23:59:59 -1400"],
)
async def test_a_time_outside_the_calendar_of_utc_is_refused(gateway: Gateway, written: str) -> None:
    with pytest.raises(InvalidArgument, match="INVALID_TIME"):
        times.with_zone(written, "time")
    for path in ("insights/incident/snooze", "analytics/costs"):
        asked = {"window": {"start": written}} if path.startswith("analytics") else {"until": written, "reason": "r"}
        answer = await gateway.client.post(f"/api/{path}", json=asked)
        assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_TIME")
