"""Hostile pages and users: the tracker goes on, tells nothing that was entered, and the page does not suffer."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import running_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    settings = {"JOURNEYMESH_CORS_ORIGINS": "*"}
    with running_mesh(tmp_path_factory.mktemp("mesh"), **settings) as mesh:
        yield told("hostile", mesh.url)


def test_nothing_fails(seen: Any) -> None:
    assert {page: faults for page, faults in seen["faults"].items() if faults} == {}


def test_elements_that_hide_members_of_others_hide_no_event(seen: Any) -> None:
    assert seen["members"] == {"clicks": ["profile"], "titles": ["Shop", None]}
    assert seen["named"]


def test_what_was_entered_is_never_told(seen: Any) -> None:
    assert not seen["entered"]["isTold"]
    assert "Note" in seen["entered"]["elements"]


def test_what_nobody_can_look_into_is_no_trouble(seen: Any) -> None:
    assert seen["closed"] == 0


def test_a_huge_page_is_not_read_for_a_click(seen: Any) -> None:
    assert seen["huge"]["longest"] < 1000
    assert seen["huge"]["element"].startswith("Here word word")
    assert len(seen["huge"]["element"]) <= 80


@pytest.mark.parametrize("storage", ["refused", "silent", "full", "broken", "immovable"])
def test_events_are_sent_without_storage(seen: Any, storage: str) -> None:
    assert seen["storages"][storage] == {"values": [0, 1, 2], "isCalm": True}


def test_the_page_can_delete_the_storage(seen: Any) -> None:
    assert seen["deleted"] == "deleted"


def test_a_frame_without_an_origin_is_tracked(seen: Any) -> None:
    assert seen["frame"]


def test_whoever_goes_back_finds_the_page_and_its_help_as_they_were(seen: Any) -> None:
    assert seen["back"] == {"isBack": True, "views": ["/helped", "/helped"]}


def test_ten_thousand_events_in_a_loop_are_bounded(seen: Any) -> None:
    assert seen["flood"]["stored"] <= 1100
    assert seen["flood"]["seconds"] < 20


def test_a_click_has_the_time_of_the_clock_after_it_jumped(seen: Any) -> None:
    assert 0 <= seen["clock"] < 10


@pytest.mark.parametrize("answer", ["portal", "silence", "pause"])
def test_an_answer_that_is_none_loses_nothing_and_brings_no_haste(seen: Any, answer: str) -> None:
    assert seen["answers"][answer] == {"isCalm": True, "areTimersFew": True}
