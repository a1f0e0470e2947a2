"""Clocks of devices: the offset is found, times are corrected, and a device's events keep their order."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from records.table import of_events
from services.ingest.accept.domain import skew
from services.ingest.accept.domain.skew import Skew, corrected, observe
from tests.builders import MINUTE_US, NOW_US, SECOND_US, event

HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
PHONE = "d:phone\nada"


class Request(NamedTuple):
    """A request of one device: when it was received and sent, and when its events happened, by the device's clock."""

    received_us: int
    sent_us: int
    times_us: list[int]


def corrected_by(events: Sequence[event_pb2.Event], known: dict[str, Skew]) -> list[event_pb2.Event]:
    """The events with their times corrected by what is known of clocks, which grows."""
    table = of_events(events)
    known.update(skew.correct(table, skew.samples(table), known))
    return table.events()


def accept(requests: Sequence[Request], known: dict[str, Skew]) -> list[event_pb2.Event]:
    """Takes requests in with one call, as ingest does."""
    events = [
        event(
            device_id="phone",
            event_time_us=time_us,
            sent_time_us=request.sent_us,
            received_time_us=request.received_us,
        )
        for request in requests
        for time_us in request.times_us
    ]
    return corrected_by(events, known)


def one(known: dict[str, Skew], **members: Any) -> event_pb2.Event:
    """Takes in one event, of a request of its own."""
    (corrected,) = corrected_by([event(device_id="phone", **members)], known)
    return corrected


@st.composite
def stories(draw: st.DrawFn) -> list[Request]:
    """Requests of a device whose clock is wrong and drifts, in the order of receipt, each under way for up to 80 s.

    Some are stalled past later ones; each holds events of any time before it was sent.
    """
    offset_us = draw(st.integers(-20 * HOUR_US, 20 * HOUR_US))
    drift = draw(st.floats(-2e-4, 2e-4))
    requests, true_us = [], NOW_US
    for _ in range(draw(st.integers(1, 14))):
        true_us += draw(st.integers(0, 90 * SECOND_US) | st.integers(0, 20 * HOUR_US))
        sent_us = true_us - offset_us + round((true_us - NOW_US) * drift)
        delay_us = draw(st.integers(0, 2 * SECOND_US) | st.integers(0, 80 * SECOND_US))
        ages_us = draw(st.lists(st.integers(0, 5 * MINUTE_US) | st.integers(0, 60 * HOUR_US), min_size=1, max_size=4))
        requests.append(Request(true_us + delay_us, sent_us, [sent_us - age_us for age_us in ages_us]))
    return sorted(requests)


@given(stories(), st.lists(st.integers(0, 14)))
def test_a_device_s_events_keep_their_order_and_no_cut_changes_their_times(
    requests: list[Request], cuts: list[int]
) -> None:
    known: dict[str, Skew] = {}
    corrected: list[tuple[int, int]] = []
    for request in requests:
        accepted = [
            (each.client_time_us or each.event_time_us, each.event_time_us) for each in accept([request], known)
        ]
        reach_us = known[PHONE].pieces[0].from_us
        corrected += accepted
        for client_us, time_us in accepted:
            assert time_us <= request.received_us
            for other_us, other_time_us in corrected:
                # Order is kept for good as far back as the pieces reach.
                if min(client_us, other_us) >= reach_us and client_us != other_us:
                    earlier, later = sorted([(client_us, time_us), (other_us, other_time_us)])
                    assert earlier[1] <= later[1]

    again: dict[str, Skew] = {}
    edges = sorted({0, len(requests), *(cut for cut in cuts if cut < len(requests))})
    at_once = [each for begin, end in itertools.pairwise(edges) for each in accept(requests[begin:end], again)]
    if len({request.received_us for request in requests}) == len(requests):
        assert [each.event_time_us for each in at_once] == [time_us for _, time_us in corrected]
        assert again == known


@given(st.integers(-23 * HOUR_US, 400 * DAY_US), st.lists(st.integers(0, skew.DELAY_MOST_US), max_size=6), st.data())
def test_the_offset_is_exact_once_a_request_had_no_delay(
    offset_us: int, delays_us: list[int], data: st.DataObject
) -> None:
    undelayed = data.draw(st.integers(0, len(delays_us)))
    known = None
    for number, delay_us in enumerate([*delays_us[:undelayed], 0, *delays_us[undelayed:]]):
        sent_us = NOW_US + number * MINUTE_US
        known = observe(known, sent_us + offset_us + delay_us, sent_us)
        if number >= undelayed:
            assert known.pieces[-1].offset_us == offset_us
    assert known is not None
    assert corrected(known, NOW_US + 2 * HOUR_US) == NOW_US + 2 * HOUR_US + offset_us


def test_nothing_changes_where_nothing_is_learnt() -> None:
    known: dict[str, Skew] = {}
    first = accept([Request(NOW_US, NOW_US - HOUR_US, [NOW_US - 2 * HOUR_US])], known)
    before = dict(known)
    again = accept([Request(NOW_US + SECOND_US, NOW_US - HOUR_US, [NOW_US - 2 * HOUR_US])], known)
    assert known == before
    assert [each.event_time_us for each in again] == [each.event_time_us for each in first] == [NOW_US - HOUR_US]
    assert first[0].client_time_us == NOW_US - 2 * HOUR_US


def segment(received_us: int, sent_us: int, time_us: int) -> int:
    """Segment's formula, and PostHog's: each request by itself."""
    return received_us - (sent_us - time_us)


def test_a_stalled_batch_keeps_its_place_where_segment_s_formula_moves_it_past_later_ones() -> None:
    # PostHog/posthog#98250: a web view stalls some batches by 15 and 32 s, between others that arrive at once.
    requests = [
        Request(0 * SECOND_US, 0 * SECOND_US, [-1 * SECOND_US]),
        Request(27 * SECOND_US, 12 * SECOND_US, [10 * SECOND_US]),  # stalled by 15 s
        Request(20 * SECOND_US, 20 * SECOND_US, [15 * SECOND_US, 19 * SECOND_US]),
        Request(76 * SECOND_US, 44 * SECOND_US, [42 * SECOND_US]),  # stalled by 32 s
        Request(60 * SECOND_US, 60 * SECOND_US, [50 * SECOND_US, 58 * SECOND_US]),
    ]
    behind_us = 7 * MINUTE_US
    received = sorted(
        Request(NOW_US + each.received_us + behind_us, NOW_US + each.sent_us, [NOW_US + time for time in each.times_us])
        for each in requests
    )
    known: dict[str, Skew] = {}
    ours = {each.client_time_us: each.event_time_us for request in received for each in accept([request], known)}
    theirs = {
        time_us: segment(request.received_us, request.sent_us, time_us)
        for request in received
        for time_us in request.times_us
    }
    captured = sorted(ours)
    assert [ours[time_us] - time_us for time_us in captured] == [behind_us] * 7
    assert sorted(theirs.values()) != [theirs[time_us] for time_us in captured]
    assert max(theirs[time_us] - time_us - behind_us for time_us in captured) == 32 * SECOND_US


def test_a_stalled_first_batch_is_not_overtaken_either() -> None:
    known: dict[str, Skew] = {}
    first = one(known, event_time_us=NOW_US - 20 * SECOND_US, sent_time_us=NOW_US - 15 * SECOND_US)
    assert first.event_time_us == NOW_US - 5 * SECOND_US
    prompt = {"sent_time_us": NOW_US + SECOND_US, "received_time_us": NOW_US + SECOND_US}
    second = one(known, event_time_us=NOW_US - 14 * SECOND_US, **prompt)
    third = one(known, event_time_us=NOW_US + SECOND_US, **prompt)
    late = one(known, event_time_us=NOW_US - 21 * SECOND_US, **prompt)
    assert late.event_time_us < first.event_time_us <= second.event_time_us < third.event_time_us
    assert third.event_time_us == NOW_US + SECOND_US


@pytest.mark.parametrize("set_back_us", [HOUR_US, 30 * HOUR_US, 45 * HOUR_US])
def test_a_clock_that_was_set_back_is_forgiven_at_once(set_back_us: int) -> None:
    ahead_us = min(set_back_us, 23 * HOUR_US)
    known: dict[str, Skew] = {}
    one(known, event_time_us=NOW_US + ahead_us, sent_time_us=NOW_US + ahead_us)
    for hours in range(0, 50, 5):
        now_us = NOW_US + hours * HOUR_US
        clock_us = now_us + ahead_us - set_back_us
        corrected = one(known, event_time_us=clock_us, sent_time_us=clock_us, received_time_us=now_us)
        assert corrected.event_time_us == now_us


def test_a_clock_that_was_set_forward_is_believed_at_once() -> None:
    known: dict[str, Skew] = {}
    one(known, event_time_us=NOW_US - 5 * HOUR_US, sent_time_us=NOW_US - 5 * HOUR_US)
    later_us = NOW_US + MINUTE_US
    assert (
        one(known, event_time_us=later_us, sent_time_us=later_us, received_time_us=later_us).event_time_us == later_us
    )


def test_without_a_time_of_sending_only_the_future_tells() -> None:
    known: dict[str, Skew] = {}
    past = one(known, event_time_us=NOW_US - MINUTE_US)
    assert (past.event_time_us, past.client_time_us, known) == (NOW_US - MINUTE_US, 0, {})
    ahead = one(known, event_time_us=NOW_US + 10 * MINUTE_US)
    assert (ahead.event_time_us, ahead.client_time_us) == (NOW_US, NOW_US + 10 * MINUTE_US)
    assert known[PHONE].pieces[-1].offset_us == -10 * MINUTE_US


def test_a_time_of_sending_that_cannot_be_is_no_sample() -> None:
    known: dict[str, Skew] = {}
    for sent_us in (1, NOW_US - 25 * HOUR_US, NOW_US + 25 * HOUR_US):
        assert one(known, event_time_us=NOW_US - MINUTE_US, sent_time_us=sent_us).event_time_us == NOW_US - MINUTE_US
    assert known == {}


def test_an_event_after_its_own_sending_is_only_brought_back_to_its_receipt() -> None:
    known: dict[str, Skew] = {}
    behind = {"sent_time_us": NOW_US - HOUR_US}
    assert one(known, event_time_us=NOW_US + HOUR_US, **behind).event_time_us == NOW_US
    assert one(known, event_time_us=NOW_US - MINUTE_US, **behind).event_time_us == NOW_US - MINUTE_US
    coarse = one(known, event_time_us=NOW_US - HOUR_US + 700_000, **behind)
    assert coarse.event_time_us == NOW_US


def test_clocks_are_told_apart_and_by_the_best_name_there_is() -> None:
    named = (
        event(device_id="d", anonymous_id="a", user_id="u"),
        event(anonymous_id="a", user_id="u"),
        event(user_id="u"),
    )
    corrected = [skew.whose(each.device_id, each.anonymous_id, each.user_id) for each in named]
    assert corrected == ["d:d\nu", "a:a\nu", "u:u"]


def test_a_drifting_clock_is_followed_and_its_state_stays_small() -> None:
    known: dict[str, Skew] = {}
    for number in range(200):
        now_us = NOW_US + number * 6 * HOUR_US
        clock_us = now_us - number * SECOND_US
        corrected = one(known, event_time_us=clock_us, sent_time_us=clock_us, received_time_us=now_us)
    assert len(known[PHONE].pieces) == skew.PIECES_MOST
    # The smallest of today and yesterday is that of yesterday's first request, 4 to 7 requests ago.
    assert 4 <= (now_us - corrected.event_time_us) / SECOND_US <= 7


@given(
    st.lists(
        st.tuples(st.integers(-23 * HOUR_US, 23 * HOUR_US), st.integers(0, 40 * HOUR_US), st.booleans()), min_size=1
    )
)
def test_whatever_else_was_told_of_a_clock_no_event_is_later_than_its_own_request_says(
    corrected: list[tuple[int, int, bool]],
) -> None:
    known: dict[str, Skew] = {}
    now_us = NOW_US
    for error_us, after_us, is_sent in corrected:
        now_us += after_us
        clock_us = now_us + (error_us if is_sent else abs(error_us))
        sent_us = clock_us if is_sent else 0
        made = one(known, event_time_us=clock_us, received_time_us=now_us, sent_time_us=sent_us)
        assert min(now_us, clock_us) - skew.DELAY_MOST_US <= made.event_time_us <= now_us


LIES = [3 * MINUTE_US, 30 * MINUTE_US, 2 * HOUR_US, 23 * HOUR_US]


@pytest.mark.parametrize("lie_us", LIES)
@pytest.mark.parametrize("sends", [True, False])
@pytest.mark.parametrize("is_first", [True, False])
def test_one_wrong_event_among_others_of_its_request_moves_none_of_them(
    lie_us: int, *, sends: bool, is_first: bool
) -> None:
    def corrected(time_us: int) -> event_pb2.Event:
        sent_us = time_us if sends else 0
        return event(device_id="phone", event_time_us=time_us, received_time_us=NOW_US, sent_time_us=sent_us)

    right, wrong = [corrected(NOW_US - SECOND_US), corrected(NOW_US + SECOND_US)], [corrected(NOW_US + lie_us)]
    made = corrected_by(wrong + right if is_first else right + wrong, {})
    assert all(NOW_US - 2 * SECOND_US <= each.event_time_us <= NOW_US for each in made)
