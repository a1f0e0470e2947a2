"""Reads what is stored where bytes may be lost or damaged: that keeps nobody from reading the rest."""

import contextlib
import logging
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from mesh.errors import Damaged

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, LookupError, ArithmeticError, struct.error)
"""What decoders raise on damaged bytes."""

_Value = TypeVar("_Value")
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Reads a value in the block.

    Args:
        what: what it is, for who is told, as the beginning of a sentence; names nobody.

    Raises:
        Damaged: nobody can read it.
    """
    try:
        yield
    except UNREADABLE as error:
        raise Damaged(what) from error


def readable(what: str, blobs: Iterable[bytes], decode: Callable[[bytes], _Value]) -> dict[bytes, _Value]:
    """The values of some bytes, in their order, without those that nobody can read, which the log tells.

    Args:
        what: what each is, for the log, as the beginning of a sentence.
        blobs: the bytes as they are stored.
        decode: MAY raise whatever decoders raise; a `MeshError` is passed on.
    """
    found, damaged = dict[bytes, _Value](), 0
    for blob in blobs:
        try:
            found[blob] = decode(blob)
        except UNREADABLE:
            damaged += 1
    if damaged:  # without the bytes: they may hold users' ids
        every = len(found) + damaged
        _log.error("%s cannot be read and is left out, as what is stored is damaged: %d of %d", what, damaged, every)
    return found
