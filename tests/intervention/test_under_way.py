"""Messages that are under way when their help is taken back, or when their user turns out to be somebody known."""

import pytest

from services.intervention.decision.domain.facts import Outcome
from services.intervention.delivery.adapters.silence import SilentDeliveryObserver
from services.intervention.delivery.domain.delivery import Delivery, DeliveryState, Refused
from services.intervention.delivery.usecases import LEASE_US, Deliverer
from services.intervention.policy.domain.policy import EventKind
from tests.intervention.builders import MINUTE, NOON_ISH, Row, World, arrival, edited, outcome
from tests.intervention.messages import SECOND, ScriptedChannel, reachable, undelivered

LOGIN = NOON_ISH + MINUTE
ALWAYS = edited(
    office_hours={"opens": 0, "closes": 23}, cooldown="1m", caps=[{"channel": "email", "most": 1, "per": "day"}]
)


class Post:
    """Somebody anonymous to whom a mail is to be sent, and who sends it."""

    def __init__(self) -> None:
        self.world = World(ALWAYS)
        self.deliverer = Deliverer(
            self.world.outbox, self.world.state, SilentDeliveryObserver(), self.world.clock, lambda: 1.0
        )
        self.id = ""

    async def begin(self) -> None:
        """Decides on the mail."""
        await self.world.send(*(outcome(Outcome.ACCEPTED, channel="email", user_id="anon") for _ in range(4)))
        (made,) = await self.world.send(Row(55.0, user_id="anon", indicators=("form_errors",)))
        assert made.intervention.channel == "email"
        self.id = made.intervention.id

    async def deliver(self, channel: ScriptedChannel, at_us: int = 0) -> Delivery:
        """Carries what is due; how far the mail has come."""
        self.world.clock.now_us = max(self.world.clock.now_us, at_us)
        for each in await self.world.outbox.claim("email", self.world.clock(), 10, LEASE_US):
            await self.deliverer.deliver(each, channel)
        return (await self.world.outbox.deliveries([self.id]))[0][0]


@pytest.fixture
async def post() -> Post:
    post = Post()
    await post.begin()
    return post


@pytest.mark.parametrize(
    ("known", "address"),
    [
        ({"anon": "anon@example.org"}, "anon@example.org"),
        ({"anon": "anon@example.org", "ada": "ada@example.org"}, "anon@example.org"),
        ({"ada": "ada@example.org"}, "ada@example.org"),
    ],
)
async def test_a_mail_reaches_the_person_by_whatever_id(post: Post, known: dict[str, str], address: str) -> None:
    for user_id, email in known.items():
        await reachable(post.world.state, user_id, email)
    await post.world.link("anon", "ada", LOGIN)
    channel = ScriptedChannel()
    assert (await post.deliver(channel)).state is DeliveryState.SENT
    assert [email for _, _, email in channel.calls] == [address]


async def test_a_mail_waits_while_its_help_is_on_its_way_and_leaves_then(post: Post) -> None:
    standing, channel = await post.world.leave("anon", "ada", LOGIN), ScriptedChannel()
    assert (await post.deliver(channel)).state is DeliveryState.WAITING
    await post.world.send(arrival("ada", LOGIN, standing))
    assert (await post.deliver(channel)).state is DeliveryState.WAITING  # it has not come up again
    assert (await post.deliver(channel, LOGIN + 2 * SECOND)).state is DeliveryState.SENT
    assert len(channel.taken) == 1


async def test_what_never_arrives_is_not_sent_for_ever(post: Post) -> None:
    await post.world.leave("anon", "ada", LOGIN)
    sent = await post.deliver(ScriptedChannel(), NOON_ISH + 48 * 60 * MINUTE)
    assert (sent.state, sent.attempt_count) == (DeliveryState.CANCELLED, 0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Row(20.0, LOGIN + SECOND, is_settled=True, kind=EventKind.TASK_SUCCESS), "solved"),
        (outcome(Outcome.ACCEPTED, "i-3-2-0", at_us=LOGIN + SECOND), "answered"),
    ],
)
async def test_what_the_known_user_did_stops_it(post: Post, row: Row, reason: str) -> None:
    await post.world.link("anon", "ada", LOGIN)
    assert post.id == "i-3-2-0"
    await post.world.send(row)
    channel = ScriptedChannel()
    sent = await post.deliver(channel, LOGIN + MINUTE)
    assert (sent.state, sent.reason, channel.calls) == (DeliveryState.CANCELLED, reason, [])


async def test_what_was_taken_back_after_it_was_claimed_is_not_sent(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    (claimed,) = await post.world.outbox.claim("email", NOON_ISH, 10, LEASE_US)
    monkeypatch.setattr(post.world.outbox, "cancel", nothing)  # the outbox does not know yet
    await post.world.send(Row(20.0, LOGIN, "anon", is_settled=True, kind=EventKind.TASK_SUCCESS))
    channel = ScriptedChannel()
    await post.deliverer.deliver(claimed, channel)
    sent = (await post.world.outbox.deliveries([post.id]))[0][0]
    assert (sent.state, sent.reason, channel.calls) == (DeliveryState.CANCELLED, "solved", [])


async def nothing(*_: object) -> None:
    """Does nothing."""


async def test_what_never_left_gives_its_place_back_to_the_person(post: Post) -> None:
    await reachable(post.world.state, "anon")
    await post.world.link("anon", "ada", LOGIN)
    sent = await post.deliver(ScriptedChannel(Refused("bad_address")))
    assert sent.state is DeliveryState.FAILED
    assert (await undelivered(post.world.state, "anon"), await undelivered(post.world.state, "ada")) == (
        (),
        ((post.id, "email"),),
    )
    await post.world.send(outcome(Outcome.ACCEPTED, post.id, at_us=LOGIN + MINUTE))
    (again,) = await post.world.send(Row(55.0, LOGIN + 2 * MINUTE, indicators=("form_errors",)))
    assert again.intervention.channel == "email"
