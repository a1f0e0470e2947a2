"""The models over REST, and the command that uses it."""

import argparse
import io
import json
from typing import Any

import pytest
from rich.console import Console

from cli import model
from tests.gateway.running import Gateway

EVERYBODY = {"tenant": "", "live": "oulad-1", "canary": "", "canaryPercent": 0.0, "shadow": "", "earlier": []}


async def post(gateway: Gateway, path: str, body: object, status: int = 200) -> Any:
    answer = await gateway.post(json.dumps(body).encode(), path)
    assert answer.status_code == status, answer.text
    return answer.json()


async def listed(gateway: Gateway) -> Any:
    return (await gateway.client.get("/api/models")).json()


async def test_a_model_is_tried_promoted_and_taken_back(gateway: Gateway) -> None:
    tried = await post(gateway, "/api/models/next/stage", {"stage": "canary", "percent": 5, "why": "new data"})
    assert tried == EVERYBODY | {"canary": "next", "canaryPercent": 5.0}
    assert await post(gateway, "/api/models/next/stage", {"stage": "live"}) == EVERYBODY | {
        "live": "next",
        "earlier": ["oulad-1"],
    }
    assert await post(gateway, "/api/models:rollback", {}) == EVERYBODY
    told = await listed(gateway)
    assert [each["modelVersion"] for each in told["models"]] == ["next", "oulad-1"]
    assert told["stages"] == [EVERYBODY]
    assert [(each["stage"], each["actor"], each["why"]) for each in told["changes"]] == [
        ("live", "nobody", ""),
        ("live", "nobody", ""),
        ("canary", "nobody", "new data"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/api/models/other/stage", {"stage": "live"}, 404, "MODEL_NOT_FOUND"),
        ("/api/models/next/stage", {"stage": "best"}, 400, "VALUE_OUT_OF_RANGE"),
        ("/api/models/next/stage", {"stage": "canary"}, 409, "STAGE_INVALID"),
        ("/api/models/next/stage", {"stage": "canary", "percent": 101}, 400, "INVALID_TYPE"),
        ("/api/models/next/stage", {"stage": "live", "tenant": "No Name"}, 400, "INVALID_TYPE"),
        ("/api/models/next/stage", {"stage": "live", "share": 5}, 400, "UNKNOWN_FIELD"),
        ("/api/models:rollback", {"tenant": "acme"}, 409, "STAGE_INVALID"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    gateway: Gateway, path: str, body: object, status: int, reason: str
) -> None:
    assert (await post(gateway, path, body, status))["reason"] == reason
    assert (await listed(gateway))["stages"] == [EVERYBODY]


async def ran(gateway: Gateway, *given: str) -> tuple[int, str]:
    """What the command returns and prints."""
    parser, said = argparse.ArgumentParser(), io.StringIO()
    model.add_arguments(parser)
    console = Console(file=said, highlight=False, markup=False, soft_wrap=True, width=120)
    return await model.run(gateway.client, parser.parse_args(given), console), said.getvalue()


async def test_the_command_does_the_same(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = await ran(gateway, "stage", "canary", "next", "--percent", "5")
    assert (code, said.split(";")[0]) == (0, "oulad-1 is live, next the canary for 5% of users")
    code, said = await ran(gateway, "promote", "next", "--tenant", "acme", "--why", "theirs")
    assert (code, said.split(";")[0]) == (0, "next is live for acme")
    code, said = await ran(gateway, "list")
    assert code == 0
    assert "canary 5%, live (acme)" in said
    assert "nobody: next is live for acme: theirs" in said
    code, said = await ran(gateway, "rollback", "--json")
    assert (code, json.loads(said)) == (0, EVERYBODY)
    assert (await ran(gateway, "rollback"))[0] == 1
    assert "no model was live before" in capsys.readouterr().err
    assert (await ran(gateway, "promote", "a/b"))[0] == 1
