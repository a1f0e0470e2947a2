"""The product's first minute: a newcomer struggles in the demo shop, and sees help come."""

from collections.abc import Iterator

import pytest

from tests.processes import RunningMesh, running_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("mesh")) as running:
        yield running


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_help_comes_within_a_second_of_the_third_failure(mesh: RunningMesh, width: int, scheme: str) -> None:
    seen = told("demo", mesh.url, width=width, scheme=scheme)
    assert seen["before"] == 0
    assert seen["milliseconds"] < 1000
    assert seen["focused"] == "button", "the card takes no focus"
    assert seen["decision"]["intervention"]["action"] == "show_live_chat_popup"
    assert seen["decision"]["assessment"]["score"] >= 75
    assert seen["faults"] == []
    assert seen["overflow"] <= 0
