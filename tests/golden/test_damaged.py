"""Values of which bytes are lost: who reads them gets an error that loops outlive, or what is left of the others."""

import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from mesh.errors import MeshError
from mesh.store import redis
from mesh.stored import UNREADABLE
from tests.golden.formats import FORMATS, At
from tests.golden.kept import Kept, _bytes, _text, put
from tests.golden.test_golden import files, read

# All but those that are no msgpack, and the audit log, which tells what was changed in it.
READ: Final = (
    "budgets",
    "customers",
    "customers_export",
    "customers_fit",
    "erasures",
    "experiments",
    "exports",
    "failed",
    "features",
    "insights",
    "intervention",
    "jobs",
    "journeys",
    "keys",
    "people",
    "prompts",
    "releases",
    "reports",
    "scoring",
    "segments",
    "video",
)


def is_packed(text: str) -> bool:
    """Whether this is a list of msgpack, as all these formats are."""
    return _bytes(text)[:1] in [bytes([first]) for first in (*range(0x91, 0xA0), 0xDC, 0xDD)]


def damaged(value: Any) -> Any:
    """The same with each packed value cut in half."""
    if isinstance(value, str):
        blob = _bytes(value)
        return _text(blob[: len(blob) // 2]) if is_packed(value) else value
    if isinstance(value, dict):
        return {name: damaged(each) for name, each in value.items()}
    return [damaged(each) for each in value] if isinstance(value, list) else value


def each_damaged(stored: Kept) -> Iterator[Kept]:
    """What is stored, with each key in turn damaged."""
    for key, (kind, value) in stored["keys"].items():
        if (after := damaged(value)) != value:
            yield {**stored, "keys": {**stored["keys"], key: (kind, after)}}


@pytest.mark.parametrize("name", READ)
async def test_a_damaged_value_is_no_unknown_error(name: str, server: redis.Client, tmp_path: Path) -> None:
    at, found = At(server, tmp_path), 0
    for stored in each_damaged(read(files(name)[-1])["stored"]):
        found += 1
        await server.flushall()
        await put(json.loads(json.dumps(stored)), *at)
        try:
            await FORMATS[name].read(at)
        except MeshError:
            continue
        except (*UNREADABLE, AssertionError, AttributeError) as error:
            *_, last = traceback.extract_tb(error.__traceback__)
            if Path(last.filename).name != "formats.py":  # there, the story misses what was left out
                raise
    assert found
