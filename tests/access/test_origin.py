"""Origins are written as browsers and the gateway write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import cors
from services.access.keys.domain import origin
from services.access.keys.domain.refusal import Refusal

LABELS = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
PORTS = st.one_of(st.just(""), st.just(":443"), st.just(":*"), st.integers(1, 65_535).map(":{}".format))


@given(HOSTS, PORTS, st.sampled_from(["", "*."]), st.sampled_from(["", "/"]))
def test_an_origin_is_as_the_gateway_has_it(host: str, port: str, any_subdomain: str, end: str) -> None:
    written = f"https://{any_subdomain}{host}{port}{end}"
    normal = origin.normal(written)
    assert origin.normal(normal) == normal
    assert cors.origins(normal) == cors.origins(written)
    assert "*" in normal or cors.origins(written).named == {normal}


@given(st.text(max_size=60))
def test_what_is_taken_the_gateway_takes_too(written: str) -> None:
    try:
        normal = origin.normal(f"https://{written}")
    except Refusal:
        return
    assert cors.origins(normal)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://Bücher.example", "https://xn--bcher-kva.example"),
        ("https://xn--gre-6ka8i.example", "https://xn--gre-6ka8i.example"),
        ("HTTPS://SHOP.example:443/", "https://shop.example"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("https://*.shop.example", "https://*.shop.example"),
        ("http://localhost:*", "http://localhost:*"),
        ("http://shop.localhost:80", "http://shop.localhost"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_origins_that_are_taken(written: str, normal: str) -> None:
    assert origin.normal(written) == normal


@pytest.mark.parametrize(
    "written",
    [
        *("", "*", "https://", "https://*", "shop.example", "ftp://shop.example", "https://a.example/path", "null"),
        *("https://a.example https://b.example", "https://a.example,https://b.example", "https://user@a.example"),
        *("https://a..example", "https://a.example:65536", "https://a.*.example", "https://" + "a" * 300),
        *("http://shop.example", "http://127.0.0.1.shop.example", "http://localhost.shop.example", "http://10.0.0.1"),
        *(
            "https://größe.example",
            "https://a\u200d.example",
            "https://a\u2024.example/\n",
            "http://*.localhost.example",
            "https://a.example\x00",
        ),
    ],
)
def test_what_is_no_origin_or_unsafe_is_refused(written: str) -> None:
    with pytest.raises(Refusal):
        origin.normal(written)
