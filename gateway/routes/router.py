"""Finds the route of a request."""

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gateway.contract.route import Route
from mesh.errors import InvalidArgument

_SEGMENT: Final = b"/v1/"
# People type a slash after these.
_PAGES: Final = (b"/app/", b"/demo/", b"/docs/")
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class Found(NamedTuple):
    """The routes of a path by method, and the values of the path's parameters."""

    routes: Mapping[str, Route]
    parameters: Mapping[str, str]


class Router:
    """Finds routes by path. Paths are matched before they are decoded, so a parameter may contain any character."""

    def __init__(self, table: Sequence[Route]) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in table:
            by_path.setdefault(route.path, {})[route.method] = route
        self._fixed = {path.encode(): Found(routes, {}) for path, routes in by_path.items() if "{" not in path}
        self._patterns = [(_pattern(path), routes) for path, routes in by_path.items() if "{" in path]

    def find(self, raw_path: bytes) -> Found | None:
        """The routes of a path; None if there are none. Slashes around Segment's paths and after a page's are ignored.

        Raises:
            InvalidArgument: `INVALID_PARAMETER`, a parameter is not UTF-8.
        """
        bare = b"/" + raw_path.strip(b"/")
        raw_path = bare if bare.startswith(_SEGMENT) or raw_path in _PAGES else raw_path
        found = self._fixed.get(raw_path)
        if found is not None:
            return found
        path = raw_path.decode("latin-1")
        for pattern, routes in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return Found(routes, {name: _decoded(value) for name, value in match.groupdict().items()})
        return None


def allowed(routes: Mapping[str, Route]) -> list[str]:
    """The methods that a path accepts."""
    methods = set(routes)
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def _pattern(path: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(path)
    # Literal text and names alternate.
    return re.compile("".join(f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)))


def _decoded(value: str) -> str:
    try:
        return urllib.parse.unquote(value, encoding="utf-8", errors="strict")
    except UnicodeDecodeError:
        raise InvalidArgument("INVALID_PARAMETER", "The path holds what is no UTF-8.") from None
