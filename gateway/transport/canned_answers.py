"""Complete answers, as bytes, to malformed requests and those beyond a limit. The connection is closed after them.

They belong to no trace.
"""

import http
from typing import Final

from gateway.http import asgi, problems
from gateway.http.asgi import Answer, BodyTooSlow, Headers
from mesh.errors import InvalidArgument, MeshError, Unavailable

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 100
MAX_TARGET_BYTES: Final = 8 * 1024


def written(answer: Answer, first: Headers = ()) -> bytes:
    """A whole answer as it is sent, with these headers before its own."""
    head = b"HTTP/1.1 %d %b\r\n" % (answer.status, http.HTTPStatus(answer.status).phrase.encode())
    fields: Headers = (
        *first,
        (b"content-type", answer.content_type.encode()),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    )
    return head + b"".join([b"%b: %b\r\n" % field for field in fields]) + b"\r\n" + answer.body


def headed(answer: bytes, first: Headers) -> bytes:
    """A canned answer with these headers before its own, such as the date on which it is sent."""
    line, end, rest = answer.partition(b"\r\n")
    return line + end + b"".join([b"%b: %b\r\n" % field for field in first]) + rest


def _canned(error: MeshError, code: int | None = None, headers: Headers = ()) -> bytes:
    answer = problems.answer(error, b"", code=code, headers=headers)
    own = (field for field in answer.headers if field != problems.CONNECTION_CLOSE)
    secure = (asgi.NOSNIFF, asgi.NO_REFERRER, asgi.NO_STORE)
    return written(answer._replace(headers=(*own, *secure, problems.CONNECTION_CLOSE)))


def _malformed(why: str, code: int = 400, headers: Headers = ()) -> bytes:
    return _canned(InvalidArgument("MALFORMED_REQUEST", why), code, headers)


def _too_large(why: str, code: int) -> bytes:
    return _canned(InvalidArgument("REQUEST_TOO_LARGE", why), code)


TOO_MANY_CONNECTIONS: Final = _canned(Unavailable("BUFFER_FULL", "Too many connections are open."))
HEAD_TOO_SLOW: Final = _canned(BodyTooSlow("DEADLINE_TOO_SHORT", "The head of the request did not come in time."))
TOO_MUCH_PIPELINED: Final = _canned(Unavailable("BUFFER_FULL", "Too many requests wait for the answers before theirs."))

MALFORMED: Final = _malformed("What came is no request of HTTP/1.1.")
BAD_HOST: Final = _malformed("A request must have one `Host`, with a port if it has one.")
BAD_TARGET: Final = _malformed("A request must be for a path, or for a URL of `http` or `https`.")
BAD_CODING: Final = _malformed("`Transfer-Encoding` may be `chunked`, once, and without `Content-Length`.")
BAD_VERSION: Final = _malformed("Only HTTP/1.1 and HTTP/1.0 are spoken here.", 505)
BAD_HANDSHAKE: Final = _malformed("The head is that of no handshake of a WebSocket.")
BAD_WEBSOCKET_VERSION: Final = _malformed(
    "Only version 13 of WebSocket is spoken here.", 426, ((b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"))
)
NO_CONNECT: Final = _canned(
    InvalidArgument("METHOD_NOT_ALLOWED", "The gateway is no proxy."), headers=((b"allow", b"DELETE, GET, HEAD, POST"),)
)

LARGE_TARGET: Final = _too_large("A path with its query may have 8 KiB.", 414)
LARGE_HEAD: Final = _too_large("The head of a request may have 64 KiB and 100 fields.", 431)
LARGE_FRAMING: Final = _too_large("What frames a body must not be larger than it.", 413)
