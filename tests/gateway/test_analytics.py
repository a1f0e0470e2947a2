"""Questions to analytics: JSON in, the contract's message out; the tenant is the caller's."""

import pytest
from journeymesh.analytics.v1 import analytics_pb2 as wire

from tests.gateway.running import Gateway


async def test_a_question_is_the_contract_as_json(gateway: Gateway) -> None:
    body = (
        b'{"window":{"start":"2026-01-02T00:00:00+01:00","timeZone":"Europe/Berlin"},"where":[{"field":"page",'
        b'"comparison":"begins_with","values":["/a"]}],"steps":[{"name":"one"}],"withinSeconds":60.0,"segment":null}'
    )
    answer = await gateway.post(body, "/api/analytics/funnels")
    assert answer.status_code == 200
    (asked,) = gateway.services.analytics.requests
    assert asked.tenant == ""
    assert asked.question.window.start.ToJsonString() == "2026-01-01T23:00:00Z"
    assert asked.question.where[0] == wire.Condition(
        field=wire.FIELD_PAGE, comparison=wire.COMPARISON_BEGINS_WITH, values=["/a"]
    )
    assert (asked.question.steps[0].name, asked.question.within_seconds) == ("one", 60)
    assert not asked.question.HasField("segment")


async def test_what_is_a_share_of_nothing_is_null(gateway: Gateway) -> None:
    (kpi,) = (await gateway.post(b"{}", "/api/analytics/kpis")).json()["kpis"]
    assert kpi == {"name": "abandonment_rate", "of": "", "value": None, "previousValue": None}
    gateway.services.analytics.kpis.kpis[0].value.value = 0.0
    (kpi,) = (await gateway.post(b"{}", "/api/analytics/kpis")).json()["kpis"]
    assert kpi["value"] == 0.0


async def test_the_user_of_a_journey_stands_in_the_path(gateway: Gateway) -> None:
    assert (await gateway.post(b'{"limit":5}', "/api/analytics/journeys/ada")).status_code == 200
    (asked,) = gateway.services.analytics.requests
    assert asked.question == wire.JourneyQuestion(user_id="ada", limit=5)
    refused = await gateway.post(b'{"userId":"bob"}', "/api/analytics/journeys/ada")
    assert refused.json()["reason"] == "UNKNOWN_FIELD"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "MALFORMED_JSON"),
        (b"[]", "INVALID_TYPE"),
        (b'{"measure":1}', "VALUE_OUT_OF_RANGE"),
        (b'{"measure":"evnts"}', "VALUE_OUT_OF_RANGE"),
        (b'{"mesure":"events"}', "UNKNOWN_FIELD"),
        (b'{"where":{}}', "INVALID_TYPE"),
        (b'{"seriesCount":"5"}', "INVALID_TYPE"),
        (b'{"seriesCount":true}', "INVALID_TYPE"),
        (b'{"seriesCount":2.5}', "INVALID_TYPE"),
        (b'{"seriesCount":99999999999}', "VALUE_OUT_OF_RANGE"),
        (b'{"window":{"start":"yesterday"}}', "INVALID_TIME"),
        (b'{"where":[{"values":[1]}]}', "INVALID_TYPE"),
    ],
)
async def test_what_is_no_question_is_refused(gateway: Gateway, body: bytes, reason: str) -> None:
    answer = await gateway.post(body, "/api/analytics/trends")
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert gateway.services.analytics.requests == []


@pytest.mark.parametrize(
    ("name", "number", "kind"),
    [
        ("csv", wire.EXPORT_FORMAT_CSV, "text/csv"),
        ("parquet", wire.EXPORT_FORMAT_PARQUET, "application/vnd.apache.parquet"),
    ],
)
async def test_an_answer_comes_as_a_file(gateway: Gateway, name: str, number: int, kind: str) -> None:
    answer = await gateway.post(b"{}", f"/api/analytics/kpis/export?format={name}")
    assert answer.content == b"a\n1"
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["content-disposition"] == f'attachment; filename="kpis.{name}"'
    assert answer.headers["x-receipt-sha256"] == "9f" * 32
    (asked,) = gateway.services.analytics.requests
    assert (asked.format, asked.WhichOneof("question")) == (number, "kpis")


async def test_a_segment_is_saved_changed_named_in_questions_and_deleted(gateway: Gateway) -> None:
    path = "/api/analytics/segments"
    draft = {"name": "one", "users": {"did": [{"field": "page", "values": ["/a"]}], "atLeast": "high"}}
    created = await gateway.client.post(path, json=draft)
    assert created.status_code == 201
    its = created.json()
    assert (its["name"], its["revision"], its["users"]["atLeast"]) == ("one", 1, "high")
    again = await gateway.client.post(path, json=draft)
    assert (again.status_code, again.json()["reason"]) == (409, "SEGMENT_NAME_TAKEN")

    own = f"{path}/{its['segmentId']}"
    changed = await gateway.client.put(own, json={"revision": 1, "segment": {**draft, "name": "two"}})
    assert (changed.json()["name"], changed.json()["revision"]) == ("two", 2)
    late = await gateway.client.put(own, json={"revision": 1, "segment": draft})
    assert (late.status_code, late.json()["reason"]) == (409, "SEGMENT_CHANGED")
    assert (await gateway.client.get(path)).json() == {"segments": [changed.json()]}

    for said in (its["segmentId"], {"saved": its["segmentId"]}):
        assert (await gateway.client.post("/api/analytics/kpis", json={"segment": said})).status_code == 200
    first, second = gateway.services.analytics.requests
    assert first == second
    assert first.question.segment == wire.UserFilter(saved=its["segmentId"])

    assert (await gateway.client.delete(own)).status_code == 204
    gone = await gateway.client.get(own)
    assert (gone.status_code, gone.json()["reason"]) == (404, "SEGMENT_NOT_FOUND")
