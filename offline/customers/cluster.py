"""The parts of a job, worked on by the processes of a Dask cluster; see docs/adr/086."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from distributed import Client, KilledWorker, Security, as_completed
from distributed.comm.addressing import get_address_host_port

from mesh.errors import InvalidArgument, Unavailable
from mesh.rpc.tls import Files

_CONNECT_SECONDS: Final = 10

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Cluster:
    """Works in the processes of the cluster whose scheduler is at an address, such as `tls://host:8786`.

    They have this package, and reach the archive. What a lost process had begun another begins again. With an identity
    nothing is said that is not encrypted; without one Dask's own configuration says who is believed.

    Raises:
        InvalidArgument: it is no address. A client that is made for one waits for itself when the process ends.
    """

    def __init__(self, address: str, identity: Files | None = None) -> None:
        try:
            get_address_host_port(address, strict=True)
        except ValueError as error:
            raise InvalidArgument(
                "VALUE_OUT_OF_RANGE", f"A cluster's address is like tls://host:8786: {error}."
            ) from None
        self._address = address
        self._identity = identity

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
        with client:
            begun = {future: place for place, future in enumerate(client.map(do, tasks, pure=False))}
            try:
                completed = as_completed(begun, loop=client.loop, with_results=True)  # type: ignore[no-untyped-call]
                for future, result in completed:
                    results[begun[future]] = result
                    done(len(results))
            except KilledWorker as error:
                raise Unavailable("DEPENDENCY_UNAVAILABLE", f"Workers were lost again and again: {error}") from error
        return [results[place] for place in range(len(tasks))]


def _security(identity: Files | None) -> Security | None:
    if identity is None:
        return None
    return Security(  # type: ignore[no-untyped-call]
        tls_ca_file=identity.ca,
        tls_client_cert=identity.certificate,
        tls_client_key=identity.key,
        require_encryption=True,
    )
