"""Watches a service for a client: the help that waits for one user, what happens to all of a tenant, or incidents.

The watch of waiting help is the one source of event streams and sockets, and so of their cursor.

A slow client holds up only its own watch: nothing is read from the service before the client has taken what was read.
A watch survives the end of a replica or of an old connection: another replica continues from the same cursor.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Generic, TypeVar

import grpc
from journeymesh.analytics.v1 import insights_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway.core import Core
from gateway.http import parameters
from gateway.http.caller import Caller
from mesh.observability import registry
from records.tenants import qualified

# How long the service may take for its first answer, or to refuse. It answers at once; only one of an older version is
# silent where nothing has changed since the cursor.
_FIRST_ANSWER_SECONDS: Final = 5.0
# A call that ends sooner is not repeated: the service is in trouble, and the client will come back by itself.
_SHORT_SECONDS: Final = 1.0

Happenings = intervention_pb2.WatchHappeningsResponse
Incidents = insights_pb2.WatchInsightsResponse
Pending = intervention_pb2.GetPendingInterventionResponse
_Change = TypeVar("_Change")


class Watch(Generic[_Change]):
    """The answers of a service that streams them. Counts as an open stream until it is closed.

    Args:
        core: the services and limits.
        address: of the client.
        caller: who watches.
        whose: the user whose stream it is, or another name within the tenant: both share its bound.
        begin: begins the call, after what was taken last.
        taken: what a client is shown of an answer; None: nothing.
    """

    _began: float
    _call: Any
    _reading: "asyncio.Future[Any]"

    def __init__(
        self,
        core: Core,
        address: str,
        caller: Caller,
        whose: str,
        begin: Callable[[], Any],
        taken: Callable[[Any], _Change | None],
    ) -> None:
        core.streams.enter(address, whose)
        self._core = core
        self._address, self._caller, self._whose = address, caller, whose
        self._call_again, self._taken = begin, taken
        self._is_open = True
        self._closing = asyncio.ensure_future(core.closing.wait())
        self._begin()
        core.telemetry.metrics.set_gauge(registry.STREAMS, len(core.streams))

    async def settle(self) -> None:
        """Waits until the service has accepted or refused.

        Raises:
            MeshError: it did.
        """
        await asyncio.wait((self._reading,), timeout=_FIRST_ANSWER_SECONDS)
        error = self._reading.exception() if self._reading.done() else None
        if error is not None:
            raise error

    async def changes(self, silence_seconds: float | None = None) -> AsyncIterator[_Change | None]:
        """Every change, and None after each such silence.

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
                told = self._taken(self._reading.result())
                if told is not None:
                    yield told
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
        self._core.streams.leave(self._address, self._whose)
        self._core.telemetry.metrics.set_gauge(registry.STREAMS, len(self._core.streams))
        self._closing.cancel()
        self._reading.cancel()
        self._call.cancel()

    def _begin(self) -> None:
        self._began = asyncio.get_running_loop().time()
        self._call = self._call_again()
        self._reading = asyncio.ensure_future(self._call.read())


async def watch(core: Core, user_id: str, address: str, caller: Caller, cursor: str) -> Watch[Pending]:
    """Watches what waits for a user after the cursor, or from the beginning if it is empty.

    Raises:
        Unauthenticated: the caller may not act for this user.
        InvalidArgument: the cursor is invalid.
        Unavailable, ResourceExhausted: `TOO_MANY_STREAMS`, in total, or for this address or user.
        MeshError: the service refused.
    """
    caller.require_user(user_id)
    asked = intervention_pb2.WatchPendingInterventionRequest(
        user_id=user_id, cursor=parameters.cursor(cursor, "cursor"), wants_unchanged=True
    )

    def taken(change: intervention_pb2.WatchPendingInterventionResponse) -> Pending | None:
        if change.is_unchanged:
            return None
        asked.cursor = change.cursor
        return _pending(change)

    begin = core.peers.intervention.WatchPendingIntervention
    return await _settled(Watch(core, address, caller, user_id, lambda: begin(asked), taken))


async def watch_happenings(core: Core, address: str, caller: Caller) -> Watch[Happenings]:
    """Watches what happens to the users of the caller's tenant from now on.

    Raises:
        Unavailable, ResourceExhausted: `TOO_MANY_STREAMS`, in total, or for this address or caller.
        MeshError: the service refused.
    """
    asked = intervention_pb2.WatchHappeningsRequest(tenant=caller.tenant)
    whose = qualified(caller.tenant, caller.key_id or address)
    begin = core.peers.intervention.WatchHappenings
    return await _settled(Watch(core, address, caller, whose, lambda: begin(asked), lambda happened: happened))


async def watch_incidents(core: Core, address: str, caller: Caller, seen: str, name: str) -> Watch[Incidents]:
    """Watches the incidents of the caller's tenant: all, or what changed after the sequence that was seen last.

    Args:
        core: the services and limits.
        address: of the client.
        caller: who watches.
        seen: the sequence; empty: none.
        name: what the caller calls it.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, the sequence is none.
        Unavailable, ResourceExhausted: `TOO_MANY_STREAMS`, in total, or for this address or caller.
        MeshError: the service refused.
    """
    asked = insights_pb2.WatchInsightsRequest(tenant=caller.tenant, sequence=int(parameters.cursor(seen, name) or "0"))

    def taken(told: Incidents) -> Incidents:
        asked.sequence = told.sequence
        return told

    whose = qualified(caller.tenant, caller.key_id or address)
    begin = core.peers.insights.WatchInsights
    return await _settled(Watch(core, address, caller, whose, lambda: begin(asked), taken))


async def _settled(opened: Watch[_Change]) -> Watch[_Change]:
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
