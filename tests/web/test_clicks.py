"""Clicks on what works are no trouble, and clicks on what is broken all are."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import RunningMesh, running_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]

OF_A_CLICK = {"rage_clicks", "dead_click", "error_click"}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    mesh: RunningMesh
    with running_mesh(tmp_path_factory.mktemp("mesh"), JOURNEYMESH_CORS_ORIGINS="http://localhost:*") as mesh:
        yield told("clicks", mesh.url)


def test_what_works_is_no_trouble(seen: dict[str, Any]) -> None:
    signals = {user: each["signals"] for user, each in seen.items() if user.startswith("works-")}
    assert len(signals) == 25
    assert {user: found for user, found in signals.items() if found} == {}


def test_what_is_broken_always_is(seen: dict[str, Any]) -> None:
    signals = {user: OF_A_CLICK & set(each["signals"]) for user, each in seen.items() if user.startswith("fails-")}
    assert signals.pop("fails-broken-once") == {"dead_click"}
    assert signals.pop("fails-brings-help") == {"dead_click"}
    assert len(signals) == 7
    assert {user: found for user, found in signals.items() if found != {"rage_clicks"}} == {}


def test_clicks_tell_what_they_did(seen: dict[str, Any]) -> None:
    assert [click["effectObserved"] for click in seen["works-slow"]["clicks"]] == [True]
    assert [click["effectObserved"] for click in seen["works-leaves"]["clicks"]] == [True]
    assert {click["element"] for click in seen["works-inner"]["clicks"]} == {"inner"}
    assert any(click.get("valueChanged") for click in seen["works-label"]["clicks"])
    assert all(click["errorObserved"] for click in seen["fails-throws"]["clicks"])
