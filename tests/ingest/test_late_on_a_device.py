"""A device that changes hands, and what of it comes late: each event is theirs who had the device when it happened."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from services.ingest.accept.domain import holders
from services.ingest.accept.domain.holders import SPANS_MOST, How, Span
from services.ingest.accept.domain.identity import Identification
from services.ingest.events.domain.event import Event
from tests.builders import NOW_US, SECOND_US, event
from tests.ingest.harness import running
from tests.ingest.test_shared_device import STEPS, STORIES, USERS, Unlimited, seen_of, story, whose
from tests.ingest.test_stitching import WithFeatures, settle

HOURS_2_US = 2 * 3600 * SECOND_US


def acted(number: int, step: str, **members: Any) -> event_pb2.Event:
    """An event as `story` has it, with so many seconds before now behind it: `ada@120`, `ada out@60`, `-@90`."""
    what, _, seconds = step.partition("@")
    (made,) = story([what])
    made.event_id = f"{number} {step}"
    made.event_time_us = NOW_US - int(seconds or 0) * SECOND_US
    made.MergeFrom(event_pb2.Event(**members))
    return made


def acted_by_ada(number: int, step: str) -> event_pb2.Event:
    """An event of ada's own, with both ids: `click@300`."""
    what, _, seconds = step.partition("@")
    at_us = NOW_US - int(seconds) * SECOND_US
    return event(f"{number} {step}", "ada", what, anonymous_id="a-1", event_time_us=at_us)


# As it comes; then whose events without a user turn out to be.
LATE: dict[str, tuple[str, dict[str, str]]] = {
    "before the log-out of the one before": ("ada@120,ada out@60,bob@30,-@90", {"-@90": "ada"}),
    "before the login of the one after": ("ada@120,bob@30,-@90", {"-@90": "ada"}),
    "before both logins": ("ada@60,bob@30,-@90", {"-@90": "ada"}),
    "while it was nobody's": ("ada@120,ada out@60,bob@30,-@45", {"-@45": "bob"}),
    "of the middle one of three": ("ada@120,bob@80,eve@30,-@50,-@90,-@10",
        {"-@50": "bob", "-@90": "ada", "-@10": "eve"}),
    "there and back": ("ada@120,bob@80,ada@30,-@50,-@90,-@10", {"-@50": "bob", "-@90": "ada", "-@10": "ada"}),
    "after the device was left for good": ("ada@120,ada out@60,-@90,-@30", {"-@90": "ada", "-@30": ""}),
    "a login that comes late": ("bob@30,ada@120,-@90,-", {"-@90": "ada", "-": "bob"}),
    "a login and a log-out that come late": ("bob@30,ada@120,ada out@60,-@90,-@45,-",
        {"-@90": "ada", "-@45": "bob", "-": "bob"}),
    "a log-out that comes late": ("ada@120,bob@30,ada out@60,-@90,-@45,-", {"-@90": "ada", "-@45": "bob", "-": "bob"}),
    "a log-out without a user that comes late": ("ada@120,bob@30,out@60,-@90,-@45,-",
        {"-@90": "ada", "-@45": "bob", "-": "bob"}),
    "a login that comes after the log-out": ("ada out@60,ada@120,-@90,-@30,bob@20", {"-@90": "ada", "-@30": "bob"}),
    "a log-out of somebody who was not logged in": ("bob@30,ada out@60,-@90,-@45", {"-@90": "", "-@45": "bob"}),
    "what was nobody's is not the next one's": ("ada out@60,bob@30,-@90,bob out@20,eve@10", {"-@90": ""}),
    "the end of a session before the login": ("ada@120,ada out@60,bob@30,out@45,-@50,-", {"-@50": "bob", "-": "bob"}),
    "without times as it comes": ("ada,-,bob,-,ada,-", {"1 -": "ada", "3 -": "bob", "5 -": "ada"}),
}  # fmt: skip


async def owners(events: Sequence[event_pb2.Event], size: int) -> dict[str, str]:
    """Whose events are, by id, in requests of a size."""
    features = WithFeatures()  # type: ignore[abstract]
    async with running(features, linking=Unlimited()) as harness:
        for start in range(0, len(events), size):
            await harness.accept(*events[start : start + size])
            await settle(harness)
        return {each: user for user in USERS for each in await seen_of(features, user)}


def expected(found: dict[str, str], right: dict[str, str]) -> None:
    for step, user in right.items():
        (theirs,) = {owner for each, owner in found.items() if each.endswith(step)} or {""}
        assert theirs == user, step


@pytest.mark.parametrize(("steps", "right"), LATE.values(), ids=LATE)
async def test_what_comes_late_is_theirs_who_had_the_device_then(steps: str, right: dict[str, str]) -> None:
    events = [acted(number, step) for number, step in enumerate(steps.split(","))]
    expected(await owners(events, 1), right)


async def test_so_it_is_in_one_request_that_is_not_in_order() -> None:
    for order in itertools.permutations(["ada@120", "-@90", "ada out@60", "bob@30", "-@10"]):
        events = [acted(number, step) for number, step in enumerate(order)]
        expected(await owners(events, 5), {"-@90": "ada", "-@10": "bob"})


@pytest.mark.parametrize("told_story", STORIES.values(), ids=STORIES)
async def test_a_queue_that_is_sent_in_any_order_gives_each_their_own(told_story: str) -> None:
    steps = told_story.split(",")
    events = story(steps)
    for step in (-1, 2, 3, 5):
        queue = [each for start in range(abs(step)) for each in events[start if step > 0 else None :: step]]
        found = await owners(queue, len(queue))
        assert {
            user: {each for each, one in found.items() if one == user and steps[int(each)] == "-"} for user in USERS
        } == whose(steps)


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, min_size=2, max_size=8), st.integers(1, 3))
def test_what_is_done_without_a_user_may_come_after_all_others(steps: list[str], size: int) -> None:
    events = story(steps)
    events.sort(key=lambda each: steps[int(each.event_id)] == "-")
    found = asyncio.run(owners(events, size))
    assert {
        user: {each for each, one in found.items() if one == user and steps[int(each)] == "-"} for user in USERS
    } == whose(steps)


@pytest.mark.parametrize("kind", ["click", "identify", "session_end"])
async def test_a_queue_of_the_one_before_never_takes_the_device_back(kind: str) -> None:
    events = [acted(0, "ada@400"), acted(1, "bob@60"), acted_by_ada(2, f"{kind}@300"), acted(3, "-"), acted(4, "-@350")]
    expected(await owners(events, 1), {"3 -": "bob", "-@350": "ada"})


async def test_a_queue_of_somebody_new_takes_the_device_from_nobody_either() -> None:
    events = [
        acted(0, "ada@400"),
        acted(1, "bob@60"),
        acted(2, "eve@300"),
        acted(3, "-"),
        acted(4, "-@200"),
        acted(5, "-@350"),
    ]
    expected(await owners(events, 1), {"3 -": "bob", "-@200": "eve", "-@350": "ada"})


async def test_when_it_happened_is_by_the_corrected_clock() -> None:
    def ahead(number: int, step: str) -> event_pb2.Event:
        made = acted(number, step, sent_time_us=NOW_US + HOURS_2_US)
        made.event_time_us += HOURS_2_US
        return made

    events = [acted(0, "ada@120"), acted(1, "bob@30"), ahead(2, "-@90"), ahead(3, "-@10")]
    expected(await owners(events, 1), {"-@90": "ada", "-@10": "bob"})


async def test_a_late_link_costs_the_stream_nothing_and_a_known_one_the_store_nothing() -> None:
    whose_device = Identification({})
    for step in ("bob@30", "ada@120"):
        made = cast("Event", acted(0, step))
        endings = whose_device.hear(made)
        assert (endings == ()) == (step == "ada@120")
    again = Identification(dict(whose_device.new_links))
    for step in ("bob@30", "ada@120", "ada@90", "bob@5"):
        assert again.hear(cast("Event", acted(1, step))) == ()
    assert not again.new_links


def test_many_late_links_are_refused_and_what_was_done_then_is_nobody_s() -> None:
    whose_device = Identification({"a-1": "bob\nv1\n1767348000000000 ="}, lambda _: False)
    assert whose_device.hear(cast("Event", event(user_id="eve", anonymous_id="a-1", event_time_us=5))) is None
    assert whose_device.user(cast("Event", event(user_id="a-1", anonymous_id="a-1", event_time_us=6))) == "a-1"
    assert holders.holder(whose_device.new_links["a-1"]) == "bob"


SPANS = st.lists(
    st.builds(
        Span,
        st.integers(0, 1 << 62),
        st.sampled_from(How),
        st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20),
    ),
    min_size=1,
    max_size=SPANS_MOST,
)


@given(SPANS)
def test_what_is_kept_is_read_as_it_was_and_by_an_older_version_as_whose_it_is_now(spans: list[Span]) -> None:
    made: holders.Spans = []
    for span in spans:
        made = holders.inserted(made, span._replace(user_id="") if span.how == How.LEFT else span)
    link = holders.written(made, "a-1\u00fc")
    assert holders.read(link, "a-1\u00fc") == made
    newest = made[0]
    assert holders.holder(link) == (newest.user_id if newest.how == How.LINKED else "a-1\u00fc")
    # The version before takes what stands behind the first line break for one user who used the device.
    assert link.partition("\n")[2] not in {span.user_id for span in spans}


@pytest.mark.parametrize(
    ("link", "spans"),
    [
        ("ada", [Span(0, How.LINKED, "ada")]),
        ("a-1", [Span(0, How.LEFT)]),
        ("a-1\nada", [Span(0, How.REFUSED, "ada")]),
        ("a-1\nv1", [Span(0, How.REFUSED, "v1")]),
        ("a-1\n", [Span(0, How.REFUSED)]),
        ("ada\nv2\nwhatever 1", [Span(0, How.LINKED, "ada")]),
        ("a-1\nv2\nwhatever 1", [Span(0, How.LEFT)]),
    ],
)
def test_what_other_versions_kept_is_read(link: str, spans: list[Span]) -> None:
    assert holders.read(link, "a-1") == spans


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(USERS)), max_size=30))
def test_however_much_is_told_little_is_kept_and_now_stays(links: list[tuple[int, str]]) -> None:
    spans: holders.Spans = []
    now = ""
    for time_us, user in links:
        if holders.owner(spans, time_us) != user:
            now = now if holders.is_late(spans, time_us) else user
            spans = holders.inserted(spans, Span(time_us, How.LINKED, user))
        assert len(spans) <= SPANS_MOST
        assert [each.from_us for each in spans] == sorted((each.from_us for each in spans), reverse=True)
        assert holders.owner(spans, 100) == now
