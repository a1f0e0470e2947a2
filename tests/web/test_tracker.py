"""What the tracker records, and that without consent it records nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import running_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running_mesh(tmp_path_factory.mktemp("mesh"), JOURNEYMESH_CORS_ORIGINS="http://localhost:*") as mesh:
        yield told("tracker", mesh.url)


def test_nothing_fails(seen: Any) -> None:
    assert seen["faults"] == []


def test_pages_are_seen_by_every_way_to_them(seen: Any) -> None:
    views = [(view["properties"]["page"], view["properties"].get("isRefresh", False)) for view in seen["pages"]]
    assert views == [
        ("/?user=pages", False),
        ("/cart?user=pages", False),
        ("/cart?user=pages#/pay", False),
        ("/next?user=pages", False),
        ("/next?user=pages", True),
    ]


def test_forms_are_told_by_names_and_times_and_never_by_what_was_entered(seen: Any) -> None:
    told_of = [(each["eventType"], each["properties"]["form"]) for each in seen["forms"]]
    assert told_of == [
        ("form_start", "order"),
        ("error", "order"),
        ("form_submit", "order"),
        ("form_start", "survey"),
        ("form_abandon", "survey"),
    ]
    _, refused, sent, _, left = (each["properties"] for each in seen["forms"])
    assert (refused["field"], refused["errorCode"]) == ("mail", "invalid_format")
    assert [field["name"] for field in sent["fields"]] == ["mail", "secret"]
    assert left["lastField"] == "opinion"
    text = str(seen["forms"])
    assert not [entered for entered in ("open sesame", "ada@", "'good'") if entered in text]


def test_only_an_error_that_somebody_caused_is_their_trouble(seen: Any) -> None:
    assert [each["context"].get("active", True) for each in seen["errors"]] == [False, True]
    assert {each["properties"]["errorCode"] for each in seen["errors"]} == {"TypeError"}


def test_a_video_is_watched_where_it_played(seen: Any) -> None:
    assert [each["action"] for each in seen["playback"]] == ["play", "heartbeat", "seek", "pause"]
    (video,) = seen["videos"]
    watched = sum(each["watchedSeconds"] for each in seen["playback"])
    assert 11.5 < watched < 15
    assert video["completionRatio"] == pytest.approx(watched / 30, abs=0.02)


@pytest.mark.parametrize("user", ["pending", "gpc"])
def test_before_consent_nothing_is_sent_or_stored_and_after_a_refusal_nothing_is_left(seen: Any, user: str) -> None:
    consent = seen[user]
    assert (consent["asked"], consent["stored"]) == ([], [[], []])
    assert "page_view" in consent["granted"]
    assert consent["after"] == []
