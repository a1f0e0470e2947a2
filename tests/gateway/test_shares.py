"""Total and individual bounds: nobody exceeds them, and clients who hold nothing are forgotten."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.shares import Exhausted, Shares, share
from gateway.http.slow_clients import BYTES_PER_SECOND, ReadTimeout
from records.tenants import DEFAULT

steps = st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "c", None]), st.integers(1, 5)), max_size=60)


@given(steps, st.integers(1, 12), st.integers(1, 12))
def test_accepted_requests_stay_within_both_bounds(
    asked: list[tuple[bool, str | None, int]], most: int, most_of_one: int
) -> None:
    shares, held = Shares(most, most_of_one), Counter[str | None]()
    for is_taking, one, amount in asked:
        if is_taking:
            lack = shares.take(one, amount)
            is_full = held.total() + amount > most
            is_own_full = one is not None and held[one] + amount > most_of_one
            assert lack is (Exhausted.TOTAL if is_full else Exhausted.SHARE if is_own_full else None)
            held[one] += amount if lack is None else 0
        elif held[one]:
            given_back = min(amount, held[one])
            shares.give_back(one, given_back)
            held[one] -= given_back
        assert shares.taken == held.total()
        assert len(shares) == sum(1 for one, count in held.items() if one is not None and count)


@given(steps, st.integers(1, 12), st.integers(1, 12))
def test_no_tenant_takes_more_than_its_share_but_the_default_one(
    asked: list[tuple[bool, str | None, int]], most: int, most_of_tenant: int
) -> None:
    shares, held = Shares(most, most, most_of_tenant), Counter[str]()
    for is_taking, one, amount in asked:
        tenant = one or DEFAULT
        if is_taking:
            lack = shares.take("address", amount, tenant)
            is_own_full = tenant != DEFAULT and held[tenant] + amount > most_of_tenant
            is_full = held.total() + amount > most
            assert lack is (Exhausted.TOTAL if is_full else Exhausted.TENANT if is_own_full else None)
            held[tenant] += amount if lack is None else 0
        elif held[tenant]:
            given_back = min(amount, held[tenant])
            shares.give_back("address", given_back, tenant)
            held[tenant] -= given_back
        assert shares.taken == held.total()
    for tenant, amount in held.items():
        if amount:
            shares.give_back("address", amount, tenant)
    assert (shares.taken, len(shares)) == (0, 0)


@pytest.mark.parametrize(
    ("most", "percent", "least", "own"),
    [(4096, 50, 1, 2048), (3, 50, 1, 2), (1, 50, 1, 1), (10, 100, 1, 10), (10, 1, 1, 1), (100, 50, 80, 80)],
)
def test_a_share_is_never_nothing(most: int, percent: int, least: int, own: int) -> None:
    assert share(most, percent, least) == own


@given(st.integers(1, 300), st.integers(0, 1_000_000), st.integers(0, 1_000_000))
def test_the_minimum_rate_waits_longer_after_more_bytes_and_never_beyond_the_deadline(
    seconds: int, size: int, more: int
) -> None:
    read_timeout = ReadTimeout(seconds)
    assert read_timeout.due(size) <= read_timeout.due(size + more) <= seconds
    assert read_timeout.due(0) == min(5, seconds / 2)
    assert read_timeout.due(seconds * BYTES_PER_SECOND) == seconds


def test_who_takes_nothing_is_not_remembered() -> None:
    shares = Shares(10, 5, 5)
    assert shares.take("192.0.2.1", 0, "acme") is None
    shares.give_back("192.0.2.1", 0, "acme")
    assert (len(shares), shares.taken) == (0, 0)
