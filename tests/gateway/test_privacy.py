"""The routes of erasures."""

import pytest

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
