"""What keys, limits and masking cost together, as CPU per event of one run: `python -m bench.protection`.

Two meshes run side by side and take turns under the same load. One requires a key and masks everything; its load comes
with a key, and so also meets whatever limits keys have. The other asks for no key and masks nothing.
"""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from journeymesh.access.v1 import access_pb2
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub

from bench.harness import load, sides
from bench.harness.sides import Side
from bench.mesh import Measured
from bench.sections import turns
from bench.sections.turns import Offered
from mesh.observability import telemetry
from mesh.rpc import channel
from tests.processes import running_mesh

_LOADS: Final = (Offered(3_000, 500, 5), Offered(2_000, 20, 5))
"""Large requests, as servers send them, and small ones, in which a request's own cost shows."""
_USERS: Final = 250
_SECONDS: Final = 5
_PROBE_SECONDS: Final = 5.0
_AIM: Final = 0.05
_ACCEPTING: Final = ("gateway", "ingest")


@contextlib.contextmanager
def _open() -> Iterator[Side]:
    settings = {"JOURNEYMESH_MASKING": "none"}
    with tempfile.TemporaryDirectory() as folder, sides.journeymesh(Path(folder), **settings) as side:
        yield _measured_by_load_alone(side)


@contextlib.contextmanager
def _protected() -> Iterator[Side]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_mesh(Path(folder), JOURNEYMESH_KEYS="required", JOURNEYMESH_MASKING="all") as mesh,
    ):
        key = asyncio.run(_new_key(mesh.process("access").environ()["JOURNEYMESH_ACCESS_LISTEN"]))
        side = _measured_by_load_alone(sides.side_of(mesh)._replace(url=mesh.url.replace("//", f"//{key}@")))
        sides.await_so(lambda: _is_known(side.url))
        yield side


def _measured_by_load_alone(side: Side) -> Side:
    """Without polling for receipts: each is a request of its own, and with keys an entry of the audit log."""
    return side._replace(is_decided=lambda *_: True, drain=lambda: sides.await_rest(side.url))


async def _new_key(address: str) -> str:
    async with channel.dial(address, telemetry.off()) as dialled:
        request = access_pb2.CreateKeyRequest(kind=access_pb2.KEY_KIND_ADMIN, name="bench")
        return str((await AccessServiceStub(dialled).CreateKey(request)).text)


def _is_known(url: str) -> bool:
    with contextlib.closing(load.connect(url)) as connection:
        return "standings" in load.ask(connection, "GET", "/api/pipeline")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m bench.protection", description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="turns of each mesh (default: %(default)s)")
    arguments = parser.parse_args()
    print("| load | processes | without, µs per event | with, µs | more |\n|---|---|---|---|---|")
    with _open() as plain, _protected() as protected:
        turns.warm([plain, protected], users=_USERS)
        for offered in _LOADS:
            both = {"without": plain, "with": protected}
            found = turns.take(both, offered, _SECONDS, arguments.rounds, _USERS, probe_period_seconds=_PROBE_SECONDS)
            for name, parts in (("gateway and ingest", _ACCEPTING), ("the whole mesh", sides.PROGRAMS)):
                without, with_ = ([_cpu(each, parts) for each in found.measured[side]] for side in both)
                # Neighbours in time share what else the machine does.
                more = statistics.median(one / other for one, other in zip(with_, without, strict=True)) - 1
                cells = [str(offered), name, f"{statistics.median(without):.1f}", f"{statistics.median(with_):.1f}"]
                print(f"| {' | '.join(cells)} | {more:+.1%} |", flush=True)
    print(f"\nThe aim is {_AIM:.0%} of the whole mesh. Load average: {_load_average()}.")


def _cpu(measured: Measured, parts: tuple[str, ...]) -> float:
    return sum(measured.cpu_seconds.get(part, 0) for part in parts) / measured.sent * 1e6


def _load_average() -> str:
    return " ".join(Path("/proc/loadavg").read_text(encoding="ascii").split()[:3])


if __name__ == "__main__":
    main()
