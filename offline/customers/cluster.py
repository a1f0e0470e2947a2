"""The parts of a job, worked on by the processes of a Dask cluster; see docs/adr/086."""

import hashlib
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from distributed import CancelledError, Client, KilledWorker, Security, wait
from distributed.comm.addressing import get_address_host_port

from mesh.errors import InvalidArgument, Unavailable
from mesh.rpc.tls import Files

_CONNECT_SECONDS: Final = 10
_PATIENCE_SECONDS: Final = 120.0
"""Longer than it takes to begin another worker in place of one that was lost."""
_ROOTS: Final = ("mesh", "offline", "records", "services")

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Cluster:
    """Works in the processes of the cluster whose scheduler is at an address, such as `tls://host:8786`.

    They have this package, with the same code, and reach the archive. What a lost process had begun another begins
    again.

    Args:
        address: of the scheduler.
        identity: with it nothing is said that is not encrypted; without one Dask's configuration says who is believed.
        patience_seconds: how long to wait for workers while there are none.

    Raises:
        InvalidArgument: it is no address. A client that is made for one waits for itself when the process ends.
    """

    def __init__(
        self, address: str, identity: Files | None = None, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        try:
            get_address_host_port(address, strict=True)
        except ValueError as error:
            raise InvalidArgument(
                "VALUE_OUT_OF_RANGE", f"A cluster's address is like tls://host:8786: {error}."
            ) from None
        self._address = address
        self._identity = identity
        self._patience_seconds = patience_seconds

    def map(
        self, do: Callable[[_Task], _Result], tasks: Sequence[_Task], done: Callable[[int], None]
    ) -> Sequence[_Result]:
        """See `parts.Engine`."""
        try:
            client = Client(  # type: ignore[no-untyped-call]
                self._address, timeout=_CONNECT_SECONDS, set_as_default=False, security=_security(self._identity)
            )
        except (OSError, ValueError) as error:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", f"The cluster cannot be reached: {error}") from error
        results: dict[int, _Result] = {}
        with client, client.as_current():
            try:
                _require_same_code(client)
                begun = {future: place for place, future in enumerate(client.map(do, tasks, pure=False))}
                waiting = set(begun)
                while waiting:
                    ended, waiting = self._next(client, waiting)
                    results.update((begun[future], future.result()) for future in ended)
                    done(len(results))
            except KilledWorker as error:
                raise Unavailable("DEPENDENCY_UNAVAILABLE", f"Workers were lost again and again: {error}") from error
            except (OSError, CancelledError) as error:
                raise Unavailable("DEPENDENCY_UNAVAILABLE", f"The cluster failed: {error}") from error
        return [results[place] for place in range(len(tasks))]

    def _next(self, client: Client, waiting: set[Any]) -> tuple[set[Any], set[Any]]:
        """The futures that have ended, at least one, and the others."""
        while True:
            try:
                return tuple(wait(waiting, self._patience_seconds, "FIRST_COMPLETED"))  # type: ignore[no-untyped-call]
            except TimeoutError:
                if not client.nthreads():  # type: ignore[no-untyped-call]
                    raise Unavailable("DEPENDENCY_UNAVAILABLE", "The cluster has no workers.") from None


def _require_same_code(client: Client) -> None:
    """Returns if each worker that there is has our modules as they are here.

    What a worker cannot import it does not refuse: it breaks off, and so does whoever takes its place.

    Raises:
        Unavailable: one has others, or none.
    """
    roots = _ROOTS

    # Within a function, it is sent as code and not by its name.
    def digests() -> Mapping[str, str]:
        importlib.import_module("offline.customers.parts")
        files = {name: each.__file__ for name, each in sys.modules.items() if name.partition(".")[0] in roots}
        return {name: hashlib.sha256(Path(file).read_bytes()).hexdigest() for name, file in files.items() if file}

    own = digests()
    for worker, its in client.run(digests, on_error="return").items():
        if isinstance(its, OSError):  # it was lost meanwhile
            continue
        if isinstance(its, Exception):
            raise Unavailable("DEPENDENCY_UNAVAILABLE", f"The worker {worker} lacks what it would run: {its}") from its
        others = sorted(name for name, digest in its.items() if own.get(name, digest) != digest)
        if others:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", f"The worker {worker} has another version of {others[0]}.")


def _security(identity: Files | None) -> Security | None:
    if identity is None:
        return None
    return Security(  # type: ignore[no-untyped-call]
        tls_ca_file=identity.ca,
        tls_client_cert=identity.certificate,
        tls_client_key=identity.key,
        require_encryption=True,
    )
