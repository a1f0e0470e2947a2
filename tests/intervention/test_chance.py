"""Chance comes out the same everywhere and for ever, evenly, and independently from salt to salt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from services.intervention.decision.domain.chance import draw, held_out

SHARES = st.floats(0, 1)
COUNT = 20_000
# Inputs are fixed, so that a test passes always or never; of some dozen, one in a hundred would be no wonder.
RARE = 0.001


def unit(salt: str, user_id: str) -> float:
    """The least share at which a user is held out, by halving."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if held_out(salt, user_id, middle) else (middle, high)
    return high


# Published: whoever assigns users elsewhere comes to the same. A change of these is a new version of the hash.
@pytest.mark.parametrize(
    ("salt", "user_id", "least_share"),
    [
        ("2026-01", "ada", 0.21274283449337394),
        ("2026-01", "bob", 0.13519985445503135),
        ("2026-02", "ada", 0.9102055852354937),
        ("", "", 0.0773299743358059),
        ("2026-01", "zoë/ü", 0.32269287042929107),
    ],
)
def test_vectors_of_the_holdout(salt: str, user_id: str, least_share: float) -> None:
    assert unit(salt, user_id) == pytest.approx(least_share, abs=1e-15)


@pytest.mark.parametrize(
    ("salt", "shard", "sequence", "event_index", "drawn"),
    [
        ("explore-1", "0", 0, 0, 0.6719262209049907),
        ("explore-1", "0", 0, 1, 0.33264654670073024),
        ("explore-1", "0", 1, 0, 0.4924017023751215),
        ("explore-1", "shardId-000000000001", 10**55, 7, 0.6915628609059695),
        ("explore-2", "0", 0, 0, 0.5862235167954338),
    ],
)
def test_vectors_of_the_draw(salt: str, shard: str, sequence: int, event_index: int, drawn: float) -> None:
    assert draw(salt, shard, sequence, event_index) == drawn


@given(salt=st.text(), user_id=st.text(), shares=st.tuples(SHARES, SHARES))
def test_a_share_that_grows_never_moves_a_user_out(salt: str, user_id: str, shares: tuple[float, float]) -> None:
    small, large = sorted(shares)
    assert held_out(salt, user_id, large) >= held_out(salt, user_id, small)


@given(salt=st.text(), user_id=st.text())
def test_the_ends_hold_out_nobody_and_everybody(salt: str, user_id: str) -> None:
    assert not held_out(salt, user_id, 0.0)
    assert held_out(salt, user_id, 1.0)


@given(st.text(), st.text(), st.integers(0, 10**56), st.integers(0, 500))
def test_a_draw_is_below_one(salt: str, shard: str, sequence: int, event_index: int) -> None:
    assert 0 <= draw(salt, shard, sequence, event_index) < 1


def test_draws_are_even() -> None:
    drawn = [draw("s", "3", sequence, index) for sequence in range(COUNT // 20) for index in range(20)]
    assert stats.kstest(drawn, "uniform").pvalue > RARE
    # Neighbours on the stream reveal nothing of one another.
    assert abs(stats.pearsonr(drawn[:-1], drawn[1:]).statistic) < 0.02


def test_users_are_held_out_evenly() -> None:
    assert stats.kstest([unit("s", f"user-{number}") for number in range(2_000)], "uniform").pvalue > RARE
    for share in (0.01, 0.1, 0.5):
        held = sum(held_out("s", f"user-{number}", share) for number in range(COUNT))
        assert stats.binomtest(held, COUNT, share).pvalue > RARE


def test_salts_are_independent() -> None:
    by_salt = [[held_out(salt, f"user-{number}", 0.3) for number in range(COUNT)] for salt in ("2026-01", "2026-02")]
    table = stats.contingency.crosstab(*by_salt).count
    assert stats.chi2_contingency(table).pvalue > RARE
    drawn = [[draw(salt, "0", number, 0) for number in range(COUNT)] for salt in ("a", "b")]
    assert abs(stats.pearsonr(*drawn).statistic) < 0.02


def test_the_draw_reveals_nothing_of_the_holdout() -> None:
    # The same words in both, as far as they can be.
    held = [held_out("s", str(number), 0.5) for number in range(COUNT)]
    drawn = [draw("s", str(number), 0, 0) for number in range(COUNT)]
    assert stats.ks_2samp(
        [each for each, is_held in zip(drawn, held, strict=True) if is_held],
        [each for each, is_held in zip(drawn, held, strict=True) if not is_held],
    ).pvalue > RARE  # fmt: skip


def test_parts_do_not_run_together() -> None:
    assert draw("ab", "c", 1, 23) != draw("a", "bc", 1, 23)
    assert draw("a", "b", 12, 3) != draw("a", "b", 1, 23)
