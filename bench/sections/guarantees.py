"""The cost of each guarantee: the complete mesh and one without the guarantee, in turn."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import redis

from bench.harness import rewiring, sides
from bench.harness.report import Found, Table
from bench.harness.sides import Side
from bench.sections import Scale, turns
from bench.sections.turns import Offered

_OFFERED: Final = Offered(6_000, 100, 5)
_KEPT: Final = (
    "order per user (the shards themselves)",
    "effects once by position (the positions stand in the states)",
    "the ledger (a decision is written with the state it rests on)",
    "the bound per user (a counter in memory)",
    "checks and tidying of what comes in",
)
"""What neither settings nor rewiring can leave out."""


class Variant(NamedTuple):
    """A mesh that differs in one guarantee."""

    name: str
    settings: dict[str, str]
    change: Callable[[Side], None] = lambda _: None
    """Applied once it runs."""


def _without_file(side: Side) -> None:
    with redis.Redis(port=side.store_port, password=side.store_password) as store:
        store.config_set("appendonly", "no")


VARIANTS: Final = (
    Variant("no archive", {"JOURNEYMESH_ARCHIVE": "off"}),
    Variant("no memory of ids", rewiring.settings("ids")),
    Variant("no fencing of writes", rewiring.settings("fences")),
    Variant("no append-only file", {}, _without_file),
    Variant("no metrics", {"JOURNEYMESH_METRICS_PORT": "0"}),
    Variant("stricter: the file is forced to disk before 202", {"JOURNEYMESH_STORE_FSYNC": "always"}),
)


def guarantees(scale: Scale) -> Found:
    """One pair of meshes per guarantee, in turn under the same load."""
    rows, notes = [], []
    for variant in VARIANTS[: 1 if scale.is_quick else None]:
        try:
            rows.append(_measured(variant, scale))
        except AssertionError:  # the mesh did not start
            notes.append(f"{variant.name}: this rewiring no longer fits the mesh")
    columns = ("left out", "CPU per event", "which is, µs", "in json.loads")
    about = (
        f"{_OFFERED} is offered in turn to a mesh with every guarantee and to one that lacks one; both run. "
        f"The ratio is the latter's CPU over the former's; µs is the cost of the guarantee. Cannot be "
        f"left out: {'; '.join(_KEPT)}. {' '.join(notes)}"
    )
    return Found("What each guarantee costs", about, [Table("Left out one by one", columns, rows)])


def _measured(variant: Variant, scale: Scale) -> list[str]:
    with _mesh(Variant("all", {})) as whole, _mesh(variant) as lacking:
        turns.warm((whole, lacking))
        found = turns.take({"all": whole, "lacking": lacking}, _OFFERED, min(scale.seconds, 6), scale.rounds)
    one, other = found.measured["lacking"], found.measured["all"]
    cost = turns.cpu(other) - turns.cpu(one)
    return [
        variant.name,
        f"{turns.cpu(one) / turns.cpu(other):.2f} x",
        f"{cost:.1f}",
        f"{cost / found.json_micros:.1f}",
    ]


@contextlib.contextmanager
def _mesh(variant: Variant) -> Iterator[Side]:
    """Receipts are not asked for, as what is left out may be what they depend on."""
    with tempfile.TemporaryDirectory() as folder, sides.journeymesh(Path(folder), **variant.settings) as side:
        variant.change(side)
        yield side._replace(is_decided=lambda *_: True, drain=lambda: sides.await_rest(side.url))
