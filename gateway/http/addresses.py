"""Whose request it is, as far as a connection tells: the address that bounds are kept for.

An address of IPv6 stands for its /64, because every line has at least so many of its own. Behind proxies that are
trusted it is the last one of those they tell that is no such proxy: further ones are what the client says itself.
"""

import functools
import ipaddress
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.http.asgi import Scope

_CACHED: Final = 4096
_PREFIX: Final = 64
_MOST_HOPS: Final = 16
_MOST_BYTES: Final = 2048

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NoNetwork(ValueError):
    """A setting names what is neither an address nor a network; the text is that."""


class Proxies(NamedTuple):
    """The proxies whose word is believed, and the header by which they tell for whom they ask."""

    networks: tuple[Network, ...]
    header: bytes
    are_trusted: Callable[[str], bool]

    def place(self, host: str) -> str | None:
        """Whom connections of a host are counted for; None where it is a trusted proxy: they are those of many."""
        return None if self.networks and self.are_trusted(host) else holder(host)

    def address(self, scope: Scope) -> str:
        """Whom a request is counted for."""
        client = scope.get("client")
        host: str = client[0] if client else ""
        if not self.networks or not self.are_trusted(host):
            return holder(host)
        told = b",".join(value for name, value in scope["headers"] if name == self.header)
        hops = told[-_MOST_BYTES:].decode("latin-1").split(",")[-_MOST_HOPS:]
        for hop in reversed(hops):
            before = _node(_told_for(hop) if self.header == b"forwarded" else hop)
            if not before:
                break
            host = before
            if not self.are_trusted(host):
                break
        return holder(host)


@functools.cache
def proxies(setting: str, header: str) -> Proxies:
    """The proxies that a setting names: addresses and networks, separated by commas.

    Raises:
        NoNetwork: one of them is neither.
    """
    networks = tuple(_network(written.strip()) for written in setting.split(",") if written.strip())

    @functools.lru_cache(_CACHED)
    def are_trusted(host: str) -> bool:
        address = _parsed(host)
        return address is not None and any(address in network for network in networks)

    return Proxies(networks, header.encode(), are_trusted)


@functools.lru_cache(_CACHED)
def holder(host: str) -> str:
    """Whom bounds are kept for; a host that is no address stands for itself."""
    address = _parsed(host)
    if address is None:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, _PREFIX), strict=False))


def _parsed(host: str) -> Address | None:
    """An address; one of IPv4 that is written as one of IPv6 is one of IPv4."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address


def _network(written: str) -> Network:
    try:
        return ipaddress.ip_network(written, strict=False)
    except ValueError:
        raise NoNetwork(written) from None


def _told_for(hop: str) -> str:
    """The node of a hop of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`."""
    for pair in hop.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')
    return ""


def _node(written: str) -> str:
    """The address of a node, without its port; empty where it is none, as `unknown` or `_hidden`."""
    node = written.strip()
    if node.startswith("["):
        node = node[1:].partition("]")[0]
    elif node.count(":") == 1:
        node = node.partition(":")[0]
    return node if _parsed(node) is not None else ""
