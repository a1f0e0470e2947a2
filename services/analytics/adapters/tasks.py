"""What processes that count are asked for, and how it is written to them."""

import struct
from typing import Final, NamedTuple

from services.analytics.ports import Reading

LENGTH: Final = struct.Struct(">I")
"""Stands before each pickle."""


class Place(NamedTuple):
    """Where copies are made from and to."""

    archive_url: str
    root: str


class Follow(NamedTuple):
    """Brings the copies up to the archive."""

    place: Place
    is_all: bool
    """Whether the archive is looked at also where its tail shows that nothing was archived since."""


class Count(NamedTuple):
    """A question to answer from copies below a root."""

    root: str
    reading: Reading


class Failure(NamedTuple):
    """Why a task could not be done: the name of an error's class, its reason and its text."""

    kind: str
    reason: str = ""
    detail: str = ""
