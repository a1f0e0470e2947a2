"""Which page a view tells of: the fullest address there is, and what tells it from another view of that address.

What of an address counts, ingest decides. docs/pages.md has the rules for people.
"""

import functools
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

from gateway.formats.schema import PageViewProperties

MEMBERS: Final = ("url", "page_location", "path", "search", "hash")
"""The members of `context.page`, or of a page view's properties, that tell it."""
TITLES: Final = ("title", "page_title")

_LENGTH: Final = 2048
_REMEMBERED_LENGTH: Final = 256
_WORDS_LENGTH: Final = 60
_NO_LETTERS: Final = re.compile(r"[\W_]+")
_TOLD_IN_ADDRESS: Final = re.compile(r"[^\w\-.~/]")
# What is new is counted at the beginning of a title: `(3) Inbox`.
_COUNT: Final = re.compile(r"\A\s*[(\[]\d{1,9}\+?[)\]]\s*")
# Of an address that ends so, one document may hold every page.
_DOCUMENT: Final = re.compile(r"(?:/|/index\.\w{1,8})", re.IGNORECASE)
_HOME: Final = frozenset(("home", "homepage", "index", "main", "landing", "start", "startseite", "accueil", "inicio"))


def address(page: Mapping[str, Any]) -> str:
    """The address that these members tell; empty where they tell none.

    It is the `url`, unless `path` is another: what was set by hand, or holds the route behind a hash.
    """
    url, path = _text(page, "url") or _text(page, "page_location"), _text(page, "path")
    told = url if not path or (url and _alike(path, _path(url))) else path
    if not told:
        return ""
    if "?" not in told and "#" not in told:
        told += _begun("?", _text(page, "search"))
    return told if "#" in told else told + _begun("#", _text(page, "hash"))


def viewed(told: PageViewProperties) -> str | None:
    """The page of a view of ours: what it is called, else its address; and with it what else tells it from others."""
    page = told.page
    if told.url or told.path:
        page = fuller(
            page or "", address({"url": told.url, "path": told.path, "search": told.search, "hash": told.hash})
        )
    if page and (told.title or told.name or told.category):
        return marked(page, told.category, told.name, told.title)
    return page


def fuller(one: str, other: str) -> str:
    """The first address, unless it is empty, or the other one tells more of the same path: a query or a hash."""
    if not one or not other:
        return one or other
    tells_more = _is_address(one) and "?" not in one and "#" not in one and ("?" in other or "#" in other)
    return other if tells_more and _alike(_path(one), _path(other)) else one


def named(told: str, *names: str) -> str:
    """The address of a page that was called so: one document that holds many pages has a route for each name.

    A name that the path holds, or that of the home page, adds nothing.
    """
    words = [name for name in map(str.strip, names) if name]
    if not words or not _is_address(told) or "?" in told or "#" in told:
        return told
    path = _path(told)
    name = "/".join(words)[:_WORDS_LENGTH]
    is_document = _DOCUMENT.fullmatch(path[path.rfind("/") :]) is not None
    if not is_document or not _letters(name) - _letters(path) - _HOME:
        return told
    return f"{told}#/{_TOLD_IN_ADDRESS.sub(_quoted, name)}"


def marked(told: str, *words: object) -> str:
    """The address with what else tells a view of it: its name, category, title. Another one is no reload of it.

    What the path holds, and what tells the home page, adds nothing.
    """
    if not _is_address(told) or "#" in told:
        return told
    texts = [word[: 2 * _WORDS_LENGTH] for word in words if isinstance(word, str) and word]
    mark = (_remembered if len(told) <= _REMEMBERED_LENGTH else _mark)(told, *texts)
    return f"{told}#{mark}" if mark and len(told) + len(mark) < _LENGTH else told


def _mark(told: str, *words: str) -> str:
    held = _letters(_path(told)[-_LENGTH:]) | _HOME
    texts = [_COUNT.sub("", word, count=1).strip() for word in words]
    telling = "/".join(text[:_WORDS_LENGTH] for text in texts if not _letters(text) <= held)
    return urllib.parse.quote(telling, safe="", errors="replace")


# Most views are of few pages.
_remembered: Final = functools.lru_cache(maxsize=4096)(_mark)


def _is_address(told: str) -> bool:
    return told.startswith("/") or "://" in told


def _letters(text: str) -> set[str]:
    return set(_NO_LETTERS.sub(" ", urllib.parse.unquote(text)).casefold().split())


def _quoted(found: re.Match[str]) -> str:
    return urllib.parse.quote(found[0], safe="", errors="replace")


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
