"""Whatever people do, by whatever ids, and however it is delivered: nobody is helped twice, nor stands on two sides.

People begin anonymous, log in, log out and begin anew; what they do is reported late, twice, or by copies. What moves
when they log in arrives some events later. The checks are about people, not ids.
"""

import dataclasses
from collections.abc import Iterable

from hypothesis import event, example, given, note, settings
from hypothesis import strategies as st

from mesh.state import keyed
from services.intervention.batch.deciding import BatchResult
from services.intervention.batch.effects import Created
from services.intervention.decision.domain import local_time
from services.intervention.decision.domain.chance import held_out
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import EventPosition, Outcome, OutcomeReport, Purchase
from services.intervention.decision.domain.offer import WithdrawalReason
from services.intervention.decision.domain.outcome import is_waiting
from services.intervention.decision.domain.user_state import UserState
from services.intervention.decision.state import USERS
from services.intervention.policy.domain.policy import EventKind
from tests.intervention.builders import HOUR, MINUTE, NOON_ISH, Row, World, arrival, edited, policy

SECOND = 1_000_000
MEMBERS = {
    "cooldown": "10m",
    "caps": [{"most": 3, "per": "day"}],
    "holdout": {"share": 0.4, "salt": "x"},
    "conversion": {"event": "purchase", "within": "2h"},
}
RULES = policy(**MEMBERS)
# The sides of their ids, by the hash, are of all sorts.
PEOPLE = ("tom", "uma")
ACTIONS = [
    *["fails"] * 12,
    *["logs in", "arrives"] * 5,
    *["logs out", "takes another device", "answers"] * 2,
    *["is known to", "buys", "buys late", "gives back", "succeeds", "goes"],
    *["failed long ago", "is copied", "is sent by a system", "straggles", "again"],
]
STEPS = st.lists(
    st.tuples(st.sampled_from([1, 1, 20, 90, 400, 700, 4000]), st.sampled_from(ACTIONS), st.sampled_from(PEOPLE)),
    min_size=12,
    max_size=50,
)


def story(*actions: str) -> list[tuple[int, str, str]]:
    """What one person does, a second apart."""
    return [(1, each, "uma") for each in actions]


@dataclasses.dataclass
class Person:
    """Somebody, the anonymous ids so far, and whether logged in."""

    name: str
    ids: int = 0
    is_known: bool = False
    # What is on its way to the known id, and since when.
    moving: list[tuple[bytes, int]] = dataclasses.field(default_factory=list)
    # The anonymous ids that turned out to be this person, and when.
    linked_us: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def anonymous(self) -> str:
        """The present anonymous id."""
        return f"{self.name}-{self.ids}"

    @property
    def id(self) -> str:
        """The id that an event of now is of."""
        return self.name if self.is_known else self.anonymous


@dataclasses.dataclass
class Counted:
    """How a user counts in the experiment: the model of it, in three lines."""

    at_us: int
    is_treated: bool
    is_converted: bool = False


class Town:
    """People, and the world they are in."""

    def __init__(self) -> None:
        self.world = World(edited(**MEMBERS))
        self.people = {name: Person(name) for name in PEOPLE}
        self.at_us = NOON_ISH
        self.made: list[Created] = []
        self.counted: dict[str, Counted] = {}
        self.standings: dict[bytes, Counted | None] = {}
        self.records: list[list[Row]] = []
        self.over: set[str] = set()
        """Help that was made, and was over, before what moves had arrived: nobody can take that back."""

    async def step(self, seconds: int, what: str, name: str) -> None:
        """Lets somebody do something."""
        self.at_us += seconds * SECOND
        person = self.people[name]
        match what:
            case "logs in" if not person.is_known:
                await self._log_in(person)
            case "arrives" if person.moving:
                await self.arrive(person)
            case "logs out" if person.is_known:
                await self._send(Row(at_us=self.at_us, user_id=name, kind=EventKind.SESSION_END))
                person.is_known, person.ids = False, person.ids + 1
            case "takes another device":
                person.is_known, person.ids = False, person.ids + 1
            case "straggles" if person.is_known:
                # The last link is what the event would have been sent with, a moment earlier.
                await self._send(Row(95.0, person.linked_us[person.anonymous] + SECOND, person.anonymous))
            case "again" if self.records:
                result = await self._deliver(self.records[-1])
                assert [each.intervention.id for each in result.made] == [
                    each.intervention.id for each in self.last.made
                ]
                assert result.transfers == self.last.transfers
            case _:
                row = self._row(person, what)
                if row is not None:
                    await self._send(row)

    def _row(self, person: Person, what: str) -> Row | None:
        """An event of somebody's; None where it cannot be."""
        row = Row(at_us=self.at_us, user_id=person.id)
        last = next((each for each in reversed(self.made) if self._owner(each) == person.name), None)
        id_ = last.intervention.id if last else ""
        bought = Purchase(5.0, "EUR", is_refund=what == "gives back")
        members: dict[str, dict[str, object]] = {
            "fails": {"score": 95.0},
            "answers": {"outcome": OutcomeReport(id_, Outcome.DECLINED, "in_app")},
            "is known to": {"outcome": OutcomeReport(id_, Outcome.SHOWN, "in_app")},
            "buys": {"kind": EventKind.PURCHASE, "bought": bought},
            "gives back": {"kind": EventKind.PURCHASE, "bought": bought},
            "buys late": {"kind": EventKind.PURCHASE, "bought": bought, "age_us": HOUR},
            "succeeds": {"score": 20.0, "is_settled": True},
            "goes": {"kind": EventKind.SESSION_END},
            "failed long ago": {"score": 95.0, "age_us": HOUR},
            "is copied": {"score": 95.0, "is_copy": True, "kind": EventKind.PURCHASE, "bought": bought},
            "is sent by a system": {"score": 95.0, "is_system": True},
        }
        return dataclasses.replace(row, **members[what]) if what in members else None  # type: ignore[arg-type]

    async def _log_in(self, person: Person) -> None:
        anonymous = person.anonymous
        link = Row(95.0, self.at_us, anonymous, kind=EventKind.IDENTIFY, linked=person.name)
        standing = (await self._send(link)).transfers.get(0, b"")
        person.is_known, person.linked_us[anonymous] = True, self.at_us
        if standing:
            person.moving.append((standing, self.at_us))
            self.standings[standing] = self.counted.pop(anonymous, None)
        await self._send(Row(95.0, self.at_us, person.name, kind=EventKind.IDENTIFY))

    async def arrive(self, person: Person) -> None:
        """What moves to somebody arrives."""
        standing, left_us = person.moving.pop(0)
        for each in (await self.user_state_of(person.name)).offers:
            if each.made_us >= left_us and not (is_waiting(each.outcome) and each.expires_us > self.at_us):
                self.over.add(each.id)
        await self._send(arrival(person.name, self.at_us, standing))
        brought, own = self.standings[standing], self.counted.get(person.name)
        if brought is not None:
            first = min((each for each in (own, brought) if each is not None), key=lambda each: each.at_us)
            first.is_converted = brought.is_converted or (own is not None and own.is_converted)
            self.counted[person.name] = first

    async def _send(self, row: Row) -> BatchResult:
        self.records.append([row])
        self.world.clock.now_us = max(self.world.clock.now_us, row.at_us)
        result = self.last = await self._deliver([row])
        self.made += result.made
        await self._count(row)
        return result

    async def _deliver(self, rows: list[Row]) -> BatchResult:
        return await self.world.come(len(self.records), [rows])

    async def _count(self, row: Row) -> None:
        """What the experiment is to count."""
        (decision,) = await self.world.reading.decisions_at(self._position())
        mine = self.counted.get(row.user_id)
        is_goal = row.kind == EventKind.PURCHASE and row.bought is not None and not row.bought.gives_back
        if mine and is_goal and 0 <= row.at_us - row.age_us - mine.at_us <= 2 * HOUR:
            mine.is_converted = True
        if decision.verdict.exposed is not None:
            assert mine is None
            self.counted[row.user_id] = Counted(row.at_us, decision.verdict.exposed.is_treated)

    def _position(self) -> EventPosition:
        return EventPosition("3", len(self.records), 0)

    def _owner(self, made: Created) -> str:
        return made.decision.facts.user_id.partition("-")[0]

    async def user_state_of(self, user_id: str) -> UserState:
        """What is remembered of a user."""
        return await keyed.read(self.world.state, USERS, user_id)

    async def live(self) -> list[Created]:
        """The help that was not taken back because its user turned out to be somebody who had been helped."""
        found = []
        for each in self.made:
            followed = await self.world.reading.intervention(each.intervention.id)
            if followed.withdrawal is not WithdrawalReason.IDENTIFIED and each.intervention.id not in self.over:
                found.append(each)
        return found

    def known_before(self, made: Created, among: Iterable[Created]) -> list[Created]:
        """The earlier help of the same person, as far as it was known to be the same when this help was made."""
        facts = made.decision.facts
        person = self.people[self._owner(made)]
        ids = {facts.user_id}
        if facts.user_id == person.name:
            ids |= {each for each, at_us in person.linked_us.items() if at_us <= facts.received_us}
        earlier = list(among)
        earlier = earlier[: earlier.index(made)]
        return [each for each in earlier if each.decision.facts.user_id in ids]


@settings(deadline=None, max_examples=250)
@given(STEPS)
@example(story("fails", "answers", "logs in", "fails", "arrives"))
@example(story("fails", "logs in", "straggles", "fails"))
@example(story("logs in", "logs out", "fails", "logs in", "again"))
@example(story(*["takes another device", "fails", "logs in", "arrives"] * 2))
async def test_nobody_is_helped_twice_or_on_two_sides_because_of_a_login(steps: list[tuple[int, str, str]]) -> None:
    note(str(steps))
    town = Town()
    for step in steps:
        await town.step(*step)
        for person in town.people.values():
            await check_what_waits(town, person)
    town.at_us += SECOND
    for person in town.people.values():
        while person.moving:
            await town.arrive(person)
        await check_what_waits(town, person)
    live = await town.live()
    for made in live:
        check_help(town, made, live)
    await check_the_experiment(town)
    event(f"helped {min(len(live), 6)} times, {len(town.made) - len(live)} taken back after a login")


async def check_what_waits(town: Town, person: Person) -> None:
    """At most one offer waits for each, and nothing in the name of somebody anonymous who is known by now."""
    for user_id in (person.name, *person.linked_us):
        user = await town.user_state_of(user_id)
        waiting = [each.id for each in user.offers if is_waiting(each.outcome) and not each.is_withheld]
        assert waiting == ([user.waiting.id] if user.waiting else [])
        if user_id in person.linked_us and person.linked_us[user_id] + MINUTE > town.at_us:
            assert user.offers == ()


def check_help(town: Town, made: Created, live: list[Created]) -> None:
    """Help is for what has just happened to somebody who may be helped, and not more often than the policy allows."""
    facts = made.decision.facts
    assert facts.age_us <= RULES.freshness_us
    assert (facts.is_copy, facts.is_system, facts.outcome) == (False, False, None)
    assert facts.kind != EventKind.IDENTIFY
    before = [each.decision.facts.received_us for each in town.known_before(made, live)]
    assert all(facts.received_us - each >= RULES.cooldown_us for each in before)
    today = local_time.period(facts.received_us, "Europe/Berlin", "day")
    assert sum(local_time.period(each, "Europe/Berlin", "day") == today for each in before) < RULES.caps[0].most


async def check_the_experiment(town: Town) -> None:
    """Everybody who counts does so once, on the side found first; who is held out was not helped."""
    sides = list(town.counted.values())
    every = (await town.world.reading.lifts("")).estimates[0][2]
    assert tuple(every) == (
        sum(each.is_treated for each in sides),
        sum(each.is_treated and each.is_converted for each in sides),
        sum(not each.is_treated for each in sides),
        sum(not each.is_treated and each.is_converted for each in sides),
    )
    for made in await town.live():
        exposed = (await town.user_state_of(made.decision.facts.user_id)).exposed
        first = town.counted.get(made.decision.facts.user_id)
        if exposed is not None and first is not None and first.at_us <= made.decision.facts.received_us:
            assert exposed.is_treated == first.is_treated
            assert first.is_treated or made.decision.facts.received_us < first.at_us
    assert all(each.decision.verdict.reasons[0] is not Reason.HOLDOUT for each in town.made)


def test_all_sorts_of_people_are_in_town() -> None:
    def is_out(user_id: str) -> bool:
        return held_out("x", user_id, RULES.holdout.share)

    sides = {(is_out(name), is_out(f"{name}-{number}")) for name in PEOPLE for number in range(2)}
    assert len(sides) == 4
