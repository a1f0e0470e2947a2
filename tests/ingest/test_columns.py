"""What is judged column by column is judged as if it were judged row by row."""

from collections.abc import Sequence
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from records.table import of_events
from services.ingest.accept.domain import device, skew
from services.ingest.accept.domain.acceptance import Judged, judge, stamp
from services.ingest.accept.domain.masking.kinds import Masking
from services.ingest.accept.domain.masking.tenants import Maskings
from services.ingest.accept.domain.page import PageRules
from services.ingest.accept.domain.rate_limit import SendingRate, UserRateLimiter
from services.ingest.accept.domain.tidying import Note, Rules, tidy
from services.ingest.accept.domain.validation import FUTURE_US, reject
from services.ingest.events.domain.event import Event
from tests.builders import MINUTE_US, NOW_US, SECOND_US, event
from tests.ingest.harness import ACCEPTED, DUPLICATE, running
from tests.ingest.test_tidying import CLEANED, bought, clicked, playback
from tests.ingest.test_validation import REFUSED, outcome

NAN = float("nan")
IDS = ["e-1", "e-2", "e-3", "e-4", "e-5", "x", "jm:1", "", "ü-1", "a%201", "long" * 40]
MEMBERS: dict[str, list[Any]] = {
    "user_id": ["ada", "u1", "u2", "user-3", "null", "0", "%75", "ü", "\u2028", "x" * 129, "dave@x.org"],
    "anonymous_id": ["a-1", "a-2", "u1", "null", "a\nb"],
    "page": ["/a", "/a/", "https://x.org/a?b=1&utm_source=c#d", "/ä", "a\nb", "?", " ", "/c;sid=1", "Home"],
    "address": ["/told", "a\nb"],
    "target": ["Buy", "Für", "a\u200bb", "x" * 300],
    "error_code": ["e1", "a\x00b"],
    "session_id": ["s-1", "s\n1"],
    "device_id": ["d-1", "null", "dev", "j", "x" * 200],
    "time_zone": ["Europe/Berlin", "Mars"],
    "correlation_id": ["c", "c\n"],
    "user_agent": ["Firefox", "Googlebot/2.1", "a\nb", "Für"],
    "platform": [0, 1, 2, 3, 7, -1],
    "attempt_count": [1, 1000, 1001],
    "properties": [b"{}", b'{"a": 1}', b"[]", b"{", b'{"a":\xff}', b'{"a\\q":1}', b'{"\\ud800":1}', b'{"a":01}'],
    "event_time_us": [0, NOW_US, NOW_US - SECOND_US, NOW_US + MINUTE_US, NOW_US + 2 * FUTURE_US, 5],
    "sent_time_us": [NOW_US, NOW_US - MINUTE_US, 5, -3, NOW_US + 3 * FUTURE_US, 1 << 61],
    "received_time_us": [0, NOW_US, NOW_US - SECOND_US, 5, NOW_US + 2 * FUTURE_US],
    "trace_id": [b"", b"x", b"y" * 16],
    "span_id": [b"", b"x", b"y" * 8],
    "client_time_us": [7],
    "session_start_us": [7],
    "linked_user_id": ["eve"],
    "copied_event_id": ["e-9"],
    "bot_evidence": ["rate"],
    "device_class": [2],
    "is_bot": [True],
    "is_automated": [True],
    "is_own": [True],
    "carried": [event_pb2.Carried(purchase_count=1)],
}
SPECIAL = [
    *(one for one, _, _ in CLEANED.values()),
    *(one for one, _ in REFUSED.values()),
    *(clicked(x=x, y=1, role=role) for x in (1, 1e7, NAN) for role in ("", "button", "a\nb")),
    *(playback(watched_seconds=w, position_seconds=p) for w in (-1, 5, NAN) for p in (3, 10, 1e13, NAN)),
    *(bought(amount=amount, currency="eur", is_refund=is_refund) for amount in (-1, 1) for is_refund in (False, True)),
    *(bought(amount=amount, currency="EUR") for amount in (0, 5, 1e13, NAN)),
    outcome(intervention_id="i", outcome=event_pb2.OUTCOME_SHOWN, channel="web\n"),
    event(kind="click", playback=event_pb2.Playback(video_id="v")),
    event(kind="video_playback", click=event_pb2.Click(x=1e9)),
    event(kind="purchase"),
    event(kind="identify", anonymous_id="a-1"),
]

NOTHING = Masking(frozenset())


@st.composite
def batches(draw: st.DrawFn) -> list[event_pb2.Event]:
    """Events of which most are plain; some are those of other tests, with a member or two in another way."""
    made = []
    for _ in range(draw(st.integers(1, 8))):
        one = event_pb2.Event()
        one.CopyFrom(draw(st.sampled_from(SPECIAL)) if draw(st.booleans()) else event(user_id="u1"))
        one.user_id = one.user_id.replace("ada", "u1")
        one.event_id = draw(st.sampled_from(IDS[:5]) if draw(st.booleans()) else st.sampled_from(IDS))
        for name in draw(st.lists(st.sampled_from(sorted(MEMBERS)), max_size=3)):
            one.MergeFrom(event_pb2.Event(**{name: draw(st.sampled_from(MEMBERS[name]))}))
        made.append(one)
    return made


def unstamp(one: event_pb2.Event) -> None:
    stamps = ("client_time_us", "session_start_us", "device_class", "linked_user_id", "copied_event_id")
    for name in (*stamps, "bot_evidence", "is_bot", "carried"):
        one.ClearField(name)  # type: ignore[arg-type]
    if not 946_684_800_000_000 <= one.received_time_us <= NOW_US + FUTURE_US:
        one.received_time_us = NOW_US
    if len(one.trace_id) != 16 or len(one.span_id) not in (0, 8):
        one.trace_id = one.span_id = b""


def content(one: event_pb2.Event) -> object:
    return one.user_id, one.event_type, one.page, one.properties


def row_by_row(events: Sequence[event_pb2.Event], rules: Rules) -> Judged:
    """The rules one event after the other, in place."""
    judged = Judged([], [], {}, {}, [], [])
    first_by_id: dict[str, event_pb2.Event] = {}
    for row, one in enumerate(events):
        unstamp(one)
        seen = cast("Event", one)
        notes = tidy(seen, rules)
        if skew.set_right(seen, one.received_time_us):
            notes.append(Note("sentAt", "Not the clock of `timestamp`, nor a time a clock shows; it was left out."))
        rejection = reject(seen, one.received_time_us, rules.placeholders)
        if rejection is not None:
            judged.rejected[row] = rejection
        elif (first := first_by_id.setdefault(one.event_id, one)) is one:
            judged.fresh.append(row)
        else:
            judged.repeated.append(row)
            if content(one) != content(first):
                detail = "It differs from an earlier event with this eventId, and counts as its copy."
                notes.append(Note("eventId", detail))
        if notes:
            judged.notes[row] = notes
    return judged


@given(batches(), st.sampled_from([Rules(), Rules(PageRules(False, False), frozenset({"u2", "a-2"}))]))
@settings(max_examples=1_000)
def test_a_batch_is_tidied_and_sorted_as_its_events_would_be_one_by_one(
    events: list[event_pb2.Event], rules: Rules
) -> None:
    table = of_events(events)
    judged = judge(table, NOW_US, rules, Maskings(NOTHING))
    expected = row_by_row(events, rules)
    assert judged == expected
    for row, one in enumerate(events):
        assert table.event(row).SerializeToString(deterministic=True) == one.SerializeToString(deterministic=True)


@given(batches(), st.sets(st.integers(0, 7)))
def test_events_are_stamped_as_they_would_be_one_by_one(events: list[event_pb2.Event], scripted: set[int]) -> None:
    table = of_events(events)
    judge(table, NOW_US, Rules(), Maskings(NOTHING))
    expected = table.events()
    stamp(table, scripted)
    for row, one in enumerate(expected):
        one.device_class, one.bot_evidence = device.recognized(one.platform, one.user_agent)  # type: ignore[assignment]
        if not one.bot_evidence:
            one.bot_evidence = "client:automated" if one.is_automated else "rate" if row in scripted else ""
        one.is_bot = bool(one.bot_evidence)
    assert table.events() == expected


class Suspicious(UserRateLimiter):
    """Takes nobody's events to be calm, so that all ids are looked up first."""

    def take_calm(self, times_us: Any, now_us: int) -> bool:
        return False


async def taken(requests: Sequence[Sequence[event_pb2.Event]], limiter: UserRateLimiter) -> list[object]:
    """What is said of requests, and what is applied of them."""
    async with running(limiter=limiter) as harness:
        said: list[object] = []
        for request in requests:
            answer = await harness.accept(*request)
            said.append(answer)
            harness.time.now_us += 10 * SECOND_US
        await harness.dispatch()
        applied = sorted(harness.events(), key=lambda one: (one.user_id, one.event_id))
        counts = [await harness.ingest.duplicates.count(name, harness.time()) for name in IDS[:6]]
        return [*said, applied, counts]


@given(st.lists(batches(), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
async def test_ids_that_are_remembered_at_once_say_the_same_as_ids_that_are_looked_up(
    requests: list[list[event_pb2.Event]],
) -> None:
    assert await taken(requests, UserRateLimiter(20, 20)) == await taken(requests, Suspicious(20, 20))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12_000_000), st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=30)
        )
    )
)
def test_calm_users_are_counted_as_if_each_event_was_judged(
    requests: list[tuple[int, list[tuple[str, int]]]],
) -> None:
    one_by_one, at_once, now_us = UserRateLimiter(20, 40), UserRateLimiter(20, 40), NOW_US
    for pause_us, events in requests:
        now_us += pause_us
        times_us: dict[str, list[int]] = {}
        for user_id, seconds in events:
            times_us.setdefault(user_id, []).append(now_us - seconds * SECOND_US)
        is_calm = at_once.take_calm(times_us, now_us)
        paces = [one_by_one.judge(user, now_us, now_us - seconds * SECOND_US) for user, seconds in events]
        assert not is_calm or set(paces) <= {SendingRate.PERSON}
        if not is_calm:
            for user_id, seconds in events:
                at_once.judge(user_id, now_us, now_us - seconds * SECOND_US)
    for user_id, user in one_by_one._users.items():
        other = at_once._users[user_id]
        assert [getattr(user, name) for name in user.__slots__] == [getattr(other, name) for name in user.__slots__]


async def test_a_request_that_comes_again_and_again_makes_nobody_a_script_or_a_flood() -> None:
    async with running(limiter=UserRateLimiter(20, 300)) as harness:
        request = [event(f"{number}", "ada") for number in range(45)]
        await harness.accept(*request)
        for _ in range(3):
            assert set((await harness.accept(*request)).verdicts) == {DUPLICATE}
        assert set((await harness.accept(*(event(f"b{number}", "ada") for number in range(60)))).verdicts) == {ACCEPTED}
        await harness.dispatch()
        assert len(harness.events()) == 105
        assert not any(one.is_bot for one in harness.events())
        for _ in range(20):
            assert set((await harness.accept(*request)).verdicts) == {DUPLICATE}
        assert set((await harness.accept(*(event(f"c{number}", "ada") for number in range(90)))).verdicts) == {ACCEPTED}
