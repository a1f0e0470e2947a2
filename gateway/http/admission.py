"""Admission control: how many requests, bytes and streams may be in progress, in total, per address and per tenant.

What exceeds a limit is refused at once: 503 beyond the total, 429 beyond the share of one address, tenant or user.
"""

from typing import Final

from gateway.http.shares import Exhausted, Shares
from mesh.errors import MeshError, ResourceExhausted, Unavailable
from records.tenants import DEFAULT, tenant_of

MAX_BODY_BYTES: Final = 512 * 1024
"""The largest body, compressed or not."""
MIN_ADDRESS_BYTES: Final = 2 * MAX_BODY_BYTES
"""What one address may always hold: the largest body, both compressed and decompressed."""
STREAM_RETRY_SECONDS: Final = 2.0

_RETRY_SECONDS: Final = 1.0
_WHOSE: Final = {Exhausted.SHARE: "address", Exhausted.TENANT: "tenant"}


class AdmissionControl:
    """Counts the requests in progress, and the bytes of bodies and large answers that they hold."""

    def __init__(self, requests: Shares, held: Shares) -> None:
        self._requests = requests
        self._bytes = held

    @property
    def requests(self) -> int:
        """The number of requests in progress."""
        return self._requests.taken

    @property
    def held_bytes(self) -> int:
        """The number of bytes held."""
        return self._bytes.taken

    def enter(self, address: str, tenant: str = DEFAULT) -> None:
        """Admits a request.

        Raises:
            Unavailable: `BUFFER_FULL`, too many are in progress.
            ResourceExhausted: `ADDRESS_BUSY`, `TENANT_BUSY`, too many of this address or tenant are.
        """
        exhausted = self._requests.take(address, tenant=tenant)
        if exhausted is not None:
            raise refusal(exhausted, "requests are under way")

    def leave(self, address: str, tenant: str = DEFAULT) -> None:
        """Ends a request."""
        self._requests.give_back(address, tenant=tenant)

    def hold(self, address: str, size: int, tenant: str = DEFAULT) -> None:
        """Holds bytes of a body or an answer.

        Raises:
            Unavailable: `BUFFER_FULL`, too many are held.
            ResourceExhausted: `ADDRESS_BUSY`, `TENANT_BUSY`, too many are held for this address or tenant.
        """
        exhausted = self._bytes.take(address, size, tenant) if size else None
        if exhausted is not None:
            raise refusal(exhausted, "bytes of requests and answers are held")

    def release(self, address: str, size: int, tenant: str = DEFAULT) -> None:
        """Releases bytes."""
        if size:
            self._bytes.give_back(address, size, tenant)


class OpenStreams:
    """Counts the open streams and sockets, per address, tenant and user."""

    def __init__(self, places: Shares, of_users: Shares) -> None:
        self._places = places
        self._of_users = of_users

    def __len__(self) -> int:
        """The number of open streams."""
        return self._places.taken

    def enter(self, address: str, user_id: str) -> None:
        """Admits a stream.

        Raises:
            Unavailable: `TOO_MANY_STREAMS`, in total.
            ResourceExhausted: `TOO_MANY_STREAMS`, of this address, this tenant or this user.
        """
        tenant = tenant_of(user_id)
        exhausted = self._places.take(address, tenant=tenant)
        if exhausted is Exhausted.TOTAL:
            raise Unavailable("TOO_MANY_STREAMS", "Too many streams are open.", STREAM_RETRY_SECONDS)
        if exhausted is not None:
            raise _too_many_streams(_WHOSE[exhausted])
        if self._of_users.take(user_id) is not None:
            self._places.give_back(address, tenant=tenant)
            raise _too_many_streams("user")

    def leave(self, address: str, user_id: str) -> None:
        """Ends a stream."""
        self._places.give_back(address, tenant=tenant_of(user_id))
        self._of_users.give_back(user_id)


def refusal(exhausted: Exhausted, what: str) -> MeshError:
    """The error of a request for which no room is left; `what` there is too much of."""
    if exhausted is Exhausted.TOTAL:
        return Unavailable("BUFFER_FULL", f"Too many {what}.", _RETRY_SECONDS)
    whose = _WHOSE[exhausted]
    return ResourceExhausted(f"{whose.upper()}_BUSY", f"Of this {whose} too many {what}.", _RETRY_SECONDS)


def _too_many_streams(whose: str) -> MeshError:
    return ResourceExhausted("TOO_MANY_STREAMS", f"Too many streams of this {whose} are open.", STREAM_RETRY_SECONDS)
