"""The routes of erasures and exports."""

import pytest
from journeymesh.ingest.v1 import export_pb2

from tests.gateway.running import Gateway


async def test_an_erasure_is_begun_and_followed(gateway: Gateway) -> None:
    begun = await gateway.client.post("/api/privacy/erasures", json={"userId": "ada"})
    assert begun.status_code == 202
    assert gateway.services.erasures.user_ids == ["ada"]
    followed = await gateway.client.get("/api/privacy/erasures/e_1")
    assert followed.json() == begun.json()
    assert (followed.json()["state"], followed.json()["isSuppressing"], followed.json()["receipt"]) == (
        "suppressed",
        True,
        "",
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{}", "INVALID_TYPE"),
        ('{"userId":1}', "INVALID_TYPE"),
        ('{"userId":"ada","dryRun":true}', "UNKNOWN_FIELD"),
        ('["ada"]', "INVALID_TYPE"),
    ],
)
async def test_nobody_is_erased_by_a_body_that_says_something_else(gateway: Gateway, body: str, reason: str) -> None:
    answer = await gateway.client.post(
        "/api/privacy/erasures", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert gateway.services.erasures.user_ids == []


@pytest.mark.parametrize(
    ("method", "erasure_id", "status", "reason"),
    [
        ("GET", "e_2", 404, "ERASURE_NOT_FOUND"),
        ("DELETE", "e_2", 404, "ERASURE_NOT_FOUND"),
        ("DELETE", "e_1", 409, "ERASURE_UNFINISHED"),
    ],
)
async def test_what_cannot_be_done_is_said(
    gateway: Gateway, method: str, erasure_id: str, status: int, reason: str
) -> None:
    answer = await gateway.client.request(method, f"/api/privacy/erasures/{erasure_id}")
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


async def test_an_export_is_begun_followed_and_read(gateway: Gateway) -> None:
    begun = await gateway.client.post("/api/privacy/exports", json={"userId": "ada"})
    assert (begun.status_code, begun.json()["state"]) == (202, "collecting")
    assert gateway.services.exports.user_ids == ["ada"]
    assert (await gateway.client.get("/api/privacy/exports/x_1")).json() == begun.json()
    early = await gateway.client.get("/api/privacy/exports/x_1/data")
    assert (early.status_code, early.json()["reason"]) == (409, "EXPORT_UNFINISHED")
    gateway.services.exports.export.state = export_pb2.EXPORT_STATE_READY
    for number, (form, content_type) in enumerate((("json", "application/json"), ("csv", "application/zip")), 1):
        read = await gateway.client.get(f"/api/privacy/exports/x_1/data?format={form}")
        assert (read.status_code, read.headers["content-type"]) == (200, content_type)
        assert read.text == f"{number} x_1"
        assert read.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("x_2", 404, "EXPORT_NOT_FOUND"),
        ("x_2/data", 404, "EXPORT_NOT_FOUND"),
        ("x_1/data?format=xml", 400, "INVALID_PARAMETER"),
    ],
)
async def test_an_export_that_cannot_be_read_is_refused(gateway: Gateway, path: str, status: int, reason: str) -> None:
    answer = await gateway.client.get(f"/api/privacy/exports/{path}")
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


async def test_what_retention_deletes_is_told_by_tenant_and_of_all_files(gateway: Gateway) -> None:
    answer = await gateway.client.get("/api/privacy/retention?on=2026-01-05")
    assert (answer.status_code, answer.json()["on"]) == (200, "2026-01-05")
    assert [each["tenant"] for each in answer.json()["expiries"]] == ["", "acme"]
    assert answer.json()["expiries"][0]["firstKeptDay"] == "2025-12-04"
    assert answer.json()["files"]["deletedBytes"] == 70
    assert (await gateway.client.get("/api/privacy/retention")).status_code == 200
    assert gateway.services.retention.days == ["2026-01-05", ""]


async def test_retention_and_masking_are_set_for_a_tenant(gateway: Gateway) -> None:
    await gateway.services.world.access.create_tenant("acme")
    retained = await gateway.client.post("/api/tenants/acme/retention", json={"days": 30})
    assert (retained.status_code, retained.json()["retentionDays"]) == (200, 30)
    masked = await gateway.client.post("/api/tenants/acme/masking", json={"kinds": ["phone"], "names": ["order_note"]})
    assert masked.json()["masking"] == {"kinds": ["phone"], "names": ["order_note"]}
    assert (await gateway.client.get("/api/tenants")).json()["tenants"] == [masked.json()]
    none = await gateway.client.post("/api/tenants/acme/masking", json={})
    assert (none.status_code, none.json()["masking"]) == (200, None)


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("acme/retention", {}, 400, "INVALID_TYPE"),
        ("acme/retention", {"days": -1}, 400, "INVALID_TYPE"),
        ("acme/retention", {"days": 36501}, 400, "INVALID_TYPE"),
        ("acme/retention", {"days": 1, "now": True}, 400, "UNKNOWN_FIELD"),
        ("acme/masking", {"kinds": ["mails"]}, 400, "INVALID_TYPE"),
        ("acme/masking", {"names": ["-"]}, 400, "INVALID_TYPE"),
        ("beta/retention", {"days": 1}, 404, "TENANT_NOT_FOUND"),
        ("default/masking", {"names": ["a"]}, 404, "TENANT_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_set_for_a_tenant_is_refused(
    gateway: Gateway, path: str, body: object, status: int, reason: str
) -> None:
    await gateway.services.world.access.create_tenant("acme")
    answer = await gateway.client.post(f"/api/tenants/{path}", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    (acme,) = (await gateway.client.get("/api/tenants")).json()["tenants"]
    assert (acme["retentionDays"], acme["masking"]) == (0, None)
