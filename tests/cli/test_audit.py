"""`journeymesh audit`, against the access service."""

import argparse
import dataclasses
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from journeymesh.access.v1.audit_pb2_grpc import AuditServiceStub, add_AuditServiceServicer_to_server
from rich.console import Console

from cli import audit as command
from mesh.observability import telemetry
from mesh.process.server import serving as serving_on
from services.access.audit.adapters import heads
from services.access.audit.adapters.memory import MemoryChain
from services.access.audit.domain.entry import Act
from services.access.audit.domain.verification import Page
from services.access.audit.servicer import AuditServicer
from services.access.audit.usecases import NewAct, Signing
from tests.access.builders import World
from tests.builders import NOW_US
from tests.conftest import free_port
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.audit_pb2_grpc import AuditServiceAsyncStub


class Forging(MemoryChain):
    """A chain whose owner changes what it gives."""

    forged = b"", b""

    async def read(self, after: int, most: int) -> Page:
        """See `services.access.audit.ports.Chain`."""
        page = await super().read(after, most)
        return dataclasses.replace(page, entries=[each.replace(*self.forged) for each in page.entries])


@pytest.fixture
async def world() -> World:
    world = World(chain=Forging())
    acts = [Act(bytes([number] * 16), NOW_US, f"k{number % 2}", "GET", f"u{number % 3}", b"") for number in range(6)]
    await world.audit.record([NewAct(act, is_user=True) for act in acts])
    return world


@pytest.fixture
async def stub(world: World) -> AsyncIterator["AuditServiceAsyncStub"]:
    async with serving(lambda to: add_AuditServiceServicer_to_server(AuditServicer(world.audit), to)) as channel:
        yield AuditServiceStub(channel)


def parsed(*given: str) -> argparse.Namespace:
    """The arguments of the command."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(given)


async def ran(stub: "AuditServiceAsyncStub", *given: str) -> tuple[int, str, str]:
    """The exit code of a subcommand, what it prints, and what it says of errors."""
    written, errors = (Console(file=io.StringIO(), width=200, highlight=False, markup=False) for _ in range(2))
    code = await command.run(stub, parsed(*given), written, errors)
    return code, *(each.file.getvalue() for each in (written, errors))  # type: ignore[attr-defined]


async def test_entries_are_listed_by_actor_and_user(stub: "AuditServiceAsyncStub") -> None:
    code, text, _ = await ran(stub, "list")
    assert (code, len(text.splitlines())) == (0, 7)
    _, text, _ = await ran(stub, "list", "--actor", "k1", "--user", "u0", "--json")
    (entry,) = json.loads(text)["entries"]
    assert (entry["sequence"], entry["actor"], entry["action"], entry["traceId"]) == (4, "k1", "GET", None)
    assert entry["subject"].startswith("user:")
    _, text, _ = await ran(stub, "list", "--limit", "2", "--json")
    assert [each["sequence"] for each in json.loads(text)["entries"]] == [6, 5]
    assert (await ran(stub, "list", "--user", "nobody"))[1] == "The audit log has no such entries.\n"


async def test_an_intact_log_is_verified_also_against_its_heads(
    stub: "AuditServiceAsyncStub", world: World, tmp_path: Path
) -> None:
    path = tmp_path / "heads"
    await Signing(world.audit, heads.opened(path, tmp_path / "key"), lambda: NOW_US).sign()
    code, text, _ = await ran(stub, "verify", "--heads", str(path))
    assert code == 0
    assert f"1 signed heads, by the key {heads.read(path).public_key}\n" in text
    assert "The audit log is intact: 6 entries, 1 to 6, hash " in text


async def test_the_first_fault_is_named_in_one_sentence(stub: "AuditServiceAsyncStub", world: World) -> None:
    (page,) = [await world.chain.read(2, 1)]
    (stored,) = page.entries
    assert isinstance(world.chain, Forging)
    world.chain.forged = (stored, stored.replace(b"GET", b"PUT"))
    code, text, errors = await ran(stub, "verify")
    assert (code, text) == (1, "")
    assert errors == "journeymesh: Entry 3 was changed: its hash is not the one that the next one holds.\n"


async def test_heads_that_cannot_be_read_are_named(stub: "AuditServiceAsyncStub", tmp_path: Path) -> None:
    code, _, errors = await ran(stub, "verify", "--heads", str(tmp_path / "none"))
    assert (code, errors.count("\n"), "cannot be read" in errors) == (1, 1, True)


async def test_an_empty_log_is_intact() -> None:
    world = World()
    async with serving(lambda to: add_AuditServiceServicer_to_server(AuditServicer(world.audit), to)) as channel:
        code, text, _ = await ran(AuditServiceStub(channel), "verify")
    assert (code, text) == (0, "The audit log is intact: it has no entries.\n")


async def test_the_command_dials_the_service(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registers = [lambda to: add_AuditServiceServicer_to_server(AuditServicer(world.audit), to)]
    async with serving_on("127.0.0.1:0", registers, [], {}, telemetry.off()) as port:
        monkeypatch.setenv("JOURNEYMESH_ACCESS_TARGET", f"127.0.0.1:{port}")
        assert await command.main(parsed("verify")) == 0
    assert "intact: 6 entries" in capsys.readouterr().out
    monkeypatch.setenv("JOURNEYMESH_ACCESS_TARGET", f"127.0.0.1:{free_port()}")
    assert await command.main(parsed("verify")) == 1
    assert "the access service does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1", "x", "²"])
def test_a_limit_is_a_number_from_1_on(limit: str) -> None:
    with pytest.raises(SystemExit):
        parsed("list", "--limit", limit)
