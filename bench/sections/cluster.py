"""The mesh on one store and on a cluster of three, in turn under the same load."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.harness import rewiring, sides
from bench.harness.clusters import running_cluster
from bench.harness.report import Found, Ratio
from bench.harness.sides import Side
from bench.sections import Scale, turns
from bench.sections.turns import Offered

_OFFERED: Final = Offered(turns.SATURATING, 100, 5)
_TITLE: Final = "A cluster of stores"
_ABOUT: Final = (
    "Three primaries in place of one store, the same load in turn, each alone on the machine. On few cores a "
    "cluster can only cost: what it brings is memory and cores of other machines."
)


def cluster(scale: Scale) -> Found:
    """Events per second and CPU per event on a cluster over those on one store."""
    found = turns.take_alone(
        {"cluster": _on_cluster, "one store": sides.journeymesh}, [_OFFERED], scale.seconds, scale.rounds
    )
    one, other = found[0].measured["cluster"], found[0].measured["one store"]
    ratios = [
        Ratio("events/s on a cluster over one store", turns.taken(one) / turns.taken(other)),
        Ratio("CPU per event on a cluster over one store", turns.cpu(one) / turns.cpu(other), more_is_better=False),
    ]
    return Found(
        _TITLE,
        f"{_ABOUT} {turns.LEGEND}",
        [turns.table(_TITLE, found), turns.processes(found)],
        turns.drawn(found),
        ratios,
    )


@contextlib.contextmanager
def _on_cluster(folder: Path) -> Iterator[Side]:
    """The mesh on a cluster; the store it starts itself is idle."""
    with contextlib.ExitStack() as stack:
        stores = stack.enter_context(running_cluster(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        settings = rewiring.settings("store", f"redis+cluster://127.0.0.1:{stores.ports[0]}")
        side = stack.enter_context(sides.journeymesh(folder, **settings))
        primaries = {f"store-{number}": process for number, process in enumerate(stores.processes)}
        yield side._replace(processes=side.processes | primaries)
