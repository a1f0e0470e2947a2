"""Files that browsers load, read once at the start: what `make web` built, each also compressed.

Names that end in a hash of the content, as `main-0123456789ab.js` or `help-4KXBQ2TZ.js`, always stand for it, so caches
never ask again. Any other name may stand for something newer after an upgrade: caches ask after five minutes, and for
pages each time.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from gateway.http.asgi import PUBLIC_CACHE, Answer, Headers, Request

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webm": "video/webm",
}
_ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}
"""Compressed forms and the endings of their files, the smallest first."""
_HASHED: Final = re.compile(r"-(?:[0-9a-f]{12}|[0-9A-Z]{8})\.\w+")
_PART: Final = re.compile(r"bytes=(\d{1,12})-(\d{0,12})")
_FOR_EVER: Final[Headers] = ((b"cache-control", b"public, max-age=31536000, immutable"),)

_ASKED_FOR: Final[Headers] = ((b"cache-control", b"no-cache"),)


class File(NamedTuple):
    """A file as it is served: its bytes plain and compressed, and the headers that every answer with it carries."""

    body: bytes
    content_type: str
    packed: Mapping[str, bytes]
    headers: Headers


def read(folder: Path) -> Mapping[str, File]:
    """The files of a folder by their paths in it, as `demo/index.html`; empty if there is no such folder."""
    return dict(_files(folder))


def _files(folder: Path) -> Iterator[tuple[str, File]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in _TYPES and path.is_file():
            body = path.read_bytes()
            packed = {
                encoding: compressed.read_bytes()
                for encoding, ending in _ENCODINGS.items()
                if (compressed := path.with_name(path.name + ending)).is_file()
            }
            etag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()
            headers = (*_cache(path.name), (b"etag", etag), (b"vary", b"accept-encoding"))
            yield path.relative_to(folder).as_posix(), File(body, _TYPES[path.suffix], packed, headers)


def _cache(name: str) -> Headers:
    if _HASHED.search(name):
        return _FOR_EVER
    return _ASKED_FOR if name.endswith(".html") else PUBLIC_CACHE


def answer(file: File, request: Request, headers: Headers) -> Answer:
    """The answer with a file: in the smallest form that the client takes, or 304 if the client has it already.

    Of a file without compressed forms, as a video, it is the part that a player asks for.
    """
    headers = (*headers, *file.headers)
    etag = dict(file.headers)[b"etag"].decode()
    part = _PART.fullmatch(request.header(b"range"))
    if part and not file.packed and request.header(b"if-range") in {"", etag}:
        return _part(file, int(part[1]), part[2], headers)
    known = request.header(b"if-none-match")
    if known and etag in known:
        return Answer(304, b"", "", headers)
    taken = request.header(b"accept-encoding").lower().replace(" ", "")
    for encoding, packed in file.packed.items():
        if any(each in {encoding, f"{encoding};q=1"} for each in taken.split(",")):
            return Answer(200, packed, file.content_type, (*headers, (b"content-encoding", encoding.encode())))
    return Answer(200, file.body, file.content_type, headers)


def _part(file: File, first: int, last: str, headers: Headers) -> Answer:
    size = len(file.body)
    if first >= size:
        return Answer(416, b"", file.content_type, (*headers, (b"content-range", b"bytes */%d" % size)))
    end = min(int(last), size - 1) if last else size - 1
    where = (b"content-range", b"bytes %d-%d/%d" % (first, end, size))
    return Answer(206, file.body[first : end + 1], file.content_type, (*headers, where))
