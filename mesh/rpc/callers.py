"""Who may call a process: those whose certificates have certain names."""

from collections.abc import Collection
from typing import Final

from mesh.errors import PermissionDenied
from mesh.rpc.context import ServerContext

_NAMES: Final = "x509_subject_alternative_name"


class Callers:
    """The names of those who may call; without any, everybody who can connect."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(name.encode() for name in names)

    def require(self, context: ServerContext) -> None:
        """Returns if the caller of an RPC may call.

        Raises:
            PermissionDenied: `CALLER_NOT_PERMITTED`, none of the names in its certificate may.
        """
        if self._names and self._names.isdisjoint(context.auth_context().get(_NAMES, ())):
            raise PermissionDenied("CALLER_NOT_PERMITTED", "The caller's certificate has no name that may call here.")


ANYBODY: Final = Callers(())
"""Everybody who can connect."""
