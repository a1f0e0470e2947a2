"""Origins of web pages, such as `https://shop.example`."""

import ipaddress
import re
from typing import Final

from services.access.keys.domain.refusal import Cause, Refusal

LONGEST: Final = 300
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_LAST_PORT: Final = 65_535
# Browsers keep these, Python's codec replaces them: the origin would be another's.
_AMBIGUOUS: Final = frozenset("ßẞς\u200c\u200d")
_WRITTEN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}|\*))?"
)


def normal(written: str) -> str:
    """An origin as browsers write it: lower case, without trailing slash or default port.

    `https://*.shop.example` stands for every subdomain, `http://localhost:*` for every port.

    Raises:
        Refusal: it is no origin, or one over plain HTTP that is not on the same machine.
    """
    origin = written.strip().lower().removesuffix("/")
    scheme, _, host = origin.partition("://")
    if not _AMBIGUOUS.isdisjoint(host):
        raise Refusal(Cause.OUT_OF_RANGE, f"Write the origin {written[:LONGEST]!r} as browsers send it, with xn--.")
    try:
        origin = origin if host.isascii() else f"{scheme}://{host.encode('idna').decode()}"
    except UnicodeError:
        raise _refusal(written) from None
    match = _WRITTEN.fullmatch(origin) if len(origin) <= LONGEST else None
    if match is None or ((match["port"] or "").isdigit() and int(match["port"]) > _LAST_PORT):
        raise _refusal(written)
    if match["scheme"] == "http" and not _is_loopback(match["host"]):
        raise Refusal(Cause.OUT_OF_RANGE, f"The origin {written[:LONGEST]!r} needs https: only localhost may use http.")
    port = match["port"]
    is_default = port is None or port == _DEFAULT_PORTS[match["scheme"]]
    return f"{match['scheme']}://{match['host']}" + ("" if is_default else f":{port}")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refusal(written: str) -> Refusal:
    return Refusal(Cause.OUT_OF_RANGE, f"{written[:LONGEST]!r} is no origin such as https://shop.example.")
