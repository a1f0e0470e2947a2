"""Rewires processes of a mesh for the bench, to leave out a guarantee; the mesh itself does not know about it.

A mesh whose `PYTHONPATH` begins with `bench/wiring` imports `sitecustomize` from there, which calls `rewire`.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

WIRING: Final = Path(__file__).parents[1] / "wiring"
VARIABLE: Final = "BENCH_WIRING"
_URL: Final = "BENCH_REDIS_URL"


def settings(name: str, url: str = "") -> dict[str, str]:
    """The environment of a rewired mesh: without `ids` or `fences`, or with the `store` at a URL."""
    paths = [str(WIRING), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
    return {VARIABLE: name, _URL: url, "PYTHONPATH": os.pathsep.join(paths)}


def rewire(name: str, command: Sequence[str] = sys.orig_argv) -> None:
    """Rewires this process, if its command is a service's.

    Raises:
        ImportError, AttributeError: the adapter no longer exists.
        KeyError: there is no such rewiring.
    """
    wire = _REWIRINGS[name]
    if any(part.startswith("services.") for part in command):
        wire()


def _ids() -> None:
    from services.ingest.events.adapters import redis_seen as adapters

    _ = adapters.RedisSeenEvents
    adapters.RedisSeenEvents = _Forgetful  # type: ignore[misc, assignment]


def _fences() -> None:
    from mesh.state import redis as states

    _ = states.RedisState.save, states.RedisState._key  # noqa: SLF001 - stands where the adapter stands
    states.RedisState.save = _save  # type: ignore[assignment, method-assign]


def _store() -> None:
    os.environ["JOURNEYMESH_REDIS_URL"] = os.environ[_URL]
    os.environ.pop("JOURNEYMESH_REDIS_PASSWORD_FILE", None)  # that of the embedded store


_REWIRINGS: Final = {"ids": _ids, "fences": _fences, "store": _store}


async def _save(state: Any, items: Mapping[str, bytes], _fence: object) -> None:  # noqa: ANN401 - an adapter's own
    """Writes regardless of who holds the shard's lease."""
    if items:
        pairs = [part for key, value in items.items() for part in (state._key(key), value)]  # noqa: SLF001 - the same
        await state._client.execute_command("MSETEX", len(items), *pairs, "EX", state._lifetime)  # noqa: SLF001 - the same


class _Forgetful:
    """Remembers no id: every event is new."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - that of the adapter it replaces
        pass

    async def find(self, ids: Sequence[str], now_us: int) -> list[None]:  # noqa: ARG002 - as the port has it
        return [None] * len(ids)

    async def claim(self, claims: Sequence[Any]) -> list[Any]:
        return [claim.seen for claim in claims]

    async def note(self, claims: Sequence[Any]) -> None:
        pass

    async def release(self, claim: Any) -> None:  # noqa: ANN401 - as the port has it
        pass
