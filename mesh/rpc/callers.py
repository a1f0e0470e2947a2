"""Who may call a process: those whose certificates have certain names, and of those, each the RPCs that list it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf import descriptor_pool

from mesh.errors import PermissionDenied
from mesh.rpc.context import ServerContext

_NAMES: Final = "x509_subject_alternative_name"
# The option by which the contract lists the processes that may call an RPC.
_OPTION: Final = "journeymesh.common.v1.callers"
_OWN: Final = "journeymesh."

Permit = Callable[[ServerContext], None]
"""Returns if the caller of an RPC may call; raises `PermissionDenied`."""


class Callers:
    """Who may call, by the names in their certificates: a name's process; empty for one that may call every RPC.

    Without any, everybody who can connect may call everything.
    """

    def __init__(self, processes: Mapping[str, str]) -> None:
        self._processes = {name.encode(): process for name, process in processes.items()}

    @classmethod
    def of(cls, text: str) -> "Callers":
        """The callers of a setting: `name` or `process=name`, separated by spaces."""
        pairs = [each.rpartition("=") for each in text.split()]
        return cls({name: process for process, _, name in pairs})

    def permit(self, method: str) -> Permit:
        """What decides about calls of a method, such as `/journeymesh.video.v1.VideoService/GetVideo`.

        It raises `PermissionDenied`, `CALLER_NOT_PERMITTED`, if none of the names in the caller's certificate may call.
        """
        if not self._processes:
            return _anybody
        listed = callers_of(method)
        names = frozenset(
            name for name, process in self._processes.items() if not process or listed is None or process in listed
        )

        def permit(context: ServerContext) -> None:
            if names.isdisjoint(context.auth_context().get(_NAMES, ())):
                raise PermissionDenied("CALLER_NOT_PERMITTED", "The caller's certificate has no name that may call it.")

        return permit


def _anybody(_: ServerContext) -> None:
    return


@functools.cache
def callers_of(method: str) -> frozenset[str] | None:
    """The processes that the contract lists for a method; None for a method of others, such as a health check."""
    pool: Any = descriptor_pool.Default()
    service, _, name = method.removeprefix("/").partition("/")
    try:
        options = pool.FindServiceByName(service).methods_by_name[name].GetOptions()
        return frozenset(options.Extensions[pool.FindExtensionByName(_OPTION)]) if service.startswith(_OWN) else None
    except KeyError:
        return None


ANYBODY: Final = Callers({})
"""Everybody who can connect."""
