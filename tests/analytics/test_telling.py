"""Messages about incidents: each once, to a receiver that answers as a test says, and what came of it."""

import dataclasses
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import webhook
from mesh.settings import SettingError, read
from mesh.webhook import Webhook, standard_signature
from services.analytics.adapters.messenger import WebhookMessenger
from services.analytics.adapters.watched import MemoryWatches
from services.analytics.domain import telling
from services.analytics.domain import watched as watch
from services.analytics.domain.answer import Insight, InsightPart, Insights, InsightSlice, Money
from services.analytics.domain.answer import Slices as Explained
from services.analytics.domain.changes import Change
from services.analytics.domain.question import DAY_US, HOUR_US, Question, Slices
from services.analytics.domain.telling import Due, Sent
from services.analytics.domain.watched import Watched, WatchedInsight
from services.analytics.settings import Settings
from services.analytics.usecases import Answered, Known
from services.analytics.watching import Plan, Tellers, Watching
from tests.builders import NOW_US
from tests.intervention.receiver import Answer, Receiver

SECRET: Final = b"s3cret"
MINUTE_US: Final = 60_000_000
PART: Final = InsightPart("users", NOW_US - HOUR_US, None, "below", NOW_US, 5.0, 1050.5, 40.0, 60.0, 9.5, ())
OPEN: Final = Insight(NOW_US - HOUR_US, None, "high", 45.5, (PART,))
CLOSED: Final = OPEN._replace(closed_us=NOW_US, parts=(PART._replace(closed_us=NOW_US),))


NOTHING: Final = Explained((), (), 0.0)


def found(*insights: Insight) -> Insights:
    return Insights(insights, len(insights), (), 0, 0)


@dataclasses.dataclass
class Told:
    """Finds what a test says, quarter by quarter of an hour."""

    found: Insights = dataclasses.field(default_factory=found)
    now_us: int = NOW_US
    explained: Explained = NOTHING

    def known(self) -> Known:
        return Known(self.now_us, frozenset({"acme"}))

    async def ask(self, tenant: str, question: Question) -> Answered:
        if isinstance(question, Slices):
            return Answered(self.explained, cast("Any", None))
        return Answered(self.found if tenant == "acme" else found(), cast("Any", None))


@dataclasses.dataclass
class Place:
    """A watch that tells a receiver of the incidents of one tenant."""

    figures: Told
    watches: MemoryWatches
    watching: Watching
    receiver: Receiver

    async def judge(self, *insights: Insight, after_us: int = 0) -> None:
        """Finds these, after a while."""
        self.figures.found = found(*insights)
        self.figures.now_us += after_us
        await self.watching.judge()

    async def messages(self) -> Sequence[watch.Message]:
        (its,) = (await self.watching.listed("acme")).insights
        return its.messages


@pytest.fixture
async def place() -> Any:
    async with Receiver().serving() as receiver, webhook.client() as client:
        figures, watches = Told(), MemoryWatches()
        messenger = WebhookMessenger(Webhook(client, receiver.url, SECRET, lambda: figures.now_us))
        tellers = Tellers(dict.fromkeys(telling.KINDS, messenger), messenger)
        plan = Plan(is_for_all=True, digest_at=dt.time(8))
        watching = Watching(figures, watches, lambda: figures.now_us, plan, tellers=tellers)
        yield Place(figures, watches, watching, receiver)


async def test_that_an_incident_opened_and_closed_is_posted_once_each(place: Place) -> None:
    for _ in range(3):
        await place.judge(OPEN, after_us=HOUR_US)
    for _ in range(3):
        await place.judge(CLOSED, after_us=HOUR_US)
    opened, closed = place.receiver.received
    key = "acme.20260102T0900-users.opened"
    assert (opened.headers["webhook-id"], opened.headers["idempotency-key"]) == (key, key)
    stamp = opened.headers["webhook-timestamp"]
    assert opened.headers["webhook-signature"] == standard_signature(SECRET, key, stamp, opened.body)
    told = json.loads(opened.body)
    assert told["text"] == "Incident opened, high: users 5 where 1,050 are usual"
    its = told["journeymesh"]
    assert (its["kind"], its["tenant"], its["insightId"]) == ("insight.opened", "acme", "20260102T0900-users")
    assert (its["severity"], its["closed"], its["parts"][0]["expected"]) == ("high", None, 1050.5)
    last = json.loads(closed.body)["journeymesh"]
    assert (last["kind"], last["closed"]) == ("insight.closed", "2026-01-02T10:00:00Z")
    assert [(each.kind, each.state, each.attempt_count) for each in await place.messages()] == [
        ("opened", "sent", 1),
        ("closed", "sent", 1),
    ]


async def test_what_explains_it_is_in_the_message_without_what_slack_would_read_as_markup(place: Place) -> None:
    its = InsightSlice("users", "page", "/<pay>" + "x" * 200, 0.0, 50.0, 0.9, 0.1)
    pair = its._replace(value="/cart", second_field="platform", second_value="mobile")
    place.figures.explained = Explained((its, pair), (Money("EUR", 20.0),), 0.1)
    started = await place.watching.note("acme", Change(OPEN.opened_us - MINUTE_US, "deploy", "web 1.2"))
    await place.judge(OPEN)
    told = json.loads(place.receiver.received[0].body)
    (_, section, _) = told["blocks"]
    lines = section["text"]["text"].split("\n")
    cut = "x" * 74 + "…"
    assert lines[0] == f"Mostly page /&lt;pay&gt;{cut} (90 % of users); page /cart with platform mobile (90 % of users)"
    assert lines[1] == "Just before: deploy web 1.2, 2026-01-02T08:59:00Z"
    own = told["journeymesh"]
    alone = {name: value for name, value in its._asdict().items() if not name.startswith("second_")}
    assert own["slices"] == [alone, alone | {"value": "/cart", "secondField": "platform", "secondValue": "mobile"}]
    assert own["missingMoney"] == []
    assert own["changes"] == [
        {"time": "2026-01-02T08:59:00Z", "kind": "deploy", "name": "web 1.2", "detail": "", "by": started.by}
    ]


async def test_what_is_not_taken_is_posted_again_with_the_same_key_up_to_five_times(place: Place) -> None:
    place.receiver.script = [Answer(503), Answer(500), Answer(429, {"Retry-After": "240"}), *[Answer(502)] * 9]
    await place.judge(OPEN)
    expected = [(1, "unavailable", 1), (2, "http_500", 2), (3, "throttled", 4), (4, "http_502", 8)]
    for count, reason, minutes in expected:
        (message,) = await place.messages()
        assert (message.state, message.attempt_count, message.reason) == ("waiting", count, reason)
        assert message.time_us == place.figures.now_us + minutes * MINUTE_US
        await place.judge(OPEN, after_us=minutes * MINUTE_US - 1)
        assert len(place.receiver.received) == count
        await place.judge(OPEN, after_us=1)
    for _ in range(3):
        await place.judge(OPEN, after_us=HOUR_US)
    (message,) = await place.messages()
    assert (message.state, message.attempt_count, len(place.receiver.received)) == ("failed", 5, 5)
    assert len({each.headers["webhook-id"] for each in place.receiver.received}) == 1


@pytest.mark.parametrize(("status", "reason"), [(404, "http_404"), (302, "redirected")])
async def test_what_is_refused_is_not_posted_again_and_redirects_are_not_followed(
    place: Place, status: int, reason: str
) -> None:
    place.receiver.script = [Answer(status, {"Location": place.receiver.url + "/internal"})]
    for _ in range(2):
        await place.judge(OPEN, after_us=HOUR_US)
    await place.judge(CLOSED, after_us=HOUR_US)
    (message,) = await place.messages()
    assert (message.state, message.reason, len(place.receiver.received)) == ("failed", reason, 1)


async def test_nothing_is_told_of_the_time_before_the_watch_or_of_what_is_snoozed(place: Place) -> None:
    await place.judge(CLOSED)
    assert not place.receiver.received
    assert await place.watches.replace("acme", Watched(since_us=1), await place.watches.change_count("acme"))
    await place.judge(OPEN, after_us=HOUR_US)
    assert len(place.receiver.received) == 1
    await place.watching.snooze("acme", "20260102T0900-users", "ada", place.figures.now_us + DAY_US, "a release")
    await place.judge(CLOSED, after_us=HOUR_US)
    assert len(place.receiver.received) == 1


async def test_two_replicas_post_each_message_once(place: Place) -> None:
    class Slow(WebhookMessenger):
        async def send(self, tenant: str, due: Due) -> Sent:
            sent = await super().send(tenant, due)
            await other.judge()
            return sent

    async with webhook.client() as client:
        messenger = Slow(Webhook(client, place.receiver.url, SECRET, lambda: place.figures.now_us))
        plan = Plan(is_for_all=True)
        other = place.watching
        tellers = Tellers(dict.fromkeys(telling.KINDS, messenger), messenger)
        slow = Watching(place.figures, place.watches, lambda: place.figures.now_us, plan, tellers=tellers)
        place.figures.found = found(OPEN)
        await slow.judge()
    assert len(place.receiver.received) == 1
    (message,) = await place.messages()
    assert message.state == "sent"


INSIGHT: Final = WatchedInsight("a", NOW_US, None, "high", 1.0, (PART,), NOW_US, 1)
TIMES: Final = st.lists(st.tuples(st.integers(1, 400), st.sampled_from(["sent", "waiting", "failed", ""])), max_size=30)


@given(TIMES)
def test_a_message_is_never_sent_after_it_was_taken_nor_more_than_five_times(steps: list[tuple[int, str]]) -> None:
    watched, now_us, came = Watched((INSIGHT,), 1, since_us=1), NOW_US, list[str]()
    for minutes, state in steps:
        now_us += minutes * MINUTE_US
        for one in telling.due(watched, now_us):
            assert now_us - INSIGHT.found_us <= DAY_US
            came.append(state)
            watched = telling.claimed(watched, one, now_us)
            assert not telling.due(watched, now_us)
            if state:  # else the process ended before it was known
                watched = telling.settled(watched, one, Sent(state), now_us)
    assert len(came) <= telling.MOST_ATTEMPTS
    assert not {"sent", "failed"} & {*came[:-1]}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://hooks.example", "JOURNEYMESH_INSIGHTS_WEBHOOK_URL: https, or loopback"),
        ("https://", "https, or loopback"),
        ("https://hooks.example", "need a secret"),
    ],
)
def test_a_webhook_that_cannot_be_used_is_refused(url: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        read(Settings, {"JOURNEYMESH_INSIGHTS_WEBHOOK_URL": url})


def test_a_webhook_on_this_machine_or_by_https_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret")
    for url in ("http://127.0.0.1:1/hook", "https://hooks.example/1"):
        given_settings = {"JOURNEYMESH_INSIGHTS_WEBHOOK_URL": url, "JOURNEYMESH_WEBHOOK_SECRET_FILE": str(file)}
        assert read(Settings, given_settings).webhook_secret == b"s3cret"
