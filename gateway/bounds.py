"""What holds for the connections of one server together."""

import asyncio
from typing import Final, NamedTuple

from gateway.addresses import Proxies
from gateway.intake import LEAST_BYTES
from gateway.pace import Pace
from gateway.settings import Settings
from gateway.shares import Shares, share

_WAITING_BYTES: Final = 8 * 1024 * 1024


class Bounds(NamedTuple):
    """The places that are taken, by whom, and how fast requests must come.

    `waiting` counts bytes that were read and wait for the answers to requests before them; `refused` are connections
    that wait to be told that there are too many.
    """

    places: Shares
    waiting: Shares
    proxies: Proxies
    pace: Pace
    refused: set[asyncio.Protocol]


def bounds(settings: Settings, max_connections: int) -> Bounds:
    """The bounds of a server that has no connection yet."""
    places = Shares(max_connections, share(max_connections, settings.address_percent))
    waiting = Shares(_WAITING_BYTES, share(_WAITING_BYTES, settings.address_percent, LEAST_BYTES))
    return Bounds(places, waiting, settings.proxies, Pace(settings.body_seconds), set())
