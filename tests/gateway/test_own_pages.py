"""Pages of a list that is all tenants': full of one's own entries, in order, none left out and none twice."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.access.tenancy import own_page


class Kept:
    """A list of entries, each its owner and number, as a service gives it out in pages of at most so many."""

    def __init__(self, owners: Sequence[str], most: int) -> None:
        self._entries = [(owner, number) for number, owner in enumerate(owners)]
        self._most = most
        self.reads = 0

    async def read(self, count: int, cursor: str) -> tuple[Sequence[tuple[str, int]], str]:
        self.reads += 1
        begin = int(cursor or 0)
        end = begin + min(count, self._most)
        return self._entries[begin:end], str(end) if end < len(self._entries) else ""


def is_own(entry: tuple[str, int]) -> bool:
    return entry[0] == "acme"


@given(st.lists(st.sampled_from(["acme", "globex", ""]), max_size=80), st.integers(1, 10), st.integers(1, 10))
async def test_every_entry_of_ones_own_comes_once_and_no_other(owners: Sequence[str], limit: int, most: int) -> None:
    kept, found, cursor = Kept(owners, most), list[int](), ""
    while True:
        page, cursor = await own_page(kept.read, is_own, limit, cursor)
        assert len(page) <= limit
        assert all(map(is_own, page))
        found += [number for _, number in page]
        if not cursor:
            break
    assert found == [number for number, owner in enumerate(owners) if owner == "acme"]


async def test_a_page_is_full_although_others_stand_between() -> None:
    kept = Kept(["globex", "globex", "acme"] * 30, 100)
    page, cursor = await own_page(kept.read, is_own, 10, "")
    assert [number for _, number in page] == list(range(2, 30, 3))
    assert int(cursor) >= 30


async def test_reading_on_is_bounded() -> None:
    kept = Kept(["globex"] * 10_000, 100)
    page, cursor = await own_page(kept.read, is_own, 100, "")
    assert (page, cursor, kept.reads) == ([], "1000", 10)


async def test_who_owns_everything_is_given_what_was_read_at_once() -> None:
    kept = Kept(["acme"] * 50, 5)
    page, cursor = await own_page(kept.read, is_own, 20, "")
    assert (len(page), cursor, kept.reads) == (5, "5", 1)
