"""The widget on a page of another origin: for everybody's access, in one tab, by every way, without a violation."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.e2e.test_keys import KNOWN_WITHIN_SECONDS, await_answer, keys
from tests.processes import running_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]

USERS = (
    *("keyboard", "reader", "tabs", "solved", "streams", "asks"),
    *("anchored", "mirrored", "modal", "contrast"),
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    settings = {"JOURNEYMESH_KEYS": "required", "JOURNEYMESH_CORS_ORIGINS": "http://localhost:*"}
    with running_mesh(tmp_path_factory.mktemp("mesh"), **settings) as mesh:
        public = keys(mesh, "create", "--kind", "public", "--name", "pages")
        secret = keys(mesh, "create", "--kind", "secret", "--name", "server")["text"]
        await_answer(mesh, secret, (202, ""), KNOWN_WITHIN_SECONDS)
        own = OctKey.import_key(public["identitySecret"])
        ends = int(time.time()) + 3600
        tokens = {user: jwt.encode({"alg": "HS256"}, {"sub": user, "exp": ends}, own) for user in USERS}
        yield told("widget", mesh.url, key=public["text"], secret=secret, tokens=tokens)


def test_nothing_violates_the_strictest_policy_or_fails(seen: Any) -> None:
    assert seen["faults"] == []


def test_the_keyboard_leads_to_the_card_and_back(seen: Any) -> None:
    assert seen["keyboard"]["steps"] == ["search", "journeymesh-help", "search", "journeymesh-help", "search"]
    assert seen["keyboard"]["shown"] == 0
    assert seen["keyboard"]["outcomes"] == ["declined"]


def test_everybody_can_read_it_in_the_language_of_the_page(seen: Any) -> None:
    read = seen["reader"]
    assert read["violations"] == []
    assert read["status"].startswith("Können wir helfen?")
    assert read["buttons"][:2] == ["Chat starten", "Später vielleicht"]
    assert read["isLast"]
    assert read["isAtTheStart"]


def test_two_tabs_show_it_once_and_the_second_when_the_first_is_gone(seen: Any) -> None:
    assert seen["tabs"] == {"shown": 1, "outcomes": ["accepted"]}


def test_help_that_is_not_needed_any_more_goes(seen: Any) -> None:
    assert seen["solved"] == ["withdrawn"]


@pytest.mark.parametrize("way", ["streams", "asks"])
def test_it_comes_by_other_ways_where_no_socket_can_be_opened(seen: Any, way: str) -> None:
    assert seen[way] == ["declined"]


@pytest.mark.parametrize(("user", "side"), [("anchored", "left"), ("mirrored", "right")])
def test_it_stands_beside_what_it_is_about(seen: Any, user: str, side: str) -> None:
    places = seen[user]
    beside = {"isSeen": True, "isAligned": side, "gap": 10}
    assert places["first"] == {"side": "below", **beside}
    assert places["scrolled"] == {"side": "below", **beside}
    assert places["low"] == {"side": "above", **beside}
    assert (places["narrow"]["side"], places["narrow"]["isSeen"]) == ("below", True)
    assert (places["pushed"]["side"], places["pushed"]["gap"]) == ("below", 10)
    assert places["away"]["isSeen"]
    assert (places["gone"]["side"], places["gone"]["isSeen"]) == ("corner", True)


def test_it_is_reached_also_where_something_modal_is_open(seen: Any) -> None:
    assert seen["modal"] == ["journeymesh-help", "dialog", "accepted"]


def test_it_can_be_told_apart_in_forced_colours(seen: Any) -> None:
    assert seen["contrast"] == {"isForced": True, "edges": [True] * 4, "hasFocusRing": True}
