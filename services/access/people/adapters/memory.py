"""Sessions in memory: for tests."""

from collections.abc import Collection, Sequence

from services.access.people.domain.session import Session


class MemorySessions:
    """Keeps sessions in dictionaries. No step is interrupted, so each is atomic; tokens stay until they are taken."""

    def __init__(self) -> None:
        self._live: dict[str, Session] = {}
        self._ended: dict[str, int] = {}
        self._tokens: set[bytes] = set()

    async def begin(self, session: Session, now_us: int) -> None:  # noqa: ARG002 - as in the port
        """See `services.access.people.ports.SessionStore`."""
        self._live[session.session_id] = session

    async def live(self, now_us: int) -> Sequence[Session]:
        """See `services.access.people.ports.SessionStore`."""
        return [each for each in self._live.values() if each.ends_us > now_us]

    async def end(self, sessions: Sequence[Session], now_us: int) -> None:  # noqa: ARG002 - as in the port
        """See `services.access.people.ports.SessionStore`."""
        for each in sessions:
            self._live.pop(each.session_id, None)
            self._ended[each.session_id] = each.remembered_until_us

    async def ended(self, now_us: int) -> Collection[str]:
        """See `services.access.people.ports.SessionStore`."""
        return [session_id for session_id, until_us in self._ended.items() if until_us > now_us]

    async def keep_token(self, token_hash: bytes, lifetime_seconds: int) -> None:  # noqa: ARG002 - as in the port
        """See `services.access.people.ports.SessionStore`."""
        self._tokens.add(token_hash)

    async def take_token(self, token_hash: bytes) -> bool:
        """See `services.access.people.ports.SessionStore`."""
        is_kept = token_hash in self._tokens
        self._tokens.discard(token_hash)
        return is_kept
