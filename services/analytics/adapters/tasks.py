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


class Count(NamedTuple):
    """A question to answer from copies below a root."""

    root: str
    reading: Reading


class Failure(NamedTuple):
    """Why a task could not be done: the name of an error's class, its reason and its text."""

    kind: str
    reason: str = ""
    detail: str = ""
