"""Whatever crashes, comes again or is away: nobody hears twice, nothing unwanted goes out, and nothing is lost."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mesh.errors import Unavailable
from mesh.state.memory import MemoryState
from services.intervention.decision.domain.facts import Contact, Outcome
from services.intervention.decision.domain.offer import Undelivered, with_undelivered
from services.intervention.decision.state import UNDELIVERED
from services.intervention.delivery.adapters.outbox_memory import MemoryOutbox
from services.intervention.delivery.adapters.silence import SilentDeliveryObserver
from services.intervention.delivery.domain import delivery
from services.intervention.delivery.domain.delivery import (
    Deferred,
    DeliveryState,
    OutboxEntry,
    OutboxMessage,
    Refused,
    Unanswered,
)
from services.intervention.delivery.ports import Sent
from services.intervention.delivery.usecases import LEASE_US, Deliverer
from tests.intervention.messages import MINUTE, NOON_ISH, SECOND, ManualClock, message, offer, undelivered

# What a process meets at its next call: all is well; the store is away before or after it has done what was asked; the
# provider puts off, refuses, or takes the message and is not heard, or is not heard and has not taken it.
WELL, AWAY, LOST, DEFER, REFUSE, TAKEN_UNHEARD, UNHEARD = "well", "away", "lost", "defer", "refuse", "taken", "unheard"
MODES: Final = (AWAY, LOST, DEFER, REFUSE, TAKEN_UNHEARD, UNHEARD)
MESSAGES: Final = [
    message(1),
    message(2, expires_us=NOON_ISH + 5 * MINUTE),
    message(3, user_id="bob", due_us=NOON_ISH + 30 * SECOND),
]
KEYS: Final = {each.key: each for each in MESSAGES}
# A message that is put off waits at most so long, and may by then have failed for it.
LONGEST_WAIT_US: Final = 300 * SECOND


class Process:
    """A sender that does one call of a port at a time, when it is asked to, and can be stopped before any of them."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.provider = "scripted"
        self.is_repeatable = world.is_repeatable
        self._gate: asyncio.Future[str] | None = None
        self._task: asyncio.Task[None] | None = None
        # What it knew when it last looked: the wanted interventions.
        self.saw_wanted: frozenset[str] = frozenset()

    async def step(self, mode: str) -> None:
        """Lets it do its next call; begins a round where it is idle."""
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        elif self._gate is not None:
            gate, self._gate = self._gate, None
            gate.set_result(mode)
        while self._gate is None and not self._task.done():  # noqa: ASYNC110 - it waits at a gate of its own
            await asyncio.sleep(0)
        if self._task.done():
            task, self._task = self._task, None
            if not isinstance(task.exception(), Unavailable):
                task.result()

    async def crash(self) -> None:
        """Ends it where it stands; it forgets everything."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._task = self._gate = None

    @property
    def is_idle(self) -> bool:
        return self._task is None

    async def _work(self) -> None:
        world = self._world
        every_port: Any = self
        deliverer = Deliverer(every_port, every_port, SilentDeliveryObserver(), world.clock, lambda: 1.0)
        await self._turn()
        for claimed in await world.outbox.claim("email", world.clock(), 2, LEASE_US):
            await deliverer.deliver(claimed, every_port)

    async def _turn(self) -> str:
        self._gate = asyncio.get_running_loop().create_future()
        return await self._gate

    async def _call(self, call: Callable[..., Any], *arguments: Any) -> Any:
        mode = await self._turn()
        if mode == AWAY:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "away")
        answer = await call(*arguments)
        if mode == LOST:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "the answer was lost")
        return answer

    # The ports as the carrier sees them: each call waits for its turn.

    async def update(self, claimed: Any, entry: OutboxEntry, due_us: int | None) -> Any:
        return await self._call(self._world.outbox.update, claimed, entry, due_us)

    async def load(self, keys: Sequence[str]) -> Any:
        return await self._call(self._looked, keys)

    async def save(self, items: Any, fence: Any) -> Any:
        return await self._call(self._world.state.save, items, fence)

    async def _looked(self, keys: Sequence[str]) -> list[bytes | None]:
        self.saw_wanted = self._world.wanted()
        return await self._world.state.load(keys)

    async def send(self, message: OutboxMessage, text: str, contact: Contact, key: str) -> Sent:
        mode = await self._turn()
        if mode == DEFER:
            raise Deferred("throttled")
        if mode == REFUSE:
            self._world.refused.add(key)
            raise Refused("bad_address")
        if mode == UNHEARD:
            raise Unanswered("no_answer")
        self._world.took(self, message)
        await self._turn()
        if mode in (TAKEN_UNHEARD, LOST):
            raise Unanswered("no_answer")
        return Sent("m")


@dataclasses.dataclass
class World:
    """One outbox, one store, the users, and who sends."""

    is_repeatable: bool
    clock: ManualClock = dataclasses.field(default_factory=ManualClock)
    outbox: MemoryOutbox = dataclasses.field(default_factory=MemoryOutbox)
    state: MemoryState = dataclasses.field(default_factory=MemoryState)
    added: set[str] = dataclasses.field(default_factory=set)
    answered: set[str] = dataclasses.field(default_factory=set)
    refused: set[str] = dataclasses.field(default_factory=set)
    taken: list[str] = dataclasses.field(default_factory=list)

    def wanted(self) -> frozenset[str]:
        """The keys of the messages that are wanted now."""
        now_us = self.clock()
        return frozenset(key for key in self.added - self.answered if KEYS[key].expires_us > now_us)

    def took(self, process: Process, message: OutboxMessage) -> None:
        """The provider has taken a message."""
        assert message.key in process.saw_wanted
        assert self.is_repeatable or message.key not in self.taken
        self.taken.append(message.key)

    async def add(self, number: int) -> None:
        """The message is decided on, or decided on again."""
        message = MESSAGES[number]
        if message.expires_us > self.clock():
            self.added.add(message.key)
            await self._save_users()
            await self.outbox.add([message], self.clock())

    async def answer(self, number: int, *, cancels: bool) -> None:
        """The user answers; the outbox may learn of it."""
        message = MESSAGES[number]
        self.answered.add(message.key)
        await self._save_users()
        if cancels:
            await self.outbox.cancel([message.intervention_id], self.clock(), "answered")

    async def _save_users(self) -> None:
        for user_id in ("ada", "bob"):
            known = [KEYS[key] for key in sorted(self.added) if KEYS[key].user_id == user_id]
            outcomes = {KEYS[key].intervention_id: Outcome.ACCEPTED for key in self.answered}
            if known:
                await offer(self.state, known, by_id=outcomes)

    def entry(self, key: str) -> OutboxEntry:
        """How far a message has come."""
        return self.outbox._entries["email", KEYS[key].intervention_id]

    async def settle(self, processes: Sequence[Process]) -> None:
        """All goes well from now on, until nothing comes up any more."""
        for _ in range(100):
            for process in processes:
                await process.step(WELL)
                while not process.is_idle:
                    await process.step(WELL)
            if not self.outbox._due:
                return
            self.clock.now_us = max(self.clock.now_us, min(self.outbox._due.values()))
        raise AssertionError


Action = tuple[str, int, str, bool, int]
"""What is done, to which process or message, in which mode, whether the outbox learns it, and by how many seconds."""


def sequences(modes: Sequence[str], kinds: Sequence[str]) -> st.SearchStrategy[list[Action]]:
    """Sequences in which most is done by the processes."""
    action = st.tuples(
        st.sampled_from(["step"] * 20 + list(kinds)),
        st.integers(0, 2),
        st.sampled_from([WELL] * 6 + list(modes)),
        st.booleans(),
        st.sampled_from((1, 2, 5, 61, 120, -3)),
    )
    return st.lists(action, min_size=20, max_size=100)


@settings(max_examples=400)
@given(sequences(MODES, ["crash", "add", "add", "answer", "clock", "clock"]), st.booleans(), st.integers(1, 2))
def test_no_sequence_sends_twice_sends_unwanted_or_loses(
    sequence: list[Action],
    is_repeatable: bool,  # noqa: FBT001
    process_count: int,
) -> None:
    world = asyncio.run(_run(sequence, World(is_repeatable), process_count))
    for state in {world.entry(key).state for key in world.added}:
        event(state.name)


@settings(max_examples=200)
@given(sequences((DEFER, REFUSE), ["add", "answer"]), st.booleans(), st.integers(1, 2))
def test_without_faults_nothing_is_left_in_doubt(
    sequence: list[Action],
    is_repeatable: bool,  # noqa: FBT001
    process_count: int,
) -> None:
    world = asyncio.run(_run(sequence, World(is_repeatable), process_count))
    assert all(world.entry(key).state is not DeliveryState.UNKNOWN for key in world.added)


async def _run(sequence: list[Action], world: World, process_count: int) -> World:
    processes = [Process(world) for _ in range(process_count)]
    await world.add(0)
    for kind, number, mode, cancels, seconds in sequence:
        match kind:
            case "step":
                await processes[number % process_count].step(mode)
            case "crash":
                await processes[number % process_count].crash()
            case "add":
                await world.add(number)
            case "answer":
                await world.answer(number, cancels=cancels)
            case _:
                world.clock.now_us += seconds * SECOND
    await world.settle(processes)
    for key in world.added:
        _check(world, key)
    await _check_undelivered(world, process_count)
    return world


def _check(world: World, key: str) -> None:
    entry, taken = world.entry(key), world.taken.count(key)
    match entry.state:
        case DeliveryState.SENT:
            assert taken >= 1
        case DeliveryState.FAILED | DeliveryState.CANCELLED:
            assert taken == 0
        case DeliveryState.WAITING:
            raise AssertionError(entry)
    is_wanted_to_the_end = key not in world.answered and world.clock() + LONGEST_WAIT_US < KEYS[key].expires_us
    if is_wanted_to_the_end and key not in world.refused:
        may_be_unknown = not world.is_repeatable
        assert entry.state is DeliveryState.SENT or (may_be_unknown and entry.state is DeliveryState.UNKNOWN)


async def _check_undelivered(world: World, process_count: int) -> None:
    filed = {f"{id_}.{channel}" for user in ("ada", "bob") for id_, channel in await undelivered(world.state, user)}
    certain = {key for key in world.added if world.entry(key).is_undelivered}
    assert filed <= certain
    if process_count == 1:
        assert filed == certain


@pytest.fixture(autouse=True, scope="module")
def _at_once() -> Any:
    """A note is tried again at once where the store is away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mesh.retry._REST_SECONDS", 0)
        yield


entries = st.builds(
    OutboxEntry,
    st.sampled_from(MESSAGES),
    st.integers(0, 2**53),
    st.sampled_from(DeliveryState),
    st.integers(0, 100),
    st.text(max_size=5),
    st.text(max_size=5),
    st.text(max_size=5),
    st.booleans(),
)


@given(entries)
def test_a_slip_comes_back_from_its_bytes(entry: OutboxEntry) -> None:
    assert delivery.decode_entry(delivery.encode_entry(entry)) == entry


@given(entries, st.booleans())
def test_what_is_done_stays_as_it_is_and_what_is_in_doubt_never_failed(entry: OutboxEntry, is_doubtful: bool) -> None:  # noqa: FBT001
    after = [
        delivery.begun(entry, "p", 1),
        delivery.sent(entry, "m", 1),
        delivery.deferred(entry, "r", 1, is_doubtful=is_doubtful),
        delivery.failed(entry, "r", 1, is_doubtful=is_doubtful),
        delivery.cancelled(entry, "r", 1),
    ]
    if not entry.is_waiting:
        assert all(each == entry for each in after)
        return
    assert [each.state for each in after[:3]] == [DeliveryState.WAITING, DeliveryState.SENT, DeliveryState.WAITING]
    assert after[0].is_doubtful
    assert after[3].is_undelivered is not is_doubtful
    assert after[4].is_undelivered is not entry.is_doubtful


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(("email", "chat"))), max_size=90))
def test_the_undelivered_keep_their_order_each_once(found: list[tuple[str, str]]) -> None:
    known: Undelivered = ()
    for each in found:
        known = with_undelivered(known, [each])
    assert known == tuple(dict.fromkeys(found))
    assert UNDELIVERED.decode(UNDELIVERED.encode(known)) == known
    assert UNDELIVERED.decode(b"") == ()
