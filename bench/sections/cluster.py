"""The mesh on a cluster of stores."""

from bench.report import Found
from bench.sections import Scale

_ABOUT = "Three primaries in place of one store, the same load in turn."


def cluster(scale: Scale) -> Found:  # noqa: ARG001 - nothing is measured yet
    """Skipped."""
    return Found("A cluster of stores", _ABOUT, skipped="the mesh takes no cluster of stores")
