"""What a guarantee is left out by, for its cost to be measured: nothing of this is known to the mesh itself.

A mesh whose `PYTHONPATH` begins with `bench/wiring` takes in `sitecustomize` there, which calls `leave_out`.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

WIRING: Final = Path(__file__).parent / "wiring"
VARIABLE: Final = "BENCH_LEAVES_OUT"


def settings(name: str) -> dict[str, str]:
    """What a mesh is told so that it leaves something out."""
    paths = [str(WIRING), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
    return {VARIABLE: name, "PYTHONPATH": os.pathsep.join(paths)}


def leave_out(name: str, command: Sequence[str] = sys.orig_argv) -> None:
    """Replaces adapters in the process of a command, if it has them.

    Raises:
        ImportError, AttributeError: there is no such adapter any more.
        KeyError: there is no such name.
    """
    rewire = _REWIRINGS[name]
    if any(part.startswith("services.") for part in command):
        rewire()


def _ids() -> None:
    from services.ingest.adapters import redis as adapters

    _ = adapters.RedisSeenEvents
    adapters.RedisSeenEvents = _Forgetful  # type: ignore[misc, assignment]


def _fences() -> None:
    from mesh.states import redis as states

    _ = states.RedisState.save, states.RedisState._key  # noqa: SLF001 - stands where the adapter stands
    states.RedisState.save = _save  # type: ignore[assignment, method-assign]


_REWIRINGS: Final = {"ids": _ids, "fences": _fences}


async def _save(state: Any, items: Mapping[str, bytes], _fence: object) -> None:  # noqa: ANN401 - an adapter's own
    """Writes whatever stands there, whoever has the shard."""
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
