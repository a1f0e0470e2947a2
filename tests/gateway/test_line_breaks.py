"""A line break behind a word is part of the word, and no route takes it for none."""

import json
from typing import Any

import pytest

from tests.gateway.running import Gateway

KEPT = {"experimentId": "tone", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "sold"}]}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/models/next/stage", {"stage": "shadow", "tenant": "acme\n"}),
        ("POST", "/api/models:rollback", {"tenant": "acme\n"}),
        ("POST", "/api/models/next%0A/stage", {"stage": "shadow"}),
        ("POST", "/api/tenants/acme/masking", {"kinds": [], "names": ["order_note\n"]}),
        ("POST", "/api/tenants/acme%0A/masking", {"kinds": [], "names": ["order_note"]}),
        ("POST", "/api/experiments", {**KEPT, "experimentId": "tone\n"}),
        ("POST", "/api/experiments", {**KEPT, "arms": [{"name": "a"}, {"name": "b\n"}]}),
        ("POST", "/api/experiments", {**KEPT, "metrics": [{"name": "sold\n"}]}),
        ("POST", "/api/experiments", {**KEPT, "salt": "tone\n"}),
        ("POST", "/api/experiments/tone%0A:start", {}),
        ("GET", "/api/experiments/tone%0A", None),
        ("GET", "/api/decisions?userId=ada&cursor=ab%0A", None),
        ("GET", "/api/interventions/ada/pending?cursor=1%0A", None),
    ],
)
async def test_a_line_break_behind_a_word_is_refused(gateway: Gateway, method: str, path: str, body: Any) -> None:
    content = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"content-type": "application/json"}
    answer = await gateway.client.request(method, path, content=content, headers=headers)
    assert answer.status_code in {400, 404, 422}, answer.text
    assert answer.json()["reason"]
