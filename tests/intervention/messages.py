"""Messages, users who want them, and a channel that does what a test says."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from mesh.state import applied, keyed
from mesh.state.applied import Batch
from mesh.state.port import StateStore
from services.intervention.decision.domain.facts import Contact, Outcome
from services.intervention.decision.domain.offer import Offer, Undelivered
from services.intervention.decision.domain.segment import Recommended
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.domain.user_state import UserState
from services.intervention.decision.state import CONTACTS, UNDELIVERED, USERS
from services.intervention.delivery.domain import delivery
from services.intervention.delivery.domain.delivery import OutboxEntry, OutboxMessage
from services.intervention.delivery.ports import Sent

SECOND = 1_000_000
MINUTE = 60 * SECOND
# A Wednesday, ten in the morning in Berlin.
NOON_ISH = 1_767_776_400_000_000


@dataclasses.dataclass
class ManualClock:
    """A clock that a test sets."""

    now_us: int = NOON_ISH

    def __call__(self) -> int:
        return self.now_us


def message(number: int = 1, channel: str = "email", **members: Any) -> OutboxMessage:
    """A message of the intervention of this number, due now, for half an hour."""
    default = OutboxMessage(
        intervention_id=f"i-3-{number}-0",
        decision_id=f"d-3-{number}-0",
        channel=channel,
        user_id="ada",
        action="send_help_email",
        type="proactive_help",
        priority="medium",
        queue="standard",
        risk_level="high",
        text="It looks like the form is giving you trouble.",
        content=("guide", "support_link"),
        page="/calculator",
        due_us=NOON_ISH,
        expires_us=NOON_ISH + 30 * MINUTE,
        trace_id=bytes(range(16)),
    )
    return msgspec.structs.replace(default, **members)


async def offer(
    state: StateStore,
    messages: Sequence[OutboxMessage],
    reached: Outcome = Outcome.NONE,
    by_id: Mapping[str, Outcome] | None = None,
    products: tuple[Recommended, ...] = (),
) -> None:
    """Makes the users' state one in which the interventions of the messages were offered, and this came of them.

    With `products` that of the last message waits, and recommends these.
    """
    items = {}
    for user_id in {each.user_id for each in messages}:
        own = {each.intervention_id: each for each in messages if each.user_id == user_id}.values()
        offers = tuple(
            Offer(
                id=each.intervention_id,
                channel=each.channel,
                is_urgent=False,
                made_us=NOON_ISH,
                expires_us=each.expires_us,
                outcome=(by_id or {}).get(each.intervention_id, reached),
            )
            for each in own
        )
        batch = Batch("events", "3", (1,))
        last = list(own)[-1]
        waiting = Intervention(
            *(last.intervention_id, last.type, last.action, last.text, last.channel, last.priority),
            expires_us=last.expires_us,
            deliver_by_us=last.expires_us,
            success_probability=0.5,
            also_channels=(),
            content=last.content,
            risk_score=80.0,
            risk_level=last.risk_level,
            indicators=(),
            page=last.page,
            confidence=1.0,
            products=products,
        )
        user = UserState(offers=offers, waiting=waiting if products else None)
        sealed = applied.seal(applied.resume(None, batch), USERS.encode(user), batch)
        items[f"user:{user_id}"] = sealed
    await state.save(items, None)


async def reachable(state: StateStore, user_id: str = "ada", email: str = "ada@example.org", push: str = "") -> None:
    """Makes the user's contact known."""
    await state.save({CONTACTS.key(user_id): CONTACTS.encode(Contact(email, push))}, None)


async def undelivered(state: StateStore, user_id: str = "ada") -> Undelivered:
    """What is filed as undelivered."""
    return await keyed.read(state, UNDELIVERED, user_id)


class ScriptedChannel:
    """Raises what the script says, one entry a call, and takes the message once the script is at its end."""

    provider = "scripted"

    def __init__(self, *script: Exception | None, is_repeatable: bool = False) -> None:
        self.is_repeatable = is_repeatable
        self.script = list(script)
        self.calls: list[tuple[str, str, str]] = []
        self.taken: list[str] = []
        self.gate: Callable[[], Any] | None = None
        self.most_at_once = 0
        self._at_once = 0

    async def send(self, message: OutboxMessage, text: str, contact: Contact, key: str) -> Sent:
        """See `services.intervention.delivery.ports.Channel`."""
        self.calls.append((key, text, contact.email))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.gate is not None:
                await self.gate()
            trouble = self.script.pop(0) if self.script else None
            if trouble is not None:
                raise trouble
        finally:
            self._at_once -= 1
        self.taken.append(key)
        return Sent(f"m-{len(self.taken)}")


async def until(holds: Callable[[], Any]) -> None:
    """Returns once it holds; lets the others run meanwhile. Fails after ten seconds."""
    async with asyncio.timeout(10):
        while True:
            found = holds()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.001)


def entry(of: OutboxMessage, **members: Any) -> OutboxEntry:
    """A entry of which so much is known."""
    return msgspec.structs.replace(delivery.new_entry(of), **members)
