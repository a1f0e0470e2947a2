"""What an experiment found: known answers, another library, simulations with a known truth, real tables."""

import csv
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from comparison.sequential import Sample
from offline.experiments.analysis import analyse
from offline.experiments.comparison import adjusted, compare, sample, sample_ratio
from offline.experiments.table import Columns, Experiment, TableError, read

RUNS: Final = 2_000
LOOKS: Final = 20
PER_LOOK: Final = 150


def written(folder: Path, rows: Sequence[Mapping[str, Any]], name: str = "table.csv") -> Path:
    """The rows as a file."""
    path = folder / name
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        lines = [json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) if path.suffix == ".jsonl" else f"[{','.join(lines)}]")
    return path


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `journeymesh experiment analyse` prints."""
    line = [sys.executable, "-m", "cli", "experiment", "analyse", *arguments]
    return subprocess.run(line, text=True, capture_output=True, check=False, timeout=60)


def test_known_answers_of_published_experiments() -> None:
    # Kohavi, Tang and Xu, Trustworthy Online Controlled Experiments (2020), chapters 3 and 21.
    assert sample_ratio({"control": 821_588, "treatment": 815_482}, {"control": 1, "treatment": 1}).p_value == (
        pytest.approx(1.8e-6, rel=0.05)
    )
    # Sleep gained with two drugs (Student, 1908), as R's `t.test(extra ~ group, data = sleep)` tells it.
    first = sample(np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
    second = sample(np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))
    found = compare(first, second)
    assert found is not None
    assert found.p_value == pytest.approx(0.07939, abs=5e-6)
    assert found.interval == pytest.approx((-3.3654832, 0.2054832), abs=1e-7)


values = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=2, max_size=40)


whole = st.lists(st.integers(-1_000, 1_000), min_size=2, max_size=40).filter(lambda of: len(set(of)) > 1)


@given(whole, whole)
def test_one_look_is_welchs_test_of_scipy(one: list[int], other: list[int]) -> None:
    arm, control = np.array(one, dtype=float), np.array(other, dtype=float)
    found = compare(sample(arm), sample(control))
    assert found is not None
    oracle = stats.ttest_ind(arm, control, equal_var=False)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-9, abs=1e-12)
    assert found.interval == pytest.approx(tuple(oracle.confidence_interval()), rel=1e-9, abs=1e-9)
    assert found.always_valid.lower < found.interval.lower <= found.interval.upper < found.always_valid.upper


def test_an_always_valid_interval_misses_the_truth_seldom_however_often_one_looks() -> None:
    chance = np.random.default_rng(20_261_129)
    missed = {"always valid": 0, "one look": 0}
    for _ in range(RUNS):
        arm, control = (chance.exponential(1.0, LOOKS * PER_LOOK) for _ in range(2))
        has_missed = set()
        for size in range(PER_LOOK, LOOKS * PER_LOOK + 1, PER_LOOK):
            found = compare(sample(arm[:size]), sample(control[:size]))
            assert found is not None
            if not found.always_valid.lower <= 0 <= found.always_valid.upper:
                has_missed.add("always valid")
            if found.p_value < 0.05:
                has_missed.add("one look")
        for name in has_missed:
            missed[name] += 1
    error = math.sqrt(0.05 * 0.95 / RUNS)
    assert missed["always valid"] / RUNS <= 0.05 + 2 * error
    assert missed["one look"] / RUNS > 0.15  # why one needs the other


def test_a_ratio_that_is_right_is_seldom_called_broken_however_often_one_looks() -> None:
    chance = np.random.default_rng(7)
    arms = chance.integers(0, 2, (RUNS, 4_000)).cumsum(axis=1)
    called = sum(
        any(
            sample_ratio(
                {"a": int(run[size - 1]), "b": size - int(run[size - 1])}, {"a": 1, "b": 1}
            ).always_valid_p_value
            < 0.05
            for size in range(100, 4_001, 650)
        )
        for run in arms
    )
    assert called / RUNS <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / RUNS)


def test_a_ratio_that_is_broken_is_found() -> None:
    assert sample_ratio({"a": 10_500, "b": 9_500}, {"a": 1, "b": 1}).always_valid_p_value < 0.001
    assert sample_ratio({"a": 9_000, "b": 1_000}, {"a": 9, "b": 1}).p_value == 1
    assert sample_ratio({"a": 30, "b": 0}, {"a": 1, "b": 1}).p_value < 0.001


def test_what_was_known_before_takes_variance_away_and_moves_nothing() -> None:
    chance = np.random.default_rng(3)
    differences, left = [], []
    for _ in range(400):
        before = {arm: chance.gamma(2, 10, 300) for arm in "ab"}
        outcomes = {arm: before[arm] + chance.normal(1.0 if arm == "b" else 0.0, 5, 300) for arm in "ab"}
        plain = compare(sample(outcomes["b"]), sample(outcomes["a"]))
        less = adjusted(outcomes, before)
        found = compare(less["b"], less["a"])
        assert plain is not None
        assert found is not None
        differences.append(found.difference)
        left.append(found.standard_error / plain.standard_error)
    assert np.mean(differences) == pytest.approx(1.0, abs=4 * float(np.std(differences)) / 20)
    # The share of the variance that is left is 1 - correlation² = 25 / 225.
    assert np.mean(left) ** 2 == pytest.approx(25 / 225, rel=0.05)


def test_a_constant_known_before_changes_nothing() -> None:
    outcomes = {"a": np.array([1.0, 2, 3]), "b": np.array([2.0, 3, 4])}
    ones = {arm: np.ones(3) for arm in outcomes}
    assert adjusted(outcomes, ones) == {arm: sample(of) for arm, of in outcomes.items()}


def _users(count: int) -> list[dict[str, Any]]:
    chance = np.random.default_rng(1)
    return [
        {
            "User Id": f"u-{number}",
            "seen": "1/2/2026 10:00",
            "Test Group": "AB"[number % 2],
            "converted": str(bool(chance.random() < 0.2)),
            "spend": round(float(chance.gamma(2, 10)), 2),
            "before": round(float(chance.gamma(2, 10)), 2),
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.json", "t.jsonl"])
def test_a_row_per_user(tmp_path: Path, name: str) -> None:
    rows = _users(200)
    found = read(written(tmp_path, rows, name), Columns())
    assert (found.control, dict(found.counts), found.in_several_arms) == ("A", {"A": 100, "B": 100}, 0)
    assert list(found.outcomes) == ["converted", "spend", "before"]
    assert found.notes == ["seen holds text: left out."]
    spent = np.array([row["spend"] for row in rows if row["Test Group"] == "B"])
    assert found.outcomes["spend"].samples["B"] == pytest.approx(sample(spent))


def test_the_order_of_rows_changes_nothing(tmp_path: Path) -> None:
    rows = _users(300)

    def findings(of: Sequence[Mapping[str, Any]]) -> Mapping[tuple[str, str], Any]:
        experiment = read(written(tmp_path, of), Columns(before="before"))
        return {(each.outcome, each.arm): each.comparison for each in analyse(experiment).findings}

    forward, backward = findings(rows), findings(rows[::-1])
    assert forward.keys() == backward.keys()
    for key, comparison in forward.items():
        assert comparison.difference == pytest.approx(backward[key].difference, rel=1e-9)
        assert comparison.standard_error == pytest.approx(backward[key].standard_error, rel=1e-9)


def test_several_rows_of_a_user_are_one_user(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"user": "u-1", "arm": "a", "bought": "no", "spend": 3},
        {"user": "u-1", "arm": "a", "bought": "yes", "spend": 4},
        {"user": "u-2", "arm": "b", "bought": "no", "spend": ""},
        {"user": "u-3", "arm": "a", "bought": "no", "spend": 5},
        {"user": "u-3", "arm": "b", "bought": "no", "spend": 5},
    ]
    found = read(written(tmp_path, rows), Columns())
    assert (dict(found.counts), found.in_several_arms) == ({"a": 1, "b": 1}, 1)
    assert found.outcomes["bought"].samples["a"].mean == 1
    assert found.outcomes["spend"].samples["a"].mean == 7
    assert found.outcomes["spend"].samples["b"].size == 0
    assert found.notes == ["spend: 1 of 2 users have no value and do not count."]


def test_a_row_per_arm_gives_what_a_row_per_user_gives(tmp_path: Path) -> None:
    rows = _users(400)
    of_users = read(written(tmp_path, rows), Columns())
    totals = [
        {
            "variant": arm,
            "visitors": found.size,
            "conversions": sum(row["converted"] == "True" for row in rows if row["Test Group"] == arm),
            "spend_mean": of_users.outcomes["spend"].samples[arm].mean,
            "spend_sd": math.sqrt(of_users.outcomes["spend"].samples[arm].variance),
            "remark": "x",
        }
        for arm, found in of_users.outcomes["spend"].samples.items()
    ]
    of_totals = read(written(tmp_path, totals, "totals.csv"), Columns())
    assert of_totals.counts == of_users.counts
    for name, same in (("conversions", "converted"), ("spend", "spend")):
        for arm in "AB":
            assert of_totals.outcomes[name].samples[arm] == pytest.approx(of_users.outcomes[same].samples[arm])
    assert of_totals.notes == ["remark is neither a number of conversions nor a mean with its deviation: left out."]


@pytest.mark.parametrize(
    ("rows", "columns", "says"),
    [
        ([{"x": "1"}], Columns(), "names? the arms"),
        ([{"arm": "a", "x": "1"}, {"arm": "a", "x": "2"}], Columns(), "one arm only"),
        ([{"arm": "a", "x": "one"}, {"arm": "b", "x": "two"}], Columns(), "No column holds an outcome"),
        ([{"arm": "a", "x": "one"}, {"arm": "b", "x": "two"}], Columns(outcomes=["x"]), "x holds text"),
        ([{"arm": "a", "x": "1"}, {"arm": "b", "x": "2"}], Columns(outcomes=["y"]), "no column y"),
        ([{"arm": "a", "x": "1"}, {"arm": "b", "x": "2"}], Columns(arm="y"), "no column y"),
        ([{"arm": "a", "x": "1"}, {"arm": "b", "x": "2"}], Columns(control="c"), "no arm c"),
        ([{"arm": "a", "n": "-1", "x": "0"}, {"arm": "b", "n": "2", "x": "0"}], Columns(), "n is not a whole number"),
    ],
)
def test_what_is_no_table_is_refused_with_a_sentence(
    tmp_path: Path, rows: Sequence[Mapping[str, Any]], columns: Columns, says: str
) -> None:
    with pytest.raises(TableError, match=says):
        read(written(tmp_path, rows), columns)


def test_what_was_asked_for_only(tmp_path: Path) -> None:
    found = read(written(tmp_path, _users(40)), Columns(outcomes=["spend"], before="before"))
    assert list(found.outcomes) == ["spend"]
    assert isinstance(found, Experiment)


@given(values, values)
def test_any_numbers_give_an_answer(one: list[float], other: list[float]) -> None:
    found = compare(sample(np.array(one)), sample(np.array(other)))
    assert found is not None
    assert 0 <= found.p_value <= 1
    assert found.interval.lower <= found.difference <= found.interval.upper


def test_a_comparison_without_noise() -> None:
    found = compare(Sample(10, 2.0, 0.0), Sample(10, 1.0, 0.0))
    assert found is not None
    assert found.always_valid.lower == -math.inf
    assert compare(Sample(1, 2.0, math.nan), Sample(10, 1.0, 1.0)) is None


def test_the_command_prints_a_short_answer(tmp_path: Path) -> None:
    totals = [
        {"group": "control", "users": 145_274, "conversions": 17_489},
        {"group": "treatment", "users": 145_310, "conversions": 17_264},
    ]
    path = written(tmp_path, totals)
    found = command(str(path))
    assert found.returncode == 0
    assert "p = 0.1899" in found.stdout  # as the course that published these numbers gives it
    assert "not known yet" in found.stdout
    machine = json.loads(command(str(path), "--json").stdout)
    assert machine["findings"][0]["pValue"] == pytest.approx(0.1899, abs=1e-4)


def test_the_command_says_that_a_ratio_is_broken(tmp_path: Path) -> None:
    totals = [{"group": "a", "n": 10_500, "x": 100}, {"group": "b", "n": 9_500, "x": 100}]
    found = command(str(written(tmp_path, totals)))
    assert found.returncode == 2
    assert "broken" in found.stdout


def test_the_command_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    found = command(str(tmp_path / "none.csv"))
    assert (found.returncode, found.stdout) == (1, "")
    assert "is not an experiment's table" in found.stderr
