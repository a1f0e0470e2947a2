"""The circuit breaker, driven by any history of answers."""

from hypothesis import given
from hypothesis import strategies as st

from mesh.breaker import Breaker

LIMIT, PAUSE = 3, 10.0

steps = st.lists(
    st.tuples(st.floats(0, 8), st.sampled_from(["good", "bad", "fatal", "silent"])),
    max_size=60,
)


@given(steps)
def test_nobody_asks_within_a_pause_and_somebody_after_it(history: list[tuple[float, str]]) -> None:
    breaker, now, in_a_row, shut_until = Breaker(LIMIT, PAUSE), 0.0, 0, -1.0
    for wait, answer in history:
        now += wait
        may_ask = now >= shut_until
        assert breaker.is_open(now) is not may_ask
        assert breaker.admits(now) is may_ask
        if not may_ask:
            continue
        if in_a_row >= LIMIT:  # a probe: until it is heard of, nobody else asks
            assert not breaker.admits(now)
            shut_until = now + PAUSE
        if answer == "good":
            breaker.succeeded()
            in_a_row, shut_until = 0, -1.0
        elif answer == "bad":
            breaker.failed(now)
            in_a_row += 1
            shut_until = now + PAUSE if in_a_row >= LIMIT else shut_until
        elif answer == "fatal":
            breaker.trip(now)
            in_a_row, shut_until = max(in_a_row, LIMIT), now + PAUSE


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker(LIMIT, PAUSE)
    for _ in range(10):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded()
    assert breaker.admits(0.0)


def test_one_probe_decides_for_all() -> None:
    breaker = Breaker(LIMIT, PAUSE)
    breaker.trip(0.0)
    assert [breaker.admits(PAUSE), breaker.admits(PAUSE), breaker.admits(PAUSE)] == [True, False, False]
    breaker.failed(PAUSE + 1)
    assert not breaker.admits(2 * PAUSE)
    assert breaker.admits(2 * PAUSE + 1)
    breaker.succeeded()
    assert [breaker.admits(2 * PAUSE + 2), breaker.admits(2 * PAUSE + 2)] == [True, True]


def test_a_probe_that_was_lost_blocks_nobody_for_good() -> None:
    breaker = Breaker(LIMIT, PAUSE)
    breaker.trip(0.0)
    assert breaker.admits(PAUSE)
    assert not breaker.admits(PAUSE + 9.9)
    assert breaker.admits(2 * PAUSE)
