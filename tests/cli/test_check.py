"""`journeymesh check`, against the mesh in this process and against what is no mesh, or not yet one."""

import argparse
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cli import check
from tests.conftest import free_port
from tests.e2e.in_process import running_mesh

HELD_OUT = "The user is held out."


class Scripted:
    """A gateway that helps the user at a place of the order they come in, and lets a test refuse a path."""

    def __init__(self, helps: int, refusals: dict[str, httpx.Response] | None = None, state: str = "applied") -> None:
        self.helps, self.refusals, self.state = helps, refusals or {}, state
        self.users: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path in self.refusals:
            return self.refusals[path]
        return httpx.Response(200, json=self._answer(request))

    def _answer(self, request: httpx.Request) -> Any:
        match request.url.path.split("/")[1:]:
            case ["api", "events", "track"]:
                self.users += set(re.findall(r"check-\w+", request.content.decode()))
                return {"eventIds": ["e-1", "e-2", "e-3"]}
            case ["api", "events", _]:
                return {"state": self.state}
            case ["api", "interventions", user, "pending"]:
                is_helped = self.users.index(user) + 1 == self.helps
                return {"hasPendingIntervention": is_helped, "intervention": {"id": "i-1", "action": "chat"}}
            case ["api", "interventions", "i-1"]:
                return {"decisionId": "d-1"}
            case ["api", "decisions"]:
                return {"decisions": [{"explanation": HELD_OUT}]}
        return {}


def client(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://mesh")


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_AWAY_SECONDS", 0.0)


async def test_help_is_seen_with_its_decision_and_its_time() -> None:
    async with running_mesh() as mesh:
        help_ = await check.check(mesh.client, 20)
        decision = (await mesh.client.get(f"/api/decisions/{help_.decision_id}")).json()
    assert help_.action == "show_live_chat_popup"
    assert 0 < help_.seconds < 20
    assert (decision["userId"], decision["kind"]) == (help_.user_id, "intervene")


async def test_a_user_who_is_held_out_is_followed_by_another() -> None:
    gateway = Scripted(helps=3)
    async with client(gateway) as one:
        help_ = await check.check(one, 20)
    assert help_.user_id == gateway.users[2]
    assert len(set(gateway.users)) == 3


async def test_another_decision_is_explained() -> None:
    async with client(Scripted(helps=10**9)) as one:
        with pytest.raises(check.NoHelpError, match=f"^No help for check-.*: {re.escape(HELD_OUT)}$"):
            await check.check(one, 0.2)


async def test_events_that_nobody_applies_exhaust_the_patience() -> None:
    async with client(Scripted(helps=10**9, state="buffered")) as one:
        with pytest.raises(check.NoHelpError, match=r"^No help came within 0\.2 s\.$"):
            await check.check(one, 0.2)


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        ("/readyz", httpx.Response(503, json={"detail": "Not ready: scoring."}), "Not ready: scoring."),
        ("/readyz", httpx.Response(404, text="nothing here"), "It answers 404 to /readyz."),
        ("/readyz", httpx.Response(200, text="<html>"), "The server at this address is not a gateway."),
        ("/api/events/track", httpx.Response(429, json={"detail": "Too much."}), "Too much."),
    ],
)
async def test_a_refusal_of_the_gateway_is_printed(path: str, answer: httpx.Response, sentence: str) -> None:
    async with client(Scripted(1, {path: answer})) as one:
        with pytest.raises(check.NoHelpError, match=f"^{re.escape(sentence)}$"):
            await check.check(one, 0.2)


async def test_no_gateway_is_one_sentence_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert await check.main(argparse.Namespace(url=url, patience=0.2)) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(f"journeymesh: {url}: The gateway does not answer")
    assert printed.count("\n") == 1


async def test_a_wrong_address_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert await check.main(argparse.Namespace(url="http://[", patience=0.2)) == 1
    assert capsys.readouterr().out.startswith("journeymesh: http://[: ")
