"""Experiments, totals and units as bytes: a version and the value, whose parts grow at their ends, with defaults."""

from typing import Final, TypeVar

import msgspec

from mesh.errors import VersionMismatch
from services.experiments.domain.evidence import Totals, UnitState
from services.experiments.domain.experiment import Experiment

_VERSION: Final = 1


class _Version(msgspec.Struct, array_like=True):
    version: int


class _Experiment(msgspec.Struct, array_like=True):
    version: int
    value: Experiment


class _Totals(msgspec.Struct, array_like=True):
    version: int
    value: Totals


class _Unit(msgspec.Struct, array_like=True):
    version: int
    value: UnitState


_Packed = TypeVar("_Packed", _Experiment, _Totals, _Unit)
_ENCODE: Final = msgspec.msgpack.Encoder().encode


def pack(value: Experiment | Totals | UnitState) -> bytes:
    """A value as it is stored."""
    return _ENCODE((_VERSION, value))


def experiment_of(blob: bytes) -> Experiment:
    """An experiment as it was stored.

    Raises:
        VersionMismatch: only a newer build can read it.
    """
    return _decoded(blob, _Experiment).value


def totals_of(blob: bytes) -> Totals:
    """Totals as they were stored.

    Raises:
        VersionMismatch: only a newer build can read them.
    """
    return _decoded(blob, _Totals).value


def unit_of(blob: bytes) -> UnitState:
    """What is known of a unit as it was stored.

    Raises:
        VersionMismatch: only a newer build can read it.
    """
    return _decoded(blob, _Unit).value


def _decoded(blob: bytes, kind: type[_Packed]) -> _Packed:
    if msgspec.msgpack.decode(blob, type=_Version).version > _VERSION:
        raise VersionMismatch("What an experiment has was stored by a newer version of the service.")
    return msgspec.msgpack.decode(blob, type=kind)
