"""Which page a view is of, on every way in, up to what ingest makes of it."""

import json
from typing import Any

import pytest
from journeymesh.common.v1 import event_pb2

from gateway.accepting.rows import Rows
from gateway.formats import native
from gateway.formats.json.lenient import ignore
from gateway.formats.native import EventSink
from gateway.formats.segment.reader import Reader
from gateway.formats.values import pages
from services.ingest.accept.domain.page import Page, PageRules, page_of
from tests.gateway.running import NOW_US

STAMP = native.Stamp(NOW_US, bytes(range(16)), bytes(range(8)))
NAMES = ("home", "loans", "loans compare", "Rates & fees", "FAQ?", "about", "team", "#contact", "Über uns")
APP = {"path": "/", "search": "", "referrer": "", "title": "App", "url": "https://app.example/"}


def called(page: dict[str, Any], name: str = "", *, kind: str = "page", **more: Any) -> Page:
    """What a call of Segment's browser client becomes: the same page in its properties and its context."""
    message = {"type": kind, "userId": "ada", "context": {"page": page}, "properties": page | more}
    if name:
        message |= {"name": name, "properties": page | more | {"name": name}}
    return read(message)


def read(message: dict[str, Any]) -> Page:
    rows = Rows()
    Reader().read(json.dumps(message).encode(), EventSink(rows.add, STAMP, str, ignore))
    return page_of(rows.table().event(0).page, PageRules())


def viewed(**properties: Any) -> Page:
    """What a view of our own API becomes."""
    rows = Rows()
    event = {"eventType": "page_view", "userId": "ada", "eventId": "e", "properties": properties}
    native.read_event(json.dumps(event).encode(), EventSink(rows.add, STAMP, str))
    return page_of(rows.table().event(0).page, PageRules())


def addresses(views: list[Page]) -> set[str]:
    return {view.address or view.name for view in views}


@pytest.mark.parametrize("path", ["/", "/app/", "/app/index.html", "/de/app/Index.php"])
def test_pages_of_one_document_are_distinguished_by_name(path: str) -> None:
    app = APP | {"path": path, "url": f"https://app.example{path}"}
    views = [called(app, name) for name in NAMES]
    assert len({view.name for view in views}) == len(addresses(views)) == len(NAMES)
    assert called(app, "loans").name == f"{path.removesuffix('/') or '/'}#/loans"
    categories = [
        read({"type": "page", "userId": "a", "category": c, "name": "Overview", "properties": app}) for c in NAMES
    ]
    assert len({view.name for view in categories}) == len(NAMES)


def test_an_address_that_names_the_page_is_kept_whatever_the_name() -> None:
    for path, name, page in (
        ("/loans", "Loans", "/loans"),
        ("/p/7", "Product", "/p/7"),
        ("/", "Home", "/"),
        ("/about/", "About", "/about"),
        ("/?q=1", "Hits", "/?q=1"),
    ):
        assert called({"path": path.partition("?")[0], "url": f"https://app.example{path}"}, name).name == page
    assert called(APP).name == called(APP | {"title": "Another"}).name == "/"


def test_another_name_or_title_of_one_address_is_no_reload() -> None:
    wizard = {"path": "/apply", "url": "https://app.example/apply"}
    for page in (APP, wizard):
        titles = [called(page | {"title": name}) for name in NAMES]
        assert len(addresses(titles)) == len(NAMES)
        assert len({view.name for view in titles}) == 1
        assert len(addresses([called(page, name) for name in NAMES])) == len(NAMES)


def test_the_same_name_and_title_is_a_reload() -> None:
    for page in (APP, {"path": "/cart", "url": "https://app.example/cart?a=1"}, {"path": "/app/", "title": 7}):
        assert called(page, "Cart") == called(page, "Cart")
        assert called(page) == called(page)
    counted = [called(APP | {"title": title}) for title in ("Inbox", "(1) Inbox", "[12+] Inbox", "(3)Inbox")]
    assert len(addresses(counted)) == 1


def test_the_fuller_address_counts() -> None:
    hashed = "https://app.example/#/rates"
    properties: list[dict[str, Any]] = [{"path": "/"}, {"path": "/", "search": ""}, {"url": "https://app.example"}, APP]
    for given in properties:
        for context in ({"path": "/", "url": hashed}, {"url": hashed}, {**APP, "hash": "#/rates"}):
            assert (
                read({"type": "page", "userId": "a", "properties": given, "context": {"page": context}}).name
                == "/#/rates"
            )
    assert called({"path": "/", "url": hashed, "search": ""}).name == "/#/rates"
    assert called({"path": "/#/rates", "url": "https://app.example/"}).name == "/#/rates"
    virtual = {"type": "page", "userId": "a", "properties": {"path": "/step-2"}, "context": {"page": {"url": hashed}}}
    assert read(virtual).name == "/step-2"
    assert called({"page_location": "https://app.example/x?utm_id=1", "page_title": "X"}).name == "/x"


def test_native_views_are_distinguished_alike() -> None:
    assert len(addresses([viewed(page="/", title=name) for name in NAMES])) == len(NAMES)
    assert len(addresses([viewed(page="/apply", name=name) for name in NAMES])) == len(NAMES)
    assert len(addresses([viewed(page="/", title="App") for _ in NAMES])) == 1
    assert viewed(page="/", title="App").name == "/"
    assert viewed(page="/", url="https://app.example/#/rates").name == "/#/rates"
    assert viewed(page="/", path="/#/rates").name == viewed(path="/", hash="#/rates").name == "/#/rates"
    assert viewed(url="https://app.example/cart?a=1").name == viewed(path="/cart", search="?a=1").name == "/cart?a=1"
    assert viewed(page="Home", title="Acme").name == "Home"
    assert viewed(page="Home", url="https://a.example/Home?x=1").name == "Home"
    assert viewed(page="/a", url=7, path=["x"], title={"a": 1}, name=3) == Page("/a", "")


def test_a_view_is_the_same_when_it_is_sent_again_in_our_own_form() -> None:
    for title in ("App", "Rates & fees"):
        given = pages.marked("https://app.example/x", "", title)
        assert page_of(given, PageRules()) == viewed(page="https://app.example/x", title=title)


@pytest.mark.parametrize("kind", ["page", "screen"])
@pytest.mark.parametrize("given", [{}, {"properties": {"title": "Hi"}}, {"properties": {"page": 3}}, {"name": ""}])
def test_a_view_without_a_page_is_kept_as_an_interaction(kind: str, given: dict[str, Any]) -> None:
    rows, warned = Rows(), list[str]()
    message = json.dumps({"type": kind, "userId": "ada", **given}).encode()
    Reader().read(message, EventSink(rows.add, STAMP, str, lambda member, _: warned.append(member)))
    (event,) = rows.table().events()
    assert (event.event_type, event.target) == (event_pb2.EVENT_TYPE_FEATURE_INTERACTION, kind)
    assert warned == ["page"]
    assert given.get("properties", {}).items() <= json.loads(event.properties or b"{}").items()
