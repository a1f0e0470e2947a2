"""Every RPC lists the processes that may call it, and the topology knows each of these calls, and no other."""

import importlib
from pathlib import Path

from google.protobuf import descriptor_pool

import topology
from mesh.rpc.callers import callers_of

SERVED_BY = {"journeymesh.ingest.v1.RetentionService": "archiver"}
"""The process, where it is not the one that has the service's name."""

PROTOS = Path(__file__).parents[2] / "protos"


def methods() -> list[tuple[str, str]]:
    """Process and path of every RPC."""
    found = []
    for file in sorted(PROTOS.glob("journeymesh/*/v1/*.proto")):
        path = file.relative_to(PROTOS).as_posix()
        importlib.import_module(path.removesuffix(".proto").replace("/", ".") + "_pb2")
        for service in descriptor_pool.Default().FindFileByName(path).services_by_name.values():
            process = SERVED_BY.get(service.full_name, path.split("/")[1])
            found += [(process, f"/{service.full_name}/{method}") for method in service.methods_by_name]
    return found


def test_every_rpc_lists_its_callers_and_the_topology_knows_them() -> None:
    listed = {(method, caller) for _, method in methods() for caller in callers_of(method) or ()}
    assert {method for method, _ in listed} == {method for _, method in methods()}
    called = {
        (caller, process.name)
        for service, method in methods()
        for caller in callers_of(method) or ()
        for process in topology.PROCESSES.values()
        if process.name == service
    }
    assert called == topology.calls()
