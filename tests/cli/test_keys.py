"""`journeymesh keys`, against the access service."""

import argparse
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub, add_AccessServiceServicer_to_server
from rich.console import Console

from cli import keys
from mesh import keys as texts
from mesh.errors import InvalidArgument, NotFound, Unavailable
from mesh.keys import presented
from mesh.observability import telemetry
from mesh.process.server import serving as serving_on
from mesh.process.site import Site
from mesh.rpc.tls import Tls
from services.access.keys.servicer import AccessServicer
from services.access.keys.usecases import Access
from tests import certificates
from tests.access.builders import DAY_US, World
from tests.conftest import free_port
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub

PUBLIC = ("create", "--kind", "public", "--name", "shop")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def stub(world: World) -> AsyncIterator["AccessServiceAsyncStub"]:
    async with serving(lambda to: add_AccessServiceServicer_to_server(AccessServicer(world.access), to)) as channel:
        yield AccessServiceStub(channel)


def parsed(*given: str) -> argparse.Namespace:
    """The arguments of the command."""
    parser = argparse.ArgumentParser()
    keys.add_arguments(parser)
    return parser.parse_args(given)


async def printed(stub: "AccessServiceAsyncStub", *given: str, width: int = 80) -> str:
    """What a subcommand prints on a terminal of so many columns."""
    written = io.StringIO()
    await keys.run(stub, parsed(*given), Console(file=written, width=width, highlight=False, markup=False))
    return written.getvalue()


async def answered(stub: "AccessServiceAsyncStub", *given: str) -> dict[str, Any]:
    """The object that a subcommand prints for scripts."""
    text = await printed(stub, *given, "--json")
    assert text.count("\n") == 1
    return dict(json.loads(text))


async def test_the_text_of_a_new_key_stands_alone_on_a_line(stub: "AccessServiceAsyncStub") -> None:
    text = await printed(stub, *PUBLIC, "--expires", "90d", width=40)
    (line,) = [each for each in text.splitlines() if texts.presented(each)]
    presented = texts.presented(line)
    assert presented is not None
    assert f"The public key {presented.key_id} (shop) is valid until 2026-04-02 10:00 UTC." in text
    assert "shown only once" in text
    assert "Its scopes: events:write, help." in text
    (secret,) = [each for each in text.splitlines() if len(each) == 43 and each.isalnum()]
    assert f"signs who the user of a page is. It is shown only once; keep it on the server:\n\n{secret}\n" in text


async def test_only_public_keys_have_an_identity_secret(stub: "AccessServiceAsyncStub") -> None:
    assert "identity secret" not in await printed(stub, "create", "--kind", "secret", "--name", "server")
    created = await answered(stub, "create", "--kind", "admin", "--name", "me")
    assert (created["kind"], created["identitySecret"], created["endsAt"]) == ("admin", None, None)
    assert created["scopes"] == sorted(texts.Scope)


async def test_scripts_get_one_object(stub: "AccessServiceAsyncStub") -> None:
    options = ("--origin", "https://shop.example", "--origin", "http://localhost:3000", "--event-type", "click")
    created = await answered(stub, *PUBLIC, "--scope", "events:write", *options)
    assert created.keys() == {
        *("keyId", "kind", "name", "state", "scopes", "origins", "eventTypes", "createdAt", "lastUsedAt", "endsAt"),
        *("successorId", "tenant", "text", "identitySecret", "rate"),
    }
    assert created["scopes"] == ["events:write"]
    assert created["origins"] == ["http://localhost:3000", "https://shop.example"]
    assert created["eventTypes"] == ["click"]
    assert created["createdAt"] == "2026-01-02T10:00:00Z"
    listed = await answered(stub, "list")
    del created["text"], created["identitySecret"]
    assert listed == {"keys": [created]}


class Forgetful(AccessServicer):
    """Does what it is asked, and at the first call of each kind fails to say so."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._told: set[str] = set()

    async def CreateKey(self, request: wire.CreateKeyRequest, context: Any) -> wire.CreateKeyResponse:
        answer = await super().CreateKey(request, context)
        self._forget("create")
        assert answer.text == ""
        return answer

    async def RotateKey(self, request: wire.RotateKeyRequest, context: Any) -> wire.RotateKeyResponse:
        answer = await super().RotateKey(request, context)
        self._forget("rotate")
        return answer

    def _forget(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.")


async def test_an_answer_that_is_lost_creates_no_second_key(world: World) -> None:
    async with serving(lambda to: add_AccessServiceServicer_to_server(Forgetful(world.access), to)) as channel:
        stub: AccessServiceAsyncStub = AccessServiceStub(channel)
        created = await answered(stub, *PUBLIC)
        rotated = await answered(stub, "rotate", created["keyId"])
        listed = (await answered(stub, "list"))["keys"]
        assert {each["keyId"] for each in listed} == {created["keyId"], rotated["keyId"]}
        for each in (created, rotated):
            presented = texts.presented(each["text"])
            assert presented is not None
            assert (presented.kind, presented.key_id) == (texts.Kind.PUBLIC, each["keyId"])


async def test_a_key_keeps_its_rate_when_it_is_rotated(stub: "AccessServiceAsyncStub") -> None:
    assert "It may send" not in await printed(stub, *PUBLIC)
    text = await printed(stub, *PUBLIC, "--rate", "500", "--burst", "1500")
    assert "It may send and ask for 500 events and other requests per second, 1,500 at once." in text
    created = await answered(stub, *PUBLIC, "--rate", "500")
    assert created["rate"] == {"perSecond": 500, "burst": 1000}
    assert (await answered(stub, "rotate", created["keyId"]))["rate"] == created["rate"]


async def test_keys_are_listed_in_a_table(stub: "AccessServiceAsyncStub", world: World) -> None:
    assert "There are no keys" in await printed(stub, "list")
    shop = await answered(stub, *PUBLIC, "--origin", "https://shop.example")
    world.now_us += DAY_US
    options = ("--expires", "30m", "--rate", "50")
    server = await answered(stub, "create", "--kind", "secret", "--name", "[red]server[/red]", *options)
    await world.access.record_uses({shop["keyId"]: world.now_us})
    await printed(stub, "revoke", shop["keyId"])
    lines = (await printed(stub, "list", width=200)).splitlines()
    rows = [re.split(r" {2,}", line.strip()) for line in lines if line.startswith((shop["keyId"], server["keyId"]))]
    assert rows == [
        [
            *(server["keyId"], "default", "secret", "[red]server[/red]", "active", "50/s", "events:write"),
            *("2026-01-03 10:00", "never", "2026-01-03 10:30"),
        ],
        [
            *(shop["keyId"], "default", "public", "shop", "revoked", "any", "events:write", "https://shop.example"),
            *("2026-01-02 10:00", "2026-01-03 10:00", "2026-01-03 10:00"),
        ],
    ]
    words = " ".join(lines).split()
    assert [word for word in words if word in set(texts.Scope)] == [
        *("events:write", "facts:write", "figures:read", "help", "people:read"),
        *("events:write", "help"),
    ]
    assert lines[0].split() == [
        *("id", "tenant", "kind", "name", "state", "rate", "scopes", "origins", "created", "last", "used", "ends"),
    ]


async def test_a_rotated_key_stays_valid_for_its_grace(stub: "AccessServiceAsyncStub", world: World) -> None:
    old = await answered(stub, *PUBLIC)
    text = await printed(stub, "rotate", old["keyId"])
    (line,) = [each for each in text.splitlines() if texts.presented(each)]
    assert line != old["text"]
    assert f"The old key {old['keyId']} stays valid until 2026-01-03 10:00 UTC." in text
    world.now_us += DAY_US
    other = await answered(stub, *PUBLIC)
    assert "is no longer valid" in await printed(stub, "rotate", other["keyId"], "--grace", "0s")
    third = await answered(stub, *PUBLIC)
    rotated = await answered(stub, "rotate", third["keyId"], "--grace", "24h")
    assert rotated["replaced"]["successorId"] == rotated["keyId"]
    assert rotated["replaced"]["endsAt"] == "2026-01-04T10:00:00Z"
    assert len({rotated["identitySecret"], third["identitySecret"]}) == 2


async def test_a_key_is_revoked_once(stub: "AccessServiceAsyncStub", world: World) -> None:
    made = await answered(stub, *PUBLIC)
    sentence = f"The public key {made['keyId']} (shop) is revoked. Gateways refuse it within five seconds.\n"
    assert await printed(stub, "revoke", made["keyId"]) == sentence
    assert (await answered(stub, "revoke", made["keyId"]))["state"] == "revoked"
    brief = await answered(stub, *PUBLIC, "--expires", "60s")
    world.now_us += DAY_US
    assert "had ended before: expired." in await printed(stub, "revoke", brief["keyId"])


async def test_what_the_service_refuses_is_raised(stub: "AccessServiceAsyncStub") -> None:
    with pytest.raises(NotFound):
        await printed(stub, "revoke", "nobody")
    with pytest.raises(InvalidArgument):
        await printed(stub, *PUBLIC, "--origin", "*")


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1w", "1.5h", "9999999999d"])
def test_a_duration_has_a_number_and_a_unit(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(*PUBLIC, f"--expires={text}")
    assert "is no duration such as 90d, 24h or 30m" in capsys.readouterr().err


async def test_the_command_dials_where_the_setting_says(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registers = [lambda to: add_AccessServiceServicer_to_server(AccessServicer(world.access), to)]
    async with serving_on("127.0.0.1:0", registers, [], {}, telemetry.off()) as port:
        monkeypatch.setenv("JOURNEYMESH_ACCESS_TARGET", f"127.0.0.1:{port}")
        assert await keys.main(parsed(*PUBLIC, "--json")) == 0
        created = json.loads(capsys.readouterr().out)
        assert texts.presented(created["text"]) is not None
        assert await keys.main(parsed("revoke", "nobody")) == 1
        refused = capsys.readouterr()
    assert refused.out == ""
    assert refused.err == "journeymesh: No key has this id, or it ended more than 30 days ago.\n"


async def test_the_command_shows_the_mesh_s_certificate(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    files = certificates.issue(tmp_path, trustme.CA())
    site = Site(tls=Tls.wanted(certificates.settings(files)))
    registers = [lambda to: add_AccessServiceServicer_to_server(AccessServicer(world.access), to)]
    async with serving_on("127.0.0.1:0", registers, [], {}, telemetry.off(), site) as port:
        monkeypatch.setenv("JOURNEYMESH_ACCESS_TARGET", f"localhost:{port}")
        assert await keys.main(parsed("list")) == 1
        for name, file in certificates.environment(files).items():
            monkeypatch.setenv(name, file)
        assert await keys.main(parsed("list")) == 0
    assert "There are no keys" in capsys.readouterr().out


async def test_a_service_that_is_away_is_named_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("JOURNEYMESH_ACCESS_TARGET", target)
    assert await keys.main(parsed("list")) == 1
    assert capsys.readouterr().err == f"journeymesh: the access service does not answer at {target}.\n"


async def test_a_text_that_no_mesh_has_is_printed_without_asking_one(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    keys.add_arguments(parser)
    for kind, beginning in (("admin", "jm_adm_"), ("secret", "jm_sk_")):
        assert await keys.main(parser.parse_args(["text", "--kind", kind])) == 0
        text = capsys.readouterr().out.strip()
        assert text.startswith(beginning)
        assert presented(text)
