"""Asking ingest of this version, which takes a table, or of the version before, which takes events one by one.

Both run side by side while they are upgraded. The one before does not see a table, and so gives no verdicts.
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
        """Sends events, and what is none as a serialized `AcceptEventsRequest`; gives the verdicts of the events.

        For a minute after an answer without verdicts, events are sent as the version before takes them.

        Raises:
            MeshError: as ingest raises it.
        """
        now = asyncio.get_running_loop().time()
        if not table or now >= self._is_older_until:
            response = await self._accept(_of_table(table) + unreadable)
            if response.verdicts or not table:
                return response
            self._is_older_until = now + _REMEMBERED_SECONDS
            unreadable = b""  # it was taken
        events = ingest_pb2.AcceptEventsRequest(events=table.events())
        return await self._accept(events.SerializeToString() + unreadable)


def _of_table(table: Table) -> bytes:
    tables = [wire.encoded(table)] if table else []
    return ingest_pb2.AcceptEventsRequest(tables=tables).SerializeToString()
