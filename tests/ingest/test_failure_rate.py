"""When a shard stops for too many failed events: `services.ingest.dispatch.domain.failure_rate`."""

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.dispatch.domain.failure_rate import RECALLED, TOLERATED, FailureRate


def test_a_few_bad_records_are_set_aside_even_where_there_are_no_others() -> None:
    toll = FailureRate(0.5)
    assert toll.refusal(TOLERATED, TOLERATED) == ""


def test_processing_stops_when_most_records_fail() -> None:
    toll = FailureRate(0.5)
    toll.note(0, 4)
    assert toll.refusal(6, 6) == "Paused: 6 of the last 10 records cannot be applied."
    assert toll.refusal(4, 4) == ""


def test_what_was_refused_is_not_counted_so_that_a_mended_step_goes_on() -> None:
    toll = FailureRate(0.5)
    assert toll.refusal(20, 20)
    assert toll.refusal(0, 20) == ""


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5))), st.floats(0.05, 0.95))
def test_what_was_set_aside_never_passes_the_share_of_the_last_records(
    batches: list[tuple[int, int]], share: float
) -> None:
    toll = FailureRate(share)
    outcomes: list[bool] = []
    for failed, applied in batches:
        if not toll.refusal(failed, failed + applied):
            toll.note(failed, failed + applied)
            outcomes += [True] * failed + [False] * applied
            last = outcomes[-RECALLED:]
            assert sum(last) <= max(TOLERATED, share * len(last))
