"""Which address a request counts for: the peer, or the one trusted proxies report; a client cannot choose."""

from typing import Any

import pytest

from gateway.http.addresses import client_of, proxies
from gateway.settings import Settings
from mesh.settings import SettingError

PROXY = "10.1.0.7"
TRUSTED = proxies("10.1.0.0/16, fd00::/8,192.0.2.1", "x-forwarded-for")
STANDARD = proxies("10.1.0.0/16,fd00::/8", "forwarded")


def scope(peer: str, *forwarded: str, name: str = "x-forwarded-for") -> dict[str, Any]:
    return {"client": (peer, 4711), "headers": [(name.encode(), one.encode()) for one in forwarded]}


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_address_of_ipv6_stands_for_its_line(host: str, counted: str) -> None:
    assert client_of(host) == counted


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.9", ["198.51.100.7"], "203.0.113.9"),  # no proxy of ours: whatever it says is not believed
        (PROXY, ["198.51.100.7"], "198.51.100.7"),
        (PROXY, ["1.2.3.4, 198.51.100.7"], "198.51.100.7"),  # what stands before it the client has sent
        (PROXY, ["1.2.3.4", "198.51.100.7"], "198.51.100.7"),
        (PROXY, ["198.51.100.7, 10.1.2.3, 192.0.2.1"], "198.51.100.7"),
        (PROXY, ["10.1.2.3"], "10.1.2.3"),
        (PROXY, [], PROXY),
        (PROXY, ["unknown"], PROXY),
        (PROXY, ["198.51.100.7, nonsense"], PROXY),
        (PROXY, ["198.51.100.7:55555"], "198.51.100.7"),
        (PROXY, ["[2001:db8:1:2::9]:55555"], "2001:db8:1:2::/64"),
        (PROXY, ["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        ("fd00::1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.1.0.7", ["198.51.100.7"], "198.51.100.7"),
        (PROXY, ["x" * 100_000 + ", 198.51.100.7"], "198.51.100.7"),
        (PROXY, ["1.2.3.4," * 10_000 + "198.51.100.7"], "198.51.100.7"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_counts(peer: str, forwarded: list[str], counted: str) -> None:
    assert TRUSTED.address(scope(peer, *forwarded)) == counted


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        (["for=198.51.100.7;proto=https;by=10.1.0.1"], "198.51.100.7"),
        (['proto=https; For="[2001:db8:1:2::9]:4711"'], "2001:db8:1:2::/64"),
        (["for=1.2.3.4, for=198.51.100.7, for=10.1.2.3"], "198.51.100.7"),
        (["for=_hidden"], PROXY),
        (["proto=https"], PROXY),
    ],
)
def test_the_standard_header(forwarded: list[str], counted: str) -> None:
    assert STANDARD.address(scope(PROXY, *forwarded, name="forwarded")) == counted
    # The other header is the client's own word.
    assert STANDARD.address(scope(PROXY, "1.2.3.4")) == PROXY


def test_connections_of_a_proxy_are_those_of_many() -> None:
    assert TRUSTED.place(PROXY) is None
    assert TRUSTED.place("203.0.113.9") == "203.0.113.9"
    assert proxies("", "x-forwarded-for").place(PROXY) == PROXY


@pytest.mark.parametrize("setting", ["proxy.example", "10.1.0.0/33", "10.1.0.0/16;10.2.0.0/16", "*"])
def test_an_invalid_network_is_refused_in_one_sentence(setting: str) -> None:
    with pytest.raises(SettingError, match="JOURNEYMESH_TRUSTED_PROXIES must name networks such as"):
        Settings(trusted_proxies=setting)
