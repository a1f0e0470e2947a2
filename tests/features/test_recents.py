"""The last events: whole, newest first, and the same after a redelivery."""

from hypothesis import given
from hypothesis import strategies as st

from services.features.domain import recents
from services.features.domain.recents import Kept


def kept(number: int) -> Kept:
    return Kept(0, b"%d" % number)


@given(st.integers(0, 70), st.integers(0, 12))
def test_the_last_twenty_come_newest_first(count: int, redelivered: int) -> None:
    slots: list[bytes | None] = [None] * recents.SEGMENT_SLOTS

    def extend(tail: list[Kept], first: int, last: int) -> list[Kept]:
        for number in range(first, last + 1):
            segment = recents.add(tail, kept(number), number)
            if segment is not None:
                slots[segment.slot] = recents.encode(segment)
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
    slots: list[bytes | None] = [None] * recents.SEGMENT_SLOTS
    tail: list[Kept] = []
    for number in range(1, 25):
        segment = recents.add(tail, kept(number), number)
        if segment is not None:
            slots[segment.slot] = recents.encode(segment)
    earlier = list(recents.newest_first([kept(21)], 21, slots))
    assert earlier == [kept(number) for number in range(21, 4, -1)]
