"""Stages: which model serves whom, how that changes, and the file that it is kept in."""

import threading
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.adapters import stages_file
from services.scoring.adapters.stages_file import StagesFile, StagesFileError
from services.scoring.domain import stages
from services.scoring.domain.stages import EVERYBODY, Serving, Stage, StageError, Stages, Wanted, is_in_canary
from tests.builders import NOW_US

GOLDEN: Final = Path(__file__).parent / "golden" / "stages-1.json"

USERS: Final = st.text(min_size=1, max_size=20)
PERCENTS: Final = st.floats(0, 100)
VERSIONS: Final = st.sampled_from(["a", "b", "c", "d"])
WANTED: Final = st.builds(
    Wanted,
    VERSIONS,
    st.sampled_from(Stage),
    st.just("ops"),
    st.sampled_from([EVERYBODY, "acme"]),
    st.floats(0.1, 100),
)


def after(before: Stages, version: str, stage: Stage, tenant: str = EVERYBODY, percent: float = 0.0) -> Stages:
    return stages.changed(before, Wanted(version, stage, "ops", tenant, percent), NOW_US)


@given(USERS, VERSIONS, PERCENTS, PERCENTS)
def test_a_larger_share_keeps_everybody_in_the_canary(user: str, version: str, one: float, other: float) -> None:
    smaller, larger = sorted((one, other))
    assert is_in_canary(user, version, smaller) <= is_in_canary(user, version, larger)


@given(USERS, VERSIONS)
def test_nobody_is_in_a_canary_of_nothing_and_everybody_in_a_whole_one(user: str, version: str) -> None:
    assert not is_in_canary(user, version, 0.0)
    assert is_in_canary(user, version, 100.0)


def test_the_share_of_users_is_the_one_asked_for_and_is_drawn_anew_for_each_canary() -> None:
    first = {number for number in range(20_000) if is_in_canary(f"user-{number}", "a", 10.0)}
    second = {number for number in range(20_000) if is_in_canary(f"user-{number}", "b", 10.0)}
    assert len(first) == pytest.approx(2_000, abs=170)
    assert len(first & second) == pytest.approx(200, abs=60)


def test_the_assignment_is_the_same_in_every_version() -> None:
    assert [number for number in range(40) if is_in_canary(f"user-{number}", "oulad-7a0fa9e0", 20.0)] == [
        2,
        3,
        7,
        15,
        19,
        27,
        30,
        31,
        32,
        33,
        34,
        35,
        36,
        37,
    ]


@given(st.lists(WANTED, max_size=20))
def test_a_model_has_one_stage_and_somebody_always_serves(changes: list[Wanted]) -> None:
    now = stages.starting("a")
    for wanted in changes:
        try:
            now = stages.changed(now, wanted, NOW_US)
        except StageError:
            continue
        assert now.of(wanted.tenant).stage_of(wanted.version) is wanted.stage
    for each in now.tenants.values():
        used = [version for version in (each.live, each.canary, each.shadow) if version]
        assert each.live
        assert len(used) == len(set(used))
        assert bool(each.canary) == (each.percent > 0)


@given(st.lists(WANTED, max_size=12))
def test_rolling_back_ends_where_it_began(changes: list[Wanted]) -> None:
    now = stages.starting("a")
    for wanted in changes:
        try:
            now = stages.changed(now, wanted, NOW_US)
        except StageError:
            continue
    now = back(back(now, "acme"), EVERYBODY)
    assert "acme" not in now.tenants
    if len(changes) <= stages.EARLIER_KEPT:
        assert now.of(EVERYBODY).live == "a"


def back(now: Stages, tenant: str) -> Stages:
    """Rolls back until there is nothing to go back to."""
    while True:
        try:
            now = stages.rolled_back(now, tenant, "ops", "", NOW_US)
        except StageError:
            return now


def test_rolling_back_takes_the_canary_first_and_then_the_live_model() -> None:
    now = after(after(stages.starting("a"), "b", Stage.LIVE), "c", Stage.CANARY, percent=5.0)
    now = stages.rolled_back(now, EVERYBODY, "ops", "slow", NOW_US)
    assert now.of(EVERYBODY) == Serving("b", earlier=("a",))
    now = stages.rolled_back(now, EVERYBODY, "ops", "", NOW_US)
    assert now.of(EVERYBODY) == Serving("a")
    assert [(each.revision, each.version, each.stage, each.why) for each in now.changes[-2:]] == [
        (3, "c", Stage.CANDIDATE, "slow"),
        (4, "a", Stage.LIVE, ""),
    ]


def test_a_tenant_is_served_as_everybody_until_it_has_stages_of_its_own() -> None:
    now = after(stages.starting("a"), "b", Stage.LIVE, "acme")
    assert (now.of("acme").live, now.of("other").live) == ("b", "a")


@pytest.mark.parametrize(("version", "stage", "percent"), [("a", Stage.SHADOW, 0), ("b", Stage.CANARY, 0)])
def test_a_change_that_makes_no_sense_is_refused(version: str, stage: Stage, percent: float) -> None:
    with pytest.raises(StageError):
        after(stages.starting("a"), version, stage, percent=percent)


def story() -> Stages:
    """Stages with everything that the file can hold."""
    now = after(stages.starting("oulad-1"), "oulad-2", Stage.LIVE)
    now = after(now, "oulad-3", Stage.CANARY, percent=12.5)
    now = after(now, "oulad-4", Stage.SHADOW)
    return after(now, "acme-1", Stage.LIVE, "acme")


def test_the_file_is_as_it_was_stored() -> None:
    assert stages_file.encode(story()) == GOLDEN.read_bytes()
    assert stages_file.decode(GOLDEN.read_bytes()) == story()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format":2,"revision":0,"tenants":{"":{"live":"a"}}}', b"\xff"])
def test_a_file_that_holds_no_stages_is_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(StagesFileError):
        stages_file.decode(content)


def test_processes_of_the_version_before_follow_what_is_live_for_everybody(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("a\n")
    file = StagesFile(tmp_path)
    assert file.read() == stages.starting("a")
    file.change(lambda now: after(now or stages.starting(""), "b", Stage.LIVE))
    assert (tmp_path / "live").read_text() == "b\n"
    assert file.read() != stages.starting("b")


def test_of_many_changes_at_once_none_is_lost(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("a\n")

    def change(number: int) -> None:
        StagesFile(tmp_path).change(lambda now: after(now or stages.starting(""), f"v{number}", Stage.SHADOW))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = StagesFile(tmp_path).read()
    assert found is not None
    assert found.revision == 8
    assert {each.version for each in found.changes} == {f"v{number}" for number in range(8)}
