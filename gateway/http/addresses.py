"""Who a request comes from, as far as limits per address are concerned.

An IPv6 address stands for its /64, since every line has at least one of those to itself. Behind trusted proxies, the
client is the last address they report that is not a trusted proxy itself: anything before it is the client's own claim.
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
    """A setting contains this text, which is neither an address nor a network."""


class Proxies(NamedTuple):
    """The trusted proxies, and the header in which they name the client."""

    networks: tuple[Network, ...]
    header: bytes
    are_trusted: Callable[[str], bool]

    def place(self, host: str) -> str | None:
        """The client a connection counts for; None for a trusted proxy, whose connections are those of many."""
        return None if self.networks and self.are_trusted(host) else client_of(host)

    def address(self, scope: Scope) -> str:
        """The client a request counts for."""
        client = scope.get("client")
        host: str = client[0] if client else ""
        if not self.networks or not self.are_trusted(host):
            return client_of(host)
        header = b",".join(value for name, value in scope["headers"] if name == self.header)
        hops = header[-_MOST_BYTES:].decode("latin-1").split(",")[-_MOST_HOPS:]
        for hop in reversed(hops):
            before = _node(_forwarded_for(hop) if self.header == b"forwarded" else hop)
            if not before:
                break
            host = before
            if not self.are_trusted(host):
                break
        return client_of(host)


@functools.cache
def proxies(setting: str, header: str) -> Proxies:
    """The proxies named by a setting: addresses and networks, separated by commas.

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
def client_of(host: str) -> str:
    """The client a host counts as; a host that is no address counts as itself."""
    address = _parsed(host)
    if address is None:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, _PREFIX), strict=False))


def _parsed(host: str) -> Address | None:
    """An address; an IPv4 address in IPv6 notation is an IPv4 address."""
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


def _forwarded_for(hop: str) -> str:
    """The node of a hop of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`."""
    for pair in hop.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')
    return ""


def _node(written: str) -> str:
    """The address of a node without its port; empty if there is none, as in `unknown` or `_hidden`."""
    node = written.strip()
    if node.startswith("["):
        node = node[1:].partition("]")[0]
    elif node.count(":") == 1:
        node = node.partition(":")[0]
    return node if _parsed(node) is not None else ""
