"""Which page a Segment message tells of: the fullest address there is. What of it counts, ingest decides."""

import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

MEMBERS: Final = ("url", "path", "search", "hash")
"""The members of `context.page`, or of a `page` call's properties, that tell it."""


def address(page: Mapping[str, Any]) -> str:
    """The address that these members tell; empty where they tell none.

    It is the `url`, unless `path` is another: what was set by hand, or holds the route behind a hash.
    """
    url, path = _text(page, "url"), _text(page, "path")
    if not path or (url and _alike(path, _path(url))):
        return url
    if "?" not in path and "#" not in path:
        path += _begun("?", _text(page, "search")) + _begun("#", _text(page, "hash"))
    return path


def _text(page: Mapping[str, Any], name: str) -> str:
    told = page.get(name)
    return told.strip() if isinstance(told, str) else ""


def _path(url: str) -> str:
    """The path of an address, without host, query and fragment."""
    _, scheme, rest = url.partition("://")
    if not scheme:
        return url.partition("?")[0].partition("#")[0]
    return "/" + rest.partition("?")[0].partition("#")[0].partition("/")[2]


def _alike(one: str, other: str) -> bool:
    return one == other or _plain(one) == _plain(other)


def _plain(path: str) -> str:
    return urllib.parse.unquote(path).strip("/")


def _begun(mark: str, told: str) -> str:
    return told if not told or told.startswith(mark) else mark + told
