"""Admission control: how many requests, bytes and streams may be in progress, in total and per address.

What exceeds a limit is refused at once: 503 beyond the total, 429 beyond the share of one address or user.
"""

from typing import Final

from gateway.http.shares import Exhausted, Shares, share
from mesh.errors import MeshError, ResourceExhausted, Unavailable

MAX_BODY_BYTES: Final = 512 * 1024
"""The largest body, compressed or not."""
MIN_ADDRESS_BYTES: Final = 2 * MAX_BODY_BYTES
"""What one address may always hold: the largest body, both compressed and decompressed."""
STREAM_RETRY_SECONDS: Final = 2.0

_RETRY_SECONDS: Final = 1.0


class AdmissionControl:
    """Counts the requests in progress, and the bytes of bodies and large answers that they hold."""

    def __init__(self, max_requests: int, max_bytes: int, address_percent: int) -> None:
        self._requests = Shares(max_requests, share(max_requests, address_percent))
        self._bytes = Shares(max_bytes, share(max_bytes, address_percent, MIN_ADDRESS_BYTES))

    @property
    def requests(self) -> int:
        """The number of requests in progress."""
        return self._requests.taken

    @property
    def held_bytes(self) -> int:
        """The number of bytes held."""
        return self._bytes.taken

    def enter(self, address: str) -> None:
        """Admits a request.

        Raises:
            Unavailable: `BUFFER_FULL`, too many are in progress.
            ResourceExhausted: `ADDRESS_BUSY`, too many of this address are.
        """
        exhausted = self._requests.take(address)
        if exhausted is not None:
            raise _refusal(exhausted, "requests are under way")

    def leave(self, address: str) -> None:
        """Ends a request."""
        self._requests.give_back(address)

    def hold(self, address: str, size: int) -> None:
        """Holds bytes of a body or an answer.

        Raises:
            Unavailable: `BUFFER_FULL`, too many are held.
            ResourceExhausted: `ADDRESS_BUSY`, too many are held for this address.
        """
        exhausted = self._bytes.take(address, size) if size else None
        if exhausted is not None:
            raise _refusal(exhausted, "bytes of requests and answers are held")

    def release(self, address: str, size: int) -> None:
        """Releases bytes."""
        if size:
            self._bytes.give_back(address, size)


class OpenStreams:
    """Counts the open streams and sockets, per address and per user."""

    def __init__(self, most: int, most_of_address: int, most_of_user: int) -> None:
        self._of_address = Shares(most, most_of_address)
        self._of_user = Shares(most, most_of_user)

    def __len__(self) -> int:
        """The number of open streams."""
        return self._of_address.taken

    def enter(self, address: str, user_id: str) -> None:
        """Admits a stream.

        Raises:
            Unavailable: `TOO_MANY_STREAMS`, in total.
            ResourceExhausted: `TOO_MANY_STREAMS`, of this address or this user.
        """
        exhausted = self._of_address.take(address)
        if exhausted is Exhausted.TOTAL:
            raise Unavailable("TOO_MANY_STREAMS", "Too many streams are open.", STREAM_RETRY_SECONDS)
        if exhausted is Exhausted.SHARE:
            raise _too_many_streams("address")
        if self._of_user.take(user_id) is not None:
            self._of_address.give_back(address)
            raise _too_many_streams("user")

    def leave(self, address: str, user_id: str) -> None:
        """Ends a stream."""
        self._of_address.give_back(address)
        self._of_user.give_back(user_id)


def _refusal(exhausted: Exhausted, what: str) -> MeshError:
    if exhausted is Exhausted.TOTAL:
        return Unavailable("BUFFER_FULL", f"Too many {what}.", _RETRY_SECONDS)
    return ResourceExhausted("ADDRESS_BUSY", f"Too many {what} of this address.", _RETRY_SECONDS)


def _too_many_streams(whose: str) -> MeshError:
    return ResourceExhausted("TOO_MANY_STREAMS", f"Too many streams of this {whose} are open.", STREAM_RETRY_SECONDS)
