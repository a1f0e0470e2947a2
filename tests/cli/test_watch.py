"""Programs that run and do not answer are noticed, and said once."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cli.local.watch import Silence, over_grpc, over_http, over_redis, watch
from tests.conftest import free_port

SERVED = """
import asyncio, sys
from mesh.process.site import ServerSettings, open_site
from mesh.rpc.tls import TlsSettings

async def main():
    async with open_site(ServerSettings(probe_listen=sys.argv[1]), TlsSettings()):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_silence_is_logged_once_and_so_is_its_end() -> None:
    silence = Silence()
    assert silence.look(0, 7, answers=True) == ""
    assert [silence.look(second, 7, answers=False) for second in (2, 4, 6)] == [""] * 3
    assert silence.look(8, 7, answers=False) == "(process 7) runs and has not answered for 8 s"
    assert [silence.look(second, 7, answers=False) for second in (10, 100)] == [""] * 2
    assert silence.look(102, 7, answers=True) == "answers again"
    assert silence.look(104, 7, answers=True) == ""
    assert silence.look(112, 7, answers=False) == "(process 7) runs and has not answered for 8 s"


def test_a_starting_process_has_half_a_minute_and_one_not_running_is_ignored() -> None:
    silence = Silence()
    assert silence.look(100, 0, answers=False) == ""
    assert silence.look(1_000, 0, answers=False) == ""
    assert silence.look(1_002, 8, answers=False) == ""
    assert silence.look(1_030, 8, answers=False) == ""
    assert silence.look(1_032, 8, answers=False) == "(process 8) runs and has not answered for 30 s"
    assert silence.look(1_064, 9, answers=False) == "", "it was started again"
    assert silence.is_awaited
    assert silence.look(1_080, 9, answers=True) == ""
    assert not silence.is_awaited
    assert silence.look(1_087, 9, answers=False) == ""
    assert silence.look(1_088, 0, answers=False) == "", "it has ended, and others say so"


async def test_a_silent_program_is_logged_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"PERIOD": 0.01, "SILENT": 0.05}.items():
        monkeypatch.setattr(f"cli.local.watch._{name}_SECONDS", seconds)
    answers, said = iter([True]), asyncio.Queue[str]()

    async def probe() -> bool:
        return next(answers, False)

    watching = asyncio.create_task(watch({"gateway": probe}, lambda _: 7, said.put_nowait))
    async with asyncio.timeout(10):
        assert (await said.get()).startswith("gateway (process 7) runs and has not answered")
    watching.cancel()


@contextlib.contextmanager
def stopped(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert "ready" in running.stdout.readline()
            yield running
        finally:
            running.kill()


async def test_a_service_that_was_stopped_does_not_answer_and_one_that_goes_on_does(tmp_path: object) -> None:
    target = f"unix:{tmp_path}/probe"
    probe = over_grpc(target)
    assert not await probe()
    with stopped([sys.executable, "-c", SERVED, target]) as running:
        assert await probe()
        running.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await probe()
        running.send_signal(signal.SIGCONT)
        assert await probe()


async def test_a_service_that_was_started_again_answers_at_once(tmp_path: object) -> None:
    target = f"unix:{tmp_path}/probe"
    probe = over_grpc(target)
    for _ in range(3):
        with stopped([sys.executable, "-c", SERVED, target]):
            for _ in range(3):
                assert await probe()
        assert not await probe()


async def test_a_probe_of_a_closed_port_fails() -> None:
    port = free_port()
    for probe in (over_http(f"http://127.0.0.1:{port}/healthz"), over_redis(f"redis://127.0.0.1:{port}/0")):
        assert not await probe()


async def test_a_store_answers(valkey_url: str) -> None:
    assert await over_redis(valkey_url)()
