"""What a process loads before it has read its settings: every start, and every replica's memory, pays for it."""

import subprocess
import sys
from typing import Final

import pytest

import topology

# Large, or loading much else. What a setting asks for is loaded where that setting is read.
_LARGE: Final = frozenset(
    (
        "aiobotocore",
        "boto3",
        "click",
        "cryptography",
        "duckdb",
        "httpx",
        "multiprocessing",
        "numpy",
        "onnxruntime",
        "opentelemetry.exporter",
        "opentelemetry.instrumentation",
        "opentelemetry.sdk",
        "pyarrow",
        "redis",
        "rich",
        "scipy",
        "yaml",
    )
)
_STORE: Final = frozenset(("redis",))
_LOADED: Final = {
    "access": _STORE | {"cryptography"},
    "customers": _STORE | {"numpy"},
    "gateway": frozenset(("click", "cryptography", "multiprocessing")),  # uvicorn's, and those of tokens
    "intervention": _STORE | {"yaml"},
    "scoring": _STORE | {"numpy", "onnxruntime"},
}


@pytest.mark.parametrize("service", topology.SERVICES, ids=lambda each: each.name)
def test_a_service_loads_only_what_every_installation_of_it_needs(service: topology.Service) -> None:
    code = f"import sys, {service.module}.__main__; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert _LARGE.intersection(run.stdout.split()) == _LOADED.get(service.name, _STORE)


def test_a_process_that_records_spans_loads_what_records_them() -> None:
    code = "import sys; from mesh.observability import recording; from mesh.store import redis; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"opentelemetry.sdk", "opentelemetry.exporter", "redis"} <= set(run.stdout.split())
