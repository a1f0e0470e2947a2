"""Watches the help that waits for a user: the one source of event streams and sockets, and so of their cursor.

A slow client holds up only its own watch: nothing is read from the service before the client has taken what was read.
A watch survives the end of a replica or of an old connection: another replica continues from the same cursor.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from journeymesh.intervention.v1 import intervention_pb2

from gateway.core import Core
from gateway.http import parameters
from gateway.http.caller import Caller
from mesh.observability import registry

# How long the service, including retries, may take to refuse before the answer begins. If help waits, it says so at
# once; silence is no refusal.
_REFUSAL_SECONDS: Final = 0.5
# A call that ends sooner is not repeated: the service is in trouble, and the client will come back by itself.
_SHORT_SECONDS: Final = 1.0

Pending = intervention_pb2.GetPendingInterventionResponse


class Watch:
    """Changes of the help that waits for one user. Counts as an open stream until it is closed."""

    _began: float
    _call: Any
    _reading: "asyncio.Future[Any]"

    def __init__(
        self, core: Core, address: str, caller: Caller, asked: intervention_pb2.WatchPendingInterventionRequest
    ) -> None:
        core.streams.enter(address, asked.user_id)
        self._core = core
        self._address, self._caller = address, caller
        self._asked = asked
        self._is_open = True
        self._closing = asyncio.ensure_future(core.closing.wait())
        self._begin()
        core.telemetry.metrics.set_gauge(registry.STREAMS, len(core.streams))

    async def settle(self) -> None:
        """Gives the service time to refuse.

        Raises:
            MeshError: it did.
        """
        await asyncio.wait((self._reading,), timeout=_REFUSAL_SECONDS)
        error = self._reading.exception() if self._reading.done() else None
        if error is not None:
            raise error

    async def changes(self, silence_seconds: float | None = None) -> AsyncIterator[Pending | None]:
        """What waits, at every change, and None after each such silence.

        Ends with the service, the process, or the key.
        """
        while True:
            awaited = (self._reading, self._closing)
            await asyncio.wait(awaited, timeout=silence_seconds, return_when=asyncio.FIRST_COMPLETED)
            if self._closing.done() or not self._core.door.still_admits(self._caller):
                return  # the client comes back by itself, with its cursor; without a valid key it is refused then
            if not self._reading.done():
                yield None
            elif not _has_ended(self._reading):
                change = self._reading.result()
                self._asked.cursor = change.cursor
                yield _pending(change)
                self._reading = asyncio.ensure_future(self._call.read())
            elif asyncio.get_running_loop().time() - self._began < _SHORT_SECONDS:
                return
            else:
                self._begin()

    def close(self) -> None:
        """Ends the call, and no longer counts."""
        if not self._is_open:
            return
        self._is_open = False
        self._core.streams.leave(self._address, self._asked.user_id)
        self._core.telemetry.metrics.set_gauge(registry.STREAMS, len(self._core.streams))
        self._closing.cancel()
        self._reading.cancel()
        self._call.cancel()

    def _begin(self) -> None:
        self._began = asyncio.get_running_loop().time()
        self._call = self._core.peers.intervention.WatchPendingIntervention(self._asked)
        self._reading = asyncio.ensure_future(self._call.read())


async def watch(core: Core, user_id: str, address: str, caller: Caller, cursor: str) -> Watch:
    """Watches what waits for a user after the cursor, or from the beginning if it is empty.

    Raises:
        Unauthenticated: the caller may not act for this user.
        InvalidArgument: the cursor is invalid.
        Unavailable, ResourceExhausted: `TOO_MANY_STREAMS`, in total, or for this address or user.
        MeshError: the service refused.
    """
    caller.require_user(user_id)
    asked = intervention_pb2.WatchPendingInterventionRequest(
        user_id=user_id, cursor=parameters.cursor(cursor, "cursor")
    )
    opened = Watch(core, address, caller, asked)
    try:
        await opened.settle()
    except BaseException:
        opened.close()
        raise
    return opened


def _pending(change: intervention_pb2.WatchPendingInterventionResponse) -> Pending:
    """A change, as a poll would answer it."""
    waits = change.HasField("intervention")
    return Pending(
        has_pending_intervention=waits,
        intervention=change.intervention if waits else None,
        cursor=change.cursor,
        withdrawn=change.withdrawn if change.HasField("withdrawn") else None,
    )


def _has_ended(reading: "asyncio.Future[Any]") -> bool:
    return reading.cancelled() or reading.exception() is not None or reading.result() is grpc.aio.EOF
