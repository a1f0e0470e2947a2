"""Which page a view is of. A page is named by path, query and hash route, as ingest leaves it (`Event.page`)."""

from services.features.domain import window
from services.features.domain.event import NAME_LIMIT, Event


def route(page: str) -> str:
    """The page without its query: `/search` of `/search?q=a`, `/#/list` of `/#/list?p=2`."""
    if "?" not in page:
        return page
    path, sign, rest = page.partition("#")
    return path.partition("?")[0] + sign + rest.partition("?")[0]


def is_paging(page: str, other: str) -> bool:
    """Whether two different pages differ only in their query, like pages of one list."""
    return ("?" in page or "?" in other) and route(page) == route(other)


def view_mark(event: Event) -> bytes:
    """A checksum of the full address that a page view is of, 4 bytes."""
    return window.checksum(event.address) if event.address else window.mark(event.page)


def shortened(name: str) -> str:
    """A name of at most 200 characters; a longer one ends in a checksum, so that long names stay apart."""
    if len(name) <= NAME_LIMIT:
        return name
    ending = f"~{window.checksum(name).hex()}"
    return name[: NAME_LIMIT - len(ending)] + ending
