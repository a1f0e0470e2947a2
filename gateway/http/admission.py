"""How much may be under way at once: requests, and the bytes of bodies and answers; in all, and of one address.

Beyond it the answer is 503 or, where others would still be served, 429, at once.
"""

from typing import Final

from gateway.http.shares import Lack, Shares, share
from mesh.errors import MeshError, ResourceExhausted, Unavailable

MAX_BODY_BYTES: Final = 512 * 1024
"""The largest body, also unpacked."""

STREAM_RETRY_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 1.0
LEAST_BYTES: Final = 2 * MAX_BODY_BYTES
"""So much one address may always hold: the largest body, compressed and unpacked."""


class Intake:
    """Counts what is under way. Streams of interventions have a bound of their own."""

    def __init__(self, max_requests: int, max_bytes: int, address_percent: int) -> None:
        self._requests = Shares(max_requests, share(max_requests, address_percent))
        self._bytes = Shares(max_bytes, share(max_bytes, address_percent, LEAST_BYTES))

    @property
    def requests(self) -> int:
        """How many are under way."""
        return self._requests.taken

    @property
    def held_bytes(self) -> int:
        """How many bytes are held."""
        return self._bytes.taken

    def enter(self, address: str) -> None:
        """Lets a request in.

        Raises:
            Unavailable: `BUFFER_FULL`, as many are under way as may be.
            ResourceExhausted: `ADDRESS_BUSY`, as many of this address.
        """
        lack = self._requests.take(address)
        if lack is not None:
            raise _refused(lack, "requests are under way")

    def leave(self, address: str) -> None:
        """Lets a request out."""
        self._requests.give_back(address)

    def hold(self, address: str, size: int) -> None:
        """Holds bytes of a body or an answer.

        Raises:
            Unavailable: `BUFFER_FULL`, there are as many as there may be.
            ResourceExhausted: `ADDRESS_BUSY`, as many of this address.
        """
        lack = self._bytes.take(address, size) if size else None
        if lack is not None:
            raise _refused(lack, "bytes of requests and answers are held")

    def release(self, address: str, size: int) -> None:
        """Lets go of bytes that were held."""
        if size:
            self._bytes.give_back(address, size)


def _refused(lack: Lack, what: str) -> MeshError:
    if lack is Lack.FOR_ALL:
        return Unavailable("BUFFER_FULL", f"Too many {what}.", _RETRY_SECONDS)
    return ResourceExhausted("ADDRESS_BUSY", f"Too many {what} of this address.", _RETRY_SECONDS)


class Streams:
    """Counts the streams that are open."""

    def __init__(self, most: int, most_of_address: int, most_of_user: int) -> None:
        self._of_address = Shares(most, most_of_address)
        self._of_user = Shares(most, most_of_user)

    def __len__(self) -> int:
        """How many are open."""
        return self._of_address.taken

    def enter(self, address: str, user_id: str) -> None:
        """Takes a place.

        Raises:
            Unavailable: `TOO_MANY_STREAMS`, there is none.
            ResourceExhausted: `TOO_MANY_STREAMS`, there is none for this address, or for this user.
        """
        lack = self._of_address.take(address)
        if lack is Lack.FOR_ALL:
            raise Unavailable("TOO_MANY_STREAMS", "Too many streams are open.", STREAM_RETRY_SECONDS)
        if lack is Lack.FOR_ONE:
            raise ResourceExhausted(
                "TOO_MANY_STREAMS", "Too many streams of this address are open.", STREAM_RETRY_SECONDS
            )
        if self._of_user.take(user_id) is not None:
            self._of_address.give_back(address)
            raise ResourceExhausted("TOO_MANY_STREAMS", "Too many streams of this user are open.", STREAM_RETRY_SECONDS)

    def leave(self, address: str, user_id: str) -> None:
        """Leaves a place to others."""
        self._of_address.give_back(address)
        self._of_user.give_back(user_id)
