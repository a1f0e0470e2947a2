"""Calls ingest, be it of this version, which takes a table, or of the previous one, which takes single events.

During an upgrade both run side by side. The previous one ignores a table, and so returns no verdicts.
"""

import asyncio
from typing import Final

from journeymesh.ingest.v1 import ingest_pb2

from gateway.peers import Accept
from records import wire
from records.table import Table

_REMEMBERED_SECONDS: Final = 60.0


class Ingest:
    """Ingest, whichever version it is."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._is_older_until = 0.0

    async def accept(self, table: Table, unreadable: bytes) -> ingest_pb2.AcceptEventsResponse:
        """Sends events, and unreadable ones as a serialized `AcceptEventsRequest`; returns the verdicts.

        For a minute after an answer without verdicts, events are sent one by one.

        Raises:
            MeshError: as ingest raises it.
        """
        now = asyncio.get_running_loop().time()
        if not table or now >= self._is_older_until:
            response = await self._accept(_of_table(table) + unreadable)
            if response.verdicts or not table:
                return response
            self._is_older_until = now + _REMEMBERED_SECONDS
            unreadable = b""  # they were taken
        events = ingest_pb2.AcceptEventsRequest(events=table.events())
        return await self._accept(events.SerializeToString() + unreadable)


def _of_table(table: Table) -> bytes:
    tables = [wire.encoded(table)] if table else []
    return ingest_pb2.AcceptEventsRequest(tables=tables).SerializeToString()
