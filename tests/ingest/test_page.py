"""Which page an address is, the same on every way in."""

import re
import unicodedata
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.features.v1 import features_pb2

from services.ingest.accept.domain.page import TRACKING_NAMES, TRACKING_PREFIXES, Page, PageRules, page_of
from tests.builders import event
from tests.ingest.harness import running
from tests.ingest.test_stitching import WithFeatures
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
    # One spelling of a path.
    "/about/": ("/about", ""),
    "/about///": ("/about", ""),
    "/": ("/", ""),
    "//": ("/", ""),
    "https://a.example/about/": ("/about", ""),
    "https://a.example//shop//cart/?q=a": ("/shop/cart?q=a", ""),
    "/a/?utm_source=x": ("/a", "/a?utm_source=x"),
    "/#/home/": ("/#/home", ""),
    "/#/": ("/", "/#/"),
    "/app/#!/": ("/app", "/app#!/"),
    "/#/?q=1": ("/#/?q=1", ""),
    "/app/#!//rates/": ("/app#!/rates", ""),
    "HTTPS://A.Example:443/About": ("/About", ""),
    "http://user@a.example:80": ("/", ""),
    "//a.example/x/": ("/x", ""),
    "//a.example:8080?q=1": ("/?q=1", ""),
    "//localhost": ("/", ""),
    "//about/us": ("/about/us", ""),
    "Home/": ("Home/", ""),
    "Product / Details": ("Product / Details", ""),
    "50% off": ("50% off", ""),
    # Percent signs: what can be shown is decoded, what means something else then is not.
    "/caf%C3%A9": ("/caf\u00e9", ""),
    "/caf%c3%a9": ("/caf\u00e9", ""),
    "/cafe%CC%81": ("/caf\u00e9", ""),
    "/caf\u00e9": ("/caf\u00e9", ""),
    "/%7Euser/%61%2D%5f": ("/~user/a-_", ""),
    "/a%2fb%3f%23%25%3b": ("/a%2Fb%3F%23%25%3B", ""),
    "/my%20page": ("/my page", ""),
    "/my page": ("/my page", ""),
    "/a%00b%0a%e2%80%8b%c2%a0": ("/a%00b%0A%E2%80%8B%C2%A0", ""),
    "/caf%e9/%ff%c3": ("/caf%E9/%FF%C3", ""),
    "/100%": ("/100%", ""),
    "/100%/%41": ("/100%/%41", ""),
    "/%2541": ("/%2541", ""),
    "/%F0%9F%91%A8%E2%80%8D%F0%9F%91%A9": ("/\U0001f468\u200d\U0001f469", ""),
    "/%CD%BEsid=1": ("/%CD%BEsid=1", ""),
    "/?q=caf%C3%A9&a=1%262": ("/?a=1%262&q=caf\u00e9", "/?q=caf\u00e9&a=1%262"),
    "/?q=a+b": ("/?q=a b", ""),
    "/?q=a%20b": ("/?q=a b", ""),
    "/?q=a%2Bb": ("/?q=a%2Bb", ""),
    "/?utm%5Fsource=x&q=%61": ("/?q=a", "/?utm_source=x&q=a"),
    "/#/caf%C3%A9?q=%61": ("/#/caf\u00e9?q=a", ""),
    # Sessions in addresses.
    "/cart;jsessionid=A1B2": ("/cart", "/cart;jsessionid=A1B2"),
    "/cart;JSESSIONID=A1.n1/items;sid=2?q=1": ("/cart/items?q=1", "/cart;JSESSIONID=A1.n1/items;sid=2?q=1"),
    "/cart/;jsessionid=A1": ("/cart", "/cart/;jsessionid=A1"),
    "/cart?PHPSESSID=a&jsessionid=b&sid=c&q=1": ("/cart?q=1", "/cart?PHPSESSID=a&jsessionid=b&sid=c&q=1"),
    "/cars;color=red": ("/cars;color=red", ""),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), PAGES.items(), ids=PAGES)
def test_an_address_is_a_route_with_what_tells_pages_apart(raw: str, expected: tuple[str, str]) -> None:
    name, address = expected
    assert page_of(raw, RULES) == Page(name, address if address != name else "")
    made, notes = tidied(event(page=raw))
    assert made.page == name
    assert not notes


def test_an_installation_may_leave_out_hash_routes_and_queries() -> None:
    assert page_of("/#/home?a=1", PageRules(keeps_hash_routes=False)).name == "/"
    assert page_of("/search?q=loan#/x", PageRules(keeps_query=False)).name == "/search#/x"


@given(st.text(alphabet="/?#&=!:abcutm_ .é", min_size=1, max_size=60))
def test_a_page_is_its_own_page(raw: str) -> None:
    page = page_of(raw, RULES)
    assert page_of(page.name, RULES).name == page.name
    assert page_of(page.address or page.name, RULES).name == page.name


PIECES = [
    "/", "//", "?", "#", "#/", "#!/", "&", "=", "a", "b.c", "q=1", "utm_source=x", "%", "%4", "%41", "%2f", "%C3%A9",
    "%c3", "%CC%81", "e", "+", "%20", " ", ";", "sid=1", "%3B", "%25", "\u00e9", "\u212a", "%E2%84%AA", "\u200d",
    "%E2%80%8D", ":", "https://", "localhost", "%E0%A5%98",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12))
def test_every_spelling_has_one_page(pieces: list[str]) -> None:
    made, _ = tidied(event(page="".join(pieces)))
    if made.page:
        again, _ = tidied(event(page=made.page))
        assert (again.page, again.address) == (made.page, "")
        if made.address:
            assert tidied(event(page=made.address))[0].page == made.page


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zs", "Zl", "Zp", "Cn", "Co"]), min_size=1, max_size=20)
)
def test_an_encoded_address_is_the_page_of_the_one_that_is_not(text: str) -> None:
    path = "/" + "".join(each for each in text if each not in "%:/?#[]@!$&'()*+,;=" and not ascii_by_form(each))
    encoded = urllib.parse.quote(path)
    lower = re.sub("%..", lambda found: found[0].lower(), encoded)
    assert len({tidied(event(page=each))[0].page for each in (path, encoded, lower, f"{encoded}/")}) == 1


def ascii_by_form(letter: str) -> bool:
    """Whether a letter is another one, of ASCII, once it is composed, as the Kelvin sign is."""
    return not letter.isascii() and unicodedata.normalize("NFC", letter).isascii()


def test_a_page_never_grows_beyond_its_room() -> None:
    made, notes = tidied(event(page=f"?{'q' * 2047}"))
    assert len(made.page) == 2048
    assert not notes


@given(st.lists(st.sampled_from(["q=1", "page=2", "utm_source=x", "gclid=1", "sort=up"]), max_size=6), st.randoms())
def test_order_and_tracking_parameters_make_no_other_page(parameters: list[str], draw: object) -> None:
    mixed = parameters[:]
    draw.shuffle(mixed)  # type: ignore[attr-defined]
    raw = "/search?" + "&".join(mixed)
    own = [each for each in parameters if not each.startswith(("utm", "gclid"))]
    assert page_of(raw, RULES).name == page_of("/search?" + "&".join(own), RULES).name


def test_an_event_has_the_page_and_the_address_where_it_says_more() -> None:
    made, notes = tidied(event(page="https://app.example/#/home?utm_source=x"))
    assert (made.page, made.address) == ("/#/home", "/#/home?utm_source=x")
    assert not notes
    made, _ = tidied(event(page="/home"))
    assert (made.page, made.address) == ("/home", "")


@pytest.mark.parametrize(
    ("trouble", "success"),
    [
        ("/pay/", "/pay"),
        ("/pay", "https://shop.example/pay/?utm_source=mail"),
        ("/z%C3%A4hlen", "/z\u00e4hlen"),
        ("/shop//pay", "/shop/pay;jsessionid=1"),
    ],
)
async def test_a_success_on_a_page_ends_the_trouble_on_its_other_spelling(trouble: str, success: str) -> None:
    steps = Settling()  # type: ignore[abstract]
    async with running(steps) as harness:
        await harness.accept(*[event(f"{number}", kind="task_failure", page=trouble) for number in range(3)])
        await harness.dispatch()
        assert not steps.settled
        await harness.accept(event("done", kind="task_success", page=success))
        await harness.dispatch()
    assert steps.settled


class Settling(WithFeatures):
    """Keeps what features say of trouble that is over."""

    def __init__(self) -> None:
        super().__init__()
        self.settled: list[features_pb2.SettledRow] = []

    async def ApplyEvents(self, request: Any, context: Any) -> features_pb2.ApplyEventsResponse:
        answer = await super().ApplyEvents(request, context)
        self.settled.extend(answer.settled)
        return answer


def test_the_document_names_every_tracking_parameter() -> None:
    raw = Path("docs/pages.md").read_text(encoding="utf-8")
    assert not [each for each in (*TRACKING_NAMES, *TRACKING_PREFIXES) if f"`{each}`" not in raw]
