"""Which page an address is, the same on every way in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.page import TRACKING_NAMES, TRACKING_PREFIXES, Page, PageRules, page_of
from tests.builders import event
from tests.ingest.test_tidying import tidied

RULES = PageRules()

PAGES = {
    "/calculator": ("/calculator", ""),
    "Calculator": ("Calculator", ""),
    "What is it?": ("What is it?", ""),
    "Issue #5": ("Issue #5", ""),
    "a/b": ("a/b", ""),
    "https://shop.example/cart": ("/cart", "/cart"),
    "https://shop.example": ("/", "/"),
    "https://shop.example?utm_source=mail": ("/", "/?utm_source=mail"),
    "capacitor://localhost/cart": ("/cart", "/cart"),
    # Routes behind the hash.
    "/#/home": ("/#/home", ""),
    "https://app.example/#/loans/compare": ("/#/loans/compare", "/#/loans/compare"),
    "https://app.example/app#!/rates": ("/app#!/rates", "/app#!/rates"),
    "/#/list?page=2&utm_source=mail": ("/#/list?page=2", "/#/list?page=2&utm_source=mail"),
    "#/home": ("/#/home", "/#/home"),
    # An anchor is a place on the page.
    "/docs#install": ("/docs", "/docs#install"),
    # Queries: what tells pages apart, in one order.
    "/?q=loan&page=2": ("/?page=2&q=loan", "/?q=loan&page=2"),
    "?q=loan": ("/?q=loan", "/?q=loan"),
    "search?q=loan": ("search?q=loan", ""),
    "/search?q=loan": ("/search?q=loan", ""),
    "/search?gclid=1&q=loan&utm_id=x": ("/search?q=loan", "/search?gclid=1&q=loan&utm_id=x"),
    "/search?UTM_Source=x": ("/search", "/search?UTM_Source=x"),
    "/search?": ("/search", "/search?"),
    "/search?q": ("/search?q", ""),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), PAGES.items(), ids=PAGES)
def test_an_address_is_a_route_with_what_tells_pages_apart(told: str, expected: tuple[str, str]) -> None:
    name, address = expected
    assert page_of(told, RULES) == Page(name, address if address != name else "")


def test_an_installation_may_leave_out_hash_routes_and_queries() -> None:
    assert page_of("/#/home?a=1", PageRules(keeps_hash_routes=False)).name == "/"
    assert page_of("/search?q=loan#/x", PageRules(keeps_query=False)).name == "/search#/x"


@given(st.text(alphabet="/?#&=!:abcutm_ .é", min_size=1, max_size=60))
def test_a_page_is_its_own_page(told: str) -> None:
    page = page_of(told, RULES)
    assert page_of(page.name, RULES).name == page.name
    assert page_of(page.address or page.name, RULES).name == page.name


@given(st.lists(st.sampled_from(["q=1", "page=2", "utm_source=x", "gclid=1", "sort=up"]), max_size=6), st.randoms())
def test_order_and_tracking_parameters_make_no_other_page(parameters: list[str], draw: object) -> None:
    mixed = parameters[:]
    draw.shuffle(mixed)  # type: ignore[attr-defined]
    told = "/search?" + "&".join(mixed)
    own = [each for each in parameters if not each.startswith(("utm", "gclid"))]
    assert page_of(told, RULES).name == page_of("/search?" + "&".join(own), RULES).name


def test_an_event_has_the_page_and_the_address_where_it_says_more() -> None:
    made, notes = tidied(event(page="https://app.example/#/home?utm_source=x"))
    assert (made.page, made.address) == ("/#/home", "/#/home?utm_source=x")
    assert not notes
    made, _ = tidied(event(page="/home"))
    assert (made.page, made.address) == ("/home", "")


def test_the_document_names_every_tracking_parameter() -> None:
    told = Path("docs/pages.md").read_text(encoding="utf-8")
    assert not [each for each in (*TRACKING_NAMES, *TRACKING_PREFIXES) if f"`{each}`" not in told]
