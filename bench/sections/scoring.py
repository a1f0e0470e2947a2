"""Scoring: the mesh's service and MLServer with onnxruntime, the same rows of the same model, over gRPC and REST."""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
import psutil
import redis
from inference import inference_pb2
from journeymesh.common.v1 import position_pb2
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceStub

from bench.harness import connections, environments, load
from bench.harness.cpu import CpuTime
from bench.harness.report import Bounded, Claim, Found, Ratio, Table
from bench.harness.sides import MODELS, await_so, is_there, live_model, running
from bench.sections import Scale
from mesh.store import embedded
from services.scoring.domain.schema import SCHEMA_VERSION
from tests.conftest import free_port

_SHAPES: Final = ((1, 16), (32, 8), (1, 1))
"""Rows per request, clients."""
_WANTED: Final = 2.5
_LONGEST_WAIT: Final = 0.6
"""Of one call, as a share of the other's."""
_MOST_FOR_TERMS: Final = 2.0
"""CPU of an explained row, as a multiple of a plain one."""
_INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
_PEERS: Final = Path(__file__).parents[1] / "peers"

Call = Callable[[int, int], Awaitable[object]]
"""Sends the n-th request of a client."""


class _Turn(NamedTuple):
    rows_per_second: float
    cpu_micros: float
    latencies: list[float]


class _Servers(NamedTuple):
    mesh: str
    mesh_processes: list[psutil.Process]
    others: str
    others_url: str
    others_process: psutil.Process
    requests: dict[int, bytes]


def scoring(scale: Scale) -> Found:
    """Rows per second and CPU per row, each side in turn."""
    about = (
        "Both sides answer the same request, by the Open Inference Protocol over gRPC, with the same model; explained "
        "rows bring a term per feature too. `AssessUsers` is what the mesh itself calls: it also applies rules, keeps "
        "state and fences its writes. MLServer has no extra workers, which is its fastest on two cores, and counts "
        "with its faster API. Clients take a share of the cores. CPU is of the servers, with the mesh's store."
    )
    title = "Scoring against MLServer"
    try:
        interpreter = environments.python("mlserver", installs=not scale.is_quick)
    except environments.NotInstalledError as error:
        return Found(title, about, skipped=str(error))
    rows, claims = list[list[str]](), list[Claim]()
    with _servers(interpreter) as servers:
        for batch, clients in _SHAPES:
            turns: dict[str, list[_Turn]] = {name: [] for name in _SIDES}
            for _ in range(scale.rounds):
                for name, side in _SIDES.items():
                    turns[name].append(side(servers, batch, clients, scale.seconds))
            claims += _claims(f"batch {batch}, {clients} clients", turns, is_single=clients == 1)
            rows += [[f"{batch} x {clients}", name, *_cells(measured)] for name, measured in turns.items()]
    columns = ("rows x clients", "side", "rows/s", "CPU µs per row", "p50 ms", "p99 ms")
    return Found(title, about, [Table(title, columns, rows)], claims=claims)


def _claims(shape: str, turns: dict[str, list[_Turn]], *, is_single: bool) -> list[Claim]:
    """Speed, and the wait of a single call, against the faster API of MLServer; and what explanation costs."""
    others = [measured for name, measured in turns.items() if name.startswith("MLServer")]
    if is_single:
        return [
            Ratio(f"{shape}: p50", _wait(turns[_PLAIN]) / min(map(_wait, others)), _LONGEST_WAIT, more_is_better=False)
        ]
    explained = _cpu(turns[_EXPLAINED]) / _cpu(turns[_PLAIN])
    return [
        Ratio(f"{shape}: rows/s", _speed(turns[_PLAIN]) / max(map(_speed, others)), _WANTED),
        Bounded(
            f"{shape}: CPU of an explained row", explained, "of a plain one", _MOST_FOR_TERMS, more_is_better=False
        ),
    ]


def _speed(turns: list[_Turn]) -> float:
    return statistics.median(each.rows_per_second for each in turns)


def _cpu(turns: list[_Turn]) -> float:
    return statistics.median(each.cpu_micros for each in turns)


def _wait(turns: list[_Turn]) -> float:
    return statistics.median(seconds for each in turns for seconds in each.latencies)


def _cells(turns: list[_Turn]) -> list[str]:
    waited = [seconds * 1000 for each in turns for seconds in each.latencies]
    figures = [
        statistics.median(each.rows_per_second for each in turns),
        statistics.median(each.cpu_micros for each in turns),
    ]
    return [f"{figure:,.1f}" for figure in (*figures, load.percentile(waited, 0.5), load.percentile(waited, 0.99))]


def _assess(servers: _Servers, batch: int, clients: int, seconds: int) -> _Turn:
    async def turn() -> _Turn:
        async with grpc.aio.insecure_channel(servers.mesh) as channel:
            stub: Any = ScoringServiceStub(channel)
            began = time.time_ns()

            def call(client: int, number: int) -> Awaitable[object]:
                shard = f"bench-{batch}-{clients}-{client}"
                return stub.AssessUsers(_request(batch, shard, began + number), timeout=30)  # type: ignore[no-any-return]

            return await _saturate(call, servers.mesh_processes, batch, clients, seconds)

    return asyncio.run(turn())


def _plain(servers: _Servers, batch: int, clients: int, seconds: int) -> _Turn:
    asked = servers.requests[batch]
    return asyncio.run(_infer(servers.mesh, asked, servers.mesh_processes, batch, clients, seconds))


def _explained(servers: _Servers, batch: int, clients: int, seconds: int) -> _Turn:
    asked = inference_pb2.ModelInferRequest.FromString(servers.requests[batch])
    asked.ClearField("outputs")
    whole = asked.SerializeToString()
    return asyncio.run(_infer(servers.mesh, whole, servers.mesh_processes, batch, clients, seconds))


def _other(servers: _Servers, batch: int, clients: int, seconds: int) -> _Turn:
    asked = servers.requests[batch]
    return asyncio.run(_infer(servers.others, asked, [servers.others_process], batch, clients, seconds))


async def _infer(
    target: str, request: bytes, processes: list[psutil.Process], batch: int, clients: int, seconds: int
) -> _Turn:
    async with grpc.aio.insecure_channel(target) as channel:
        infer: Any = channel.unary_unary(_INFER)
        return await _saturate(lambda *_: infer(request, timeout=30), processes, batch, clients, seconds)


def _rest(servers: _Servers, batch: int, clients: int, seconds: int) -> _Turn:
    rows = _rows(batch)
    tensor = {"name": "features", "shape": [batch, len(rows[0])], "datatype": "FP64", "data": rows}
    request = connections.post("/v2/models/exit-risk/infer", json.dumps({"inputs": [tensor]}).encode())
    with CpuTime([servers.others_process]) as cpu:
        answered = connections.saturate(servers.others_url, itertools.repeat(request), clients, seconds)
    count = len(answered.latencies)
    assert not answered.refused  # noqa: S101 - figures of refusals are worth nothing
    return _Turn(count * batch / answered.seconds, cpu.seconds / count / batch * 1e6, answered.latencies)


_PLAIN: Final = "mesh, ModelInfer"
_EXPLAINED: Final = "mesh, ModelInfer, explained"
_SIDES: Final[dict[str, Callable[[_Servers, int, int, int], _Turn]]] = {
    _PLAIN: _plain,
    _EXPLAINED: _explained,
    "mesh, AssessUsers": _assess,
    "MLServer, gRPC": _other,
    "MLServer, REST": _rest,
}


async def _saturate(call: Call, processes: list[psutil.Process], batch: int, clients: int, seconds: int) -> _Turn:
    latencies: list[float] = []
    began = time.perf_counter()

    async def client(client: int) -> None:
        for number in itertools.count():
            sent = time.perf_counter()
            if sent - began > seconds:
                return
            await call(client, number)
            latencies.append(time.perf_counter() - sent)

    with CpuTime(processes) as cpu:
        await asyncio.gather(*map(client, range(clients)))
    elapsed, count = time.perf_counter() - began, len(latencies)
    return _Turn(count * batch / elapsed, cpu.seconds / count / batch * 1e6, latencies)


def _rows(batch: int) -> list[list[float]]:
    """The features of calm users; no two rows are the same."""
    return [[0.0, 0.0, 0.0, 90.0, 1.0, 0.0, 0.0, 1.0, 65.0, float(row), 1.0, 4.0, 30.0] for row in range(batch)]


def _request(batch: int, shard: str, sequence: int) -> scoring_pb2.AssessUsersRequest:
    return scoring_pb2.AssessUsersRequest(
        position=position_pb2.BatchPosition(stream="bench", shard=shard, sequences=[str(sequence)]),
        user_ids=[f"{shard}-{row}" for row in range(batch)],
        event_times_us=[sequence // 1_000] * batch,
        values=[value for row in _rows(batch) for value in row],
        feature_schema_version=SCHEMA_VERSION,
    )


@contextlib.contextmanager
def _servers(interpreter: Path) -> Iterator[_Servers]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store, ours, http, rpc, metrics = (free_port() for _ in range(5))
        environment = os.environ | {
            "JOURNEYMESH_REDIS_URL": f"redis://127.0.0.1:{store}/0",
            "JOURNEYMESH_SCORING_LISTEN": f"127.0.0.1:{ours}",
            "JOURNEYMESH_MODELS": str(MODELS),
        }
        kept = stack.enter_context(running(embedded.server_command(store, folder, "everysec"), environment))
        with redis.Redis(port=store) as client:
            await_so(lambda: is_there(store) and bool(client.ping()))
        service = stack.enter_context(
            running([sys.executable, "-m", "services.scoring"], environment, folder / "scoring.log")
        )
        _describe(folder, live_model() / "model.onnx", http, rpc, metrics)
        started = [str(interpreter.with_name("mlserver")), "start", str(folder)]
        other = stack.enter_context(running(started, os.environ | {"PYTHONPATH": str(folder)}, folder / "mlserver.log"))
        await_so(lambda: all(is_there(port) for port in (ours, http, rpc)))
        time.sleep(2)  # it loads its model after opening its ports
        requests = {batch: _written(interpreter, batch, folder / f"{batch}.request") for batch, _ in _SHAPES}
        yield _Servers(
            f"127.0.0.1:{ours}", [kept, service], f"127.0.0.1:{rpc}", f"http://127.0.0.1:{http}", other, requests
        )


def _describe(folder: Path, model: Path, http: int, rpc: int, metrics: int) -> None:
    """Writes MLServer's configuration."""
    settings = {
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": rpc,
        "metrics_port": metrics,
        "parallel_workers": 0,
        "debug": False,
        "metrics_dir": str(folder),
    }
    described = {"name": "exit-risk", "implementation": "exit_risk.ExitRisk", "parameters": {"uri": str(model)}}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(described), encoding="utf-8")
    shutil.copy(_PEERS / "exit_risk.py", folder)


def _written(interpreter: Path, batch: int, path: Path) -> bytes:
    command = [str(interpreter), str(_PEERS / "exit_risk_request.py"), json.dumps(_rows(batch)), str(path)]
    subprocess.run(command, check=True, env={"PATH": os.environ["PATH"]})  # noqa: S603 - a command of this module
    return path.read_bytes()
