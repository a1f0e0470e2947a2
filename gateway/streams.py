"""The places for streams and sockets: how many may be open, in all, of one address and of one user."""

from typing import Final

from gateway.shares import Lack, Shares
from mesh.errors import ResourceExhausted, Unavailable

RETRY_SECONDS: Final = 2.0


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
            raise Unavailable("TOO_MANY_STREAMS", "Too many streams are open.", RETRY_SECONDS)
        if lack is Lack.FOR_ONE:
            raise ResourceExhausted("TOO_MANY_STREAMS", "Too many streams of this address are open.", RETRY_SECONDS)
        if self._of_user.take(user_id) is not None:
            self._of_address.give_back(address)
            raise ResourceExhausted("TOO_MANY_STREAMS", "Too many streams of this user are open.", RETRY_SECONDS)

    def leave(self, address: str, user_id: str) -> None:
        """Leaves a place to others."""
        self._of_address.give_back(address)
        self._of_user.give_back(user_id)
