"""The page of a page view: its fullest address, and what distinguishes it from other views of that address.

Which parts of an address count, ingest decides. docs/pages.md states the rules.
"""

import functools
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

from gateway.formats.schema import PageViewProperties

MEMBERS: Final = ("url", "page_location", "path", "search", "hash")
"""The members of `context.page`, or of a page view's properties, that make up the address."""
TITLES: Final = ("title", "page_title")

_LENGTH: Final = 2048
_REMEMBERED_LENGTH: Final = 256
_WORDS_LENGTH: Final = 60
_NO_LETTERS: Final = re.compile(r"[\W_]+")
_UNSAFE: Final = re.compile(r"[^\w\-.~/]")
# A count of what is new begins a title: `(3) Inbox`.
_COUNT: Final = re.compile(r"\A\s*[(\[]\d{1,9}\+?[)\]]\s*")
# One document at such an address may hold every page.
_DOCUMENT: Final = re.compile(r"(?:/|/index\.\w{1,8})", re.IGNORECASE)
_HOME: Final = frozenset(("home", "homepage", "index", "main", "landing", "start", "startseite", "accueil", "inicio"))


def address(page: Mapping[str, Any]) -> str:
    """The address in these members; empty if there is none.

    It is the `url`, unless `path` differs: then it was set by hand, or holds a route after a hash.
    """
    url, path = _text(page, "url") or _text(page, "page_location"), _text(page, "path")
    found = url if not path or (url and _alike(path, _path(url))) else path
    if not found:
        return ""
    if "?" not in found and "#" not in found:
        found += _begun("?", _text(page, "search"))
    return found if "#" in found else found + _begun("#", _text(page, "hash"))


def page_of_view(view: PageViewProperties) -> str | None:
    """The page of a `page_view` of our own format: its name or else its address, and what else distinguishes it."""
    page = view.page
    if view.url or view.path:
        page = fuller(
            page or "", address({"url": view.url, "path": view.path, "search": view.search, "hash": view.hash})
        )
    if page and (view.title or view.name or view.category):
        return marked(page, view.category, view.name, view.title)
    return page


def fuller(one: str, other: str) -> str:
    """The first address, unless it is empty or the other has the same path and also a query or a hash."""
    if not one or not other:
        return one or other
    tells_more = _is_address(one) and "?" not in one and "#" not in one and ("?" in other or "#" in other)
    return other if tells_more and _alike(_path(one), _path(other)) else one


def named(address: str, *names: str) -> str:
    """The address of a page with these names: if one document holds many pages, each name becomes a route.

    Names that the path contains, and those of a home page, add nothing.
    """
    words = [name for name in map(str.strip, names) if name]
    if not words or not _is_address(address) or "?" in address or "#" in address:
        return address
    path = _path(address)
    name = "/".join(words)[:_WORDS_LENGTH]
    is_document = _DOCUMENT.fullmatch(path[path.rfind("/") :]) is not None
    if not is_document or not _letters(name) - _letters(path) - _HOME:
        return address
    return f"{address}#/{_UNSAFE.sub(_quoted, name)}"


def marked(address: str, *words: object) -> str:
    """The address with its name, category and title, so that a view with others is not taken for a reload.

    Words that the path contains, and those of a home page, add nothing.
    """
    if not _is_address(address) or "#" in address:
        return address
    texts = [word[: 2 * _WORDS_LENGTH] for word in words if isinstance(word, str) and word]
    mark = (_remembered if len(address) <= _REMEMBERED_LENGTH else _mark)(address, *texts)
    return f"{address}#{mark}" if mark and len(address) + len(mark) < _LENGTH else address


def _mark(address: str, *words: str) -> str:
    held = _letters(_path(address)[-_LENGTH:]) | _HOME
    texts = [_COUNT.sub("", word, count=1).strip() for word in words]
    telling = "/".join(text[:_WORDS_LENGTH] for text in texts if not _letters(text) <= held)
    return urllib.parse.quote(telling, safe="", errors="replace")


# Most views are of a few pages.
_remembered: Final = functools.lru_cache(maxsize=4096)(_mark)


def _is_address(address: str) -> bool:
    return address.startswith("/") or "://" in address


def _letters(text: str) -> set[str]:
    return set(_NO_LETTERS.sub(" ", urllib.parse.unquote(text)).casefold().split())


def _quoted(found: re.Match[str]) -> str:
    return urllib.parse.quote(found[0], safe="", errors="replace")


def _text(page: Mapping[str, Any], name: str) -> str:
    value = page.get(name)
    return value.strip() if isinstance(value, str) else ""


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


def _begun(mark: str, text: str) -> str:
    return text if not text or text.startswith(mark) else mark + text
