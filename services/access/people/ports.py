"""What the use cases need from the outside."""

from collections.abc import Collection, Sequence
from typing import Protocol

from services.access.people.domain.session import Session


class SessionStore(Protocol):
    """Keeps sessions until they end, and which were ended before their time. Times are Unix microseconds.

    All methods raise `Unavailable` if the store cannot be reached; the call may then be repeated.
    """

    async def begin(self, session: Session, now_us: int) -> None:
        """Keeps a session. Sessions that ended by themselves before `now_us` MAY be dropped."""

    async def live(self, now_us: int) -> Sequence[Session]:
        """The sessions that end after `now_us` and were not ended, in no order.

        Raises:
            VersionMismatch: only a newer build can read one.
        """

    async def end(self, sessions: Sequence[Session], now_us: int) -> None:
        """Drops sessions and keeps their ids as ended, in one atomic step; repeating it changes nothing.

        Each id MUST be kept until `remembered_until_us`, and MAY be dropped after that.
        """

    async def ended(self, now_us: int) -> Collection[str]:
        """The ids of the sessions that were ended and are to be remembered at `now_us`."""

    async def keep_token(self, token_hash: bytes, lifetime_seconds: int) -> None:
        """Keeps the hash of a token for so long."""

    async def take_token(self, token_hash: bytes) -> bool:
        """Whether the hash was kept; it is not any more. Of several calls at once, one returns True."""
