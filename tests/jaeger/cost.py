"""What tracing costs: CPU an event of the whole mesh without it, at a hundredth of all requests, and at all.

`python -m tests.jaeger.cost` starts a mesh for each in turn, twice, offers it the same load, and tells the CPU an event
as a ratio to that without. The Jaeger that takes the spans is not counted.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.harness import sides
from bench.mesh import measure
from tests.jaeger.server import running_jaeger
from tests.processes import running_mesh

_ROUNDS: Final = 2


def main() -> None:
    """Measures and tells."""
    parser = argparse.ArgumentParser(prog="python -m tests.jaeger.cost", description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="events a second to offer (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=10, help="events a request (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=8, help="how long (default: %(default)s)")
    arguments = parser.parse_args()
    costs = dict[str, list[float]]()
    for _ in range(_ROUNDS):
        for ratio in ("off", "0.01", "1"):
            with tempfile.TemporaryDirectory() as folder, running_jaeger(Path(folder)) as jaeger:
                traced = {"JOURNEYMESH_OTLP_ENDPOINT": jaeger.otlp_url, "JOURNEYMESH_TRACE_SAMPLE_RATIO": ratio}
                with running_mesh(Path(folder), **({} if ratio == "off" else traced)) as mesh:
                    measured = measure(sides.side_of(mesh), arguments.rate, arguments.batch, arguments.seconds, 1000, 5)
            costs.setdefault(ratio, []).append(measured.cpu_micros())
    without = statistics.mean(costs["off"])
    for ratio, each in costs.items():
        runs = ", ".join(f"{cost:.0f}" for cost in each)
        Console(highlight=False).print(f"{ratio:>5}: {runs} µs an event, {statistics.mean(each) / without:.2f} of off")


if __name__ == "__main__":
    main()
