"""Notices programs that run but do not answer, hanging or stopped; the supervisor sees those that end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import grpc
import httpx
import redis.asyncio
import redis.exceptions
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from mesh.process.health import LIVE

_PERIOD_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 2.0
_SILENT_SECONDS: Final = 8.0
# Until its first answer; until then it is probed more often.
_START_SECONDS: Final = 30.0
_START_PERIOD_SECONDS: Final = 0.25

NO_CHECK: Final = False
"""Whether the gateway's certificate is checked: it is our own process on this machine, and is told nothing."""

Probe = Callable[[], Awaitable[bool]]
"""Whether a program answers."""
Say = Callable[[str], None]


class Silence:
    """How long one program has been silent, probe by probe; times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._pid = 0
        self._since = 0.0
        self._patience = _START_SECONDS
        self._is_reported = False

    @property
    def is_awaited(self) -> bool:
        """Whether its process is starting: it has not answered yet."""
        return self._patience == _START_SECONDS

    def look(self, now: float, pid: int, *, answers: bool) -> str:
        """Takes the result of a probe; returns what to log, or nothing.

        Args:
            now: the time.
            pid: the program's current process id; 0 if it has none.
            answers: whether the probe was answered.
        """
        was_reported = self._is_reported
        if answers or pid != self._pid:
            self._since, self._pid, self._is_reported = now, pid, False
            self._patience = _SILENT_SECONDS if answers else _START_SECONDS
            return "answers again" if answers and was_reported else ""
        if not pid or was_reported or now - self._since < self._patience:
            return ""
        self._is_reported = True
        return f"(process {pid}) runs and has not answered for {now - self._since:.0f} s"


async def watch(probes: Mapping[str, Probe], pid_of: Callable[[str], int], say: Say) -> None:
    """Logs which programs stop answering and which answer again, until cancelled; `pid_of` is as in `Silence.look`."""
    await asyncio.gather(*(_watch(name, probe, pid_of, say) for name, probe in probes.items()))


async def _watch(name: str, probe: Probe, pid_of: Callable[[str], int], say: Say) -> None:
    silence = Silence()
    while True:
        answers = await _answers(probe)
        if text := silence.look(asyncio.get_running_loop().time(), pid_of(name), answers=answers):
            say(f"{name} {text}")
        await asyncio.sleep(_START_PERIOD_SECONDS if silence.is_awaited else _PERIOD_SECONDS)


async def _answers(probe: Probe) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await probe()
    return False


def over_http(url: str) -> Probe:
    """Probes the gateway, over one connection while it answers."""
    # A client of its own reads certificates and makes a TLS context, which costs more than the probe.
    client = httpx.AsyncClient(verify=NO_CHECK)

    async def probe() -> bool:
        try:
            return (await client.get(url, timeout=_ANSWER_SECONDS)).is_success
        except httpx.TransportError:
            return False

    return probe


def over_grpc(target: str) -> Probe:
    """Probes a service over gRPC, over one channel while it answers; a new process is dialled at once."""
    dialled: list[grpc.aio.Channel] = []

    async def probe() -> bool:
        if not dialled:
            dialled.append(grpc.aio.insecure_channel(target))
        try:
            await health_pb2_grpc.HealthStub(dialled[0]).Check(health_pb2.HealthCheckRequest(service=LIVE))
        except grpc.aio.AioRpcError:
            await dialled.pop().close()
            return False
        except asyncio.CancelledError:  # it did not answer in time
            await dialled.pop().close()
            raise
        return True

    return probe


def over_redis(url: str, password: str | None = None) -> Probe:
    """Probes the store; one that is full or loading its file still answers."""

    async def probe() -> bool:
        async with redis.asyncio.Redis.from_url(url, password=password, retry=Retry(NoBackoff(), 0)) as client:
            try:
                await client.ping()
            except redis.exceptions.BusyLoadingError:
                return True
            except redis.exceptions.RedisError:
                return False
        return True

    return probe
