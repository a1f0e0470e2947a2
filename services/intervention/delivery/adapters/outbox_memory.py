"""The outbox in memory: for tests and for replays that need no store."""

from collections.abc import Sequence

from services.intervention.delivery.domain import delivery
from services.intervention.delivery.domain.delivery import Delivery, OutboxEntry, OutboxMessage
from services.intervention.delivery.ports import Backlog, Claimed


class MemoryOutbox:
    """Keeps entries in a dictionary, forever."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], OutboxEntry] = {}
        self._due: dict[tuple[str, str], int] = {}

    async def add(self, messages: Sequence[OutboxMessage], now_us: int) -> None:  # noqa: ARG002 - no lifetime begins here
        """See `services.intervention.delivery.ports.Outbox`."""
        for message in messages:
            if _name(message) not in self._entries:
                self._entries[_name(message)] = delivery.new_entry(message)
                self._due[_name(message)] = message.due_us

    async def cancel(self, intervention_ids: Sequence[str], now_us: int, reason: str) -> None:
        """See `services.intervention.delivery.ports.Outbox`."""
        for name, entry in self._entries.items():
            if name[1] in intervention_ids and entry.is_waiting and not entry.is_doubtful:
                self._entries[name] = delivery.cancelled(entry, reason, now_us)
                self._due[name] = now_us

    async def claim(self, channel: str, now_us: int, limit: int, lease_us: int) -> list[Claimed]:
        """See `services.intervention.delivery.ports.Outbox`."""
        due = sorted((at, name) for name, at in self._due.items() if name[0] == channel and at <= now_us)[:limit]
        self._due.update((name, now_us + lease_us) for _, name in due)
        return [Claimed(self._entries[name], now_us + lease_us) for _, name in due]

    async def update(self, claimed: Claimed, entry: OutboxEntry, due_us: int | None) -> bool:
        """See `services.intervention.delivery.ports.Outbox`."""
        name = _name(entry.message)
        now = self._entries.get(name), self._due.get(name)
        if now == (entry, due_us):
            return True
        if now != (claimed.entry, claimed.until_us):
            return False
        self._entries[name] = entry
        if due_us is None:
            del self._due[name]
        else:
            self._due[name] = due_us
        return True

    async def backlog(self, channel: str) -> Backlog:
        """See `services.intervention.delivery.ports.Outbox`."""
        due = [at for name, at in self._due.items() if name[0] == channel]
        return Backlog(len(due), min(due, default=None))

    async def remove(self, intervention_ids: Sequence[str]) -> None:
        """See `services.intervention.delivery.ports.Outbox`."""
        for name in [each for each in self._entries if each[1] in intervention_ids]:
            del self._entries[name]
            self._due.pop(name, None)

    async def deliveries(self, intervention_ids: Sequence[str]) -> list[list[Delivery]]:
        """See `services.intervention.delivery.ports.Outbox`."""
        return [
            [self._entries[channel, each].delivery for channel in delivery.CHANNELS if (channel, each) in self._entries]
            for each in intervention_ids
        ]


def _name(message: OutboxMessage) -> tuple[str, str]:
    return message.channel, message.intervention_id
