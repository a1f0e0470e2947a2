"""Anonymous journeys and whose they turn out to be."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from services.ingest.accept.domain import holders, identity
from services.ingest.accept.domain.identity import Identification
from services.ingest.dispatch.translation.journeys import copies
from services.ingest.events.domain import own_ids
from services.ingest.events.domain.event import Event
from tests.builders import MINUTE_US, NOW_US, event


def seen(**members: Any) -> Event:
    return cast("Event", event(**members))


def held(whose: Identification) -> dict[str, str]:
    """Whose devices are by now, of those of which something was learnt."""
    return {anonymous_id: holders.holder(link) for anonymous_id, link in whose.new_links.items()}


def test_events_without_a_user_are_those_of_whom_the_id_was_last_linked_to() -> None:
    whose = Identification({"known": "eve"})
    assert whose.user(seen(user_id="known", anonymous_id="known")) == "eve"
    assert whose.user(seen(user_id="a", anonymous_id="a")) == "a"
    assert whose.hear(seen(user_id="ada", anonymous_id="a")) == (identity.linking,)
    assert whose.hear(seen(user_id="ada", anonymous_id="a")) == ()
    assert whose.user(seen(user_id="a", anonymous_id="a")) == "ada"
    assert whose.hear(seen(user_id="bob", anonymous_id="a")) == (identity.linking,)
    assert whose.user(seen(user_id="a", anonymous_id="a")) == "bob"
    assert whose.user(seen(user_id="ada", anonymous_id="a")) == "ada"
    assert whose.hear(seen(user_id="eve", anonymous_id="known")) == ()
    assert held(whose) == {"a": "bob"}


def test_the_event_that_links_ends_the_anonymous_journey() -> None:
    original = seen(user_id="ada", anonymous_id="a", client_time_us=5, is_bot=True, bot_evidence="rate", platform=1)
    made = cast("event_pb2.Event", identity.linking(original))
    assert made == event(
        own_ids.link_id(original),
        "a",
        "identify",
        anonymous_id="a",
        linked_user_id="ada",
        client_time_us=5,
        is_bot=True,
        bot_evidence="rate",
        platform=1,
        page="",
    )


@given(st.text(min_size=1, max_size=128), st.text(min_size=1, max_size=128), st.text(min_size=1, max_size=100))
def test_computed_ids_are_stable_short_and_of_their_two_alone(one: str, other: str, event_id: str) -> None:
    link = seen(event_id=event_id, user_id=one, anonymous_id=other)
    assert own_ids.link_id(link) == own_ids.link_id(link)
    assert len(own_ids.link_id(link)) <= 100
    assert len(own_ids.copied_id(event_id, one)) <= 100
    if one != other:
        assert own_ids.link_id(link) != own_ids.link_id(seen(event_id=event_id, user_id=other, anonymous_id=one))
        assert own_ids.copied_id(event_id, one) != own_ids.copied_id(event_id, other)
    assert own_ids.copied_id(event_id, one) != own_ids.copied_id(event_id + "x", one)


def anonymous(minutes: float, kind: str = "page_view", **members: Any) -> event_pb2.Event:
    time_us = NOW_US + round(minutes * MINUTE_US)
    return event(f"e{minutes:g}", "a", kind, anonymous_id="a", event_time_us=time_us, **members)


LINKED = event("link", "a", "identify", anonymous_id="a", linked_user_id="ada", trace_id=b"t" * 16, span_id=b"s" * 8)


def copied(*events: event_pb2.Event) -> list[str]:
    return [each.copied_event_id for each in copies([LINKED, *events], LINKED)]


def test_the_last_session_is_copied_newest_first_and_nothing_before_a_gap() -> None:
    assert copied(anonymous(-100), anonymous(-65), anonymous(-35), anonymous(-5)) == ["e-5", "e-35", "e-65"]
    assert copied(anonymous(-31)) == []
    assert copied(anonymous(-30)) == ["e-30"]
    assert copied(anonymous(2), anonymous(-1)) == ["e2", "e-1"]
    assert copied() == []


def test_what_is_no_step_of_the_journey_is_not_copied_but_bridges() -> None:
    outcome = event_pb2.InterventionOutcome(channel="chat", outcome=event_pb2.OUTCOME_SHOWN)
    events = [anonymous(-50), anonymous(-25, "intervention_outcome", outcome=outcome), anonymous(0, "identify")]
    assert copied(*events) == ["e-50"]


def test_at_most_twenty_are_copied() -> None:
    assert len(copied(*[anonymous(-minutes) for minutes in range(30)])) == 20


def test_a_copy_is_the_event_in_the_user_s_journey() -> None:
    original = anonymous(
        -3, "click", click=event_pb2.Click(x=3), properties=b"{}", client_time_us=7, session_start_us=NOW_US
    )
    (made,) = copies([LINKED, original], LINKED)
    expected = event_pb2.Event()
    expected.CopyFrom(original)
    expected.MergeFrom(
        event_pb2.Event(
            event_id=own_ids.copied_id("e-3", "ada"),
            user_id="ada",
            copied_event_id="e-3",
            trace_id=b"t" * 16,
            span_id=b"s" * 8,
        )
    )
    expected.session_start_us = 0
    assert made == expected
    assert original.user_id == "a"


def test_a_session_is_copied_as_the_client_called_it_and_not_as_features_did() -> None:
    found = anonymous(-3, session_id=f"s-0011-{NOW_US // 1000}", session_start_us=NOW_US)
    own = anonymous(-2, session_id="own", session_start_us=NOW_US)
    assert [each.session_id for each in copies([LINKED, found, own], LINKED)] == ["own", ""]


def test_what_stood_before_an_earlier_link_or_behind_this_one_is_not_copied() -> None:
    earlier_us = NOW_US - 3 * MINUTE_US
    earlier = event("earlier", "a", "identify", anonymous_id="a", linked_user_id="eve", event_time_us=earlier_us)
    assert [
        each.copied_event_id for each in copies([anonymous(-1), LINKED, anonymous(-2), earlier, anonymous(-4)], LINKED)
    ] == ["e-2"]
    # What comes behind the earlier link and was done before it is not the next one's either.
    assert not copies([LINKED, anonymous(-4), earlier], LINKED)
    assert not copies([anonymous(-1), anonymous(-2)], LINKED)


def test_two_ids_that_are_told_to_be_each_other_s_do_not_change_places() -> None:
    links = {"a": "b", "b": "c"}
    whose = Identification(dict(links))
    assert whose.hear(seen(user_id="a", anonymous_id="b")) is None
    assert whose.hear(seen(user_id="a", anonymous_id="c")) is None
    assert not whose.new_links
    assert whose.hear(seen(user_id="c", anonymous_id="d")) == (identity.linking,)
    circle = Identification({"a": "b", "b": "a"})
    assert circle.hear(seen(user_id="a", anonymous_id="c")) == (identity.linking,)  # and it ends


@pytest.mark.parametrize("named", ["ada", "a"], ids=["with the user", "with the anonymous id alone"])
def test_who_logs_out_leaves_the_device_to_the_next(named: str) -> None:
    whose = Identification({"a": "ada"})
    out = seen(kind="session_end", user_id=named, anonymous_id="a")
    out.user_id = whose.user(out)
    assert out.user_id == "ada"
    assert whose.hear(out) == ()
    assert whose.user(seen(user_id="a", anonymous_id="a")) == "a"
    assert held(whose) == {"a": "a"}
    assert whose.hear(seen(user_id="ada", anonymous_id="a")) == (identity.linking,)


def test_a_log_out_of_another_user_lets_nobody_go() -> None:
    whose = Identification({"a": "ada"})
    assert whose.hear(seen(kind="session_end", user_id="bob", anonymous_id="a")) == ()
    assert not whose.new_links


def test_a_log_out_of_a_user_who_is_not_linked_ends_what_was_done_before() -> None:
    assert Identification({}).hear(seen(kind="session_end", user_id="ada", anonymous_id="a")) == (identity.leaving,)
    assert Identification({"a": "a"}).hear(seen(kind="session_end", user_id="ada", anonymous_id="a")) == (
        identity.leaving,
    )


def test_the_end_of_a_session_of_somebody_unknown_is_no_log_out() -> None:
    whose = Identification({})
    assert whose.hear(seen(kind="session_end", user_id="a", anonymous_id="a")) == ()
    assert not whose.new_links


def refused(links: dict[str, str], *users: str) -> dict[str, str]:
    """The links after those of users were refused."""
    whose = Identification(dict(links), lambda _: False)
    for user_id in users:
        assert whose.hear(seen(user_id=user_id, anonymous_id="a")) is None
        assert whose.user(seen(user_id="a", anonymous_id="a")) == "a"
    return whose.new_links


@pytest.mark.parametrize("links", [{"a": "eve"}, {"a": "a"}, {}], ids=["linked", "left", "unknown"])
def test_a_refused_link_leaves_the_id_to_nobody(links: dict[str, str]) -> None:
    after = refused(links, "ada", "ada")
    # Who was refused may come again, and then has what was done meanwhile; anybody else has nothing of it.
    assert Identification(dict(after)).hear(seen(user_id="ada", anonymous_id="a")) == (identity.linking,)
    assert Identification(dict(after)).hear(seen(user_id="bob", anonymous_id="a")) == (
        identity.leaving,
        identity.linking,
    )
    for named in ("a", "ada", "bob"):
        whose = Identification(dict(after))
        assert whose.hear(seen(kind="session_end", user_id=named, anonymous_id="a")) == (identity.leaving,)
        assert held(whose) == {"a": "a"}
        next_one = Identification(whose.new_links)
        assert next_one.hear(seen(user_id="bob", anonymous_id="a")) == (identity.linking,)
    several = refused(links, "ada", "bob", "ada")
    assert Identification(several).hear(seen(user_id="ada", anonymous_id="a")) == (identity.leaving, identity.linking)


def test_a_log_out_that_may_end_no_journey_any_more_gives_it_to_nobody() -> None:
    whose = Identification({}, lambda _: False)
    assert whose.hear(seen(kind="session_end", user_id="ada", anonymous_id="a")) == ()
    after = Identification(whose.new_links)
    assert after.hear(seen(user_id="bob", anonymous_id="a")) == (identity.leaving, identity.linking)


def test_what_ends_a_journey_stands_directly_behind_what_told_it() -> None:
    a1, ada, b1, bob, other = (
        seen(event_id=event_id, user_id=user_id, anonymous_id=anonymous_id)
        for event_id, user_id, anonymous_id in (
            ("a1", "a", "a"),
            ("ada", "ada", "a"),
            ("b1", "a", "a"),
            ("bob", "bob", "a"),
            ("other", "c", "c"),
        )
    )
    endings = [(1, identity.linking), (3, identity.leaving), (3, identity.linking)]
    made = identity.parts([a1, ada, b1, bob, other], endings)
    assert [[each.event_id for each in part] for part in made] == [
        ["a1", "ada", own_ids.link_id(ada), "bob", "other"],
        ["b1", identity.leaving(bob).event_id],
        [own_ids.link_id(bob)],
    ]
    assert identity.parts([a1, b1], []) == [[a1, b1]]
    assert own_ids.is_nobody(identity.leaving(bob).linked_user_id)
    assert not own_ids.is_nobody(identity.linking(bob).linked_user_id)


def test_an_anonymous_id_is_linked_a_few_times_at_once_and_then_once_a_minute() -> None:
    linking = identity.Linking()
    assert [linking.may("a", 0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert linking.may("b", 0)
    assert [linking.may("a", identity.LINK_PERIOD_US) for _ in range(2)] == [True, False]
    assert [linking.may("a", 60 * identity.LINK_PERIOD_US) for _ in range(6)] == [True] * 5 + [False]
