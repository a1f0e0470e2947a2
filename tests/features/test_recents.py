"""The last events: whole, newest first, and the same after a redelivery."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from records import table
from services.features.domain import recents
from services.features.domain.recents import Kept
from services.features.translation.kept import WHOLE_EVENT_BYTES, kept_of
from services.features.translation.rows import events_of
from tests.builders import event


def kept(number: int) -> Kept:
    return Kept(0, b"%d" % number)


@given(st.integers(0, 70), st.integers(0, 12))
def test_the_last_twenty_come_newest_first(count: int, redelivered: int) -> None:
    slots: list[recents.Segment | None] = [None] * recents.SEGMENT_SLOTS

    def extend(tail: list[Kept], first: int, last: int) -> list[Kept]:
        for number in range(first, last + 1):
            tail.append(kept(number))
            for segment in recents.cut(tail, number):
                slots[segment.slot] = segment
        return tail

    before = extend([], 1, count)
    after = extend(list(before), count + 1, count + redelivered)
    again = extend(list(before), count + 1, count + redelivered)
    assert again == after
    assert len(after) < recents.SEGMENT_EVENTS

    total = count + redelivered
    newest = list(recents.newest_first(after, total, slots))[: recents.KEPT_EVENTS]
    assert newest == [kept(number) for number in range(total, max(0, total - recents.KEPT_EVENTS), -1)]


def test_a_segment_of_a_batch_that_is_derived_again_is_not_taken_for_an_old_one() -> None:
    slots: list[recents.Segment | None] = [None] * recents.SEGMENT_SLOTS
    tail: list[Kept] = []
    for number in range(1, 25):
        tail.append(kept(number))
        for segment in recents.cut(tail, number):
            slots[segment.slot] = segment
    earlier = list(recents.newest_first([kept(21)], 21, slots))
    assert earlier == [kept(number) for number in range(21, 4, -1)]


@given(st.integers(0, 40), st.integers(0, 90))
def test_a_batch_writes_each_slot_once_with_the_newest(before: int, count: int) -> None:
    tail = [kept(number) for number in range(before - before % recents.SEGMENT_EVENTS + 1, before + 1)]
    tail += [kept(number) for number in range(before + 1, before + count + 1)]
    segments = recents.cut(tail, before + count)
    assert len({each.slot for each in segments}) == len(segments)
    first = before - before % recents.SEGMENT_EVENTS
    newest = list(recents.newest_first(tail, before + count, segments))[: recents.KEPT_EVENTS]
    assert newest == [kept(number) for number in range(before + count, max(first, before + count - 20), -1)]


TEXTS = [field.name for field in event_pb2.Event.DESCRIPTOR.fields if field.type == field.TYPE_STRING]


@pytest.mark.parametrize(
    ("letter", "length"), [("a", 128), ("\u6f22", 128), ("\U0001f600", 128), ("\U0001f600", 2048)], ids=str
)
def test_what_is_kept_of_an_event_is_bounded_and_the_same_to_the_features(letter: str, length: int) -> None:
    texts = {name: letter * min(length, 128) for name in TEXTS}
    texts |= {"page": "/" + letter * (length - 1), "address": letter * length, "target": letter * 256}
    sent = event_pb2.Event(event_type=event_pb2.EVENT_TYPE_CLICK, properties=b" " * 32_768, **texts)  # type: ignore[arg-type]
    kept = event_pb2.Event.FromString(*kept_of(table.of_events([sent])))
    assert kept.ByteSize() <= 10 * 1024
    assert events_of(table.of_events([kept])) == events_of(table.of_events([sent]))
    assert (kept.user_id, kept.event_id, kept.session_id) == (sent.user_id, sent.event_id, sent.session_id)


@pytest.mark.parametrize(("count", "length", "kept_count"), [(5, 10, 5), (20, 200, 20), (100, 10, 0)])
def test_of_a_large_order_products_are_kept_as_far_as_they_fit(count: int, length: int, kept_count: int) -> None:
    line = event_pb2.OrderLine(product_id="p" * 10, name="n" * length, category="c" * length, quantity=2, price=9.9)
    bought = event_pb2.Purchase(amount=5, currency="EUR", order_id="o-1", lines=[line] * count)
    sent = event(kind="purchase", purchase=bought, properties=b'{"note":"' + b"x" * 2_000 + b'"}')
    kept = event_pb2.Event.FromString(*kept_of(table.of_events([sent])))
    assert kept.ByteSize() <= WHOLE_EVENT_BYTES
    assert (kept.purchase.order_id, kept.purchase.amount) == ("o-1", 5)
    assert [(each.product_id, each.quantity, each.price) for each in kept.purchase.lines] == [
        ("p" * 10, 2, 9.9)
    ] * kept_count


def test_a_small_event_is_kept_as_it_is() -> None:
    sent = event_pb2.Event(page="/" + "a" * 300, user_agent="Mozilla", properties=b'{"a":1}')
    assert event_pb2.Event.FromString(*kept_of(table.of_events([sent]))) == sent
