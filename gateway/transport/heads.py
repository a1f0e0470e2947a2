"""What a request's head must be beyond what the parser checks: one host, one body length, a path, HTTP/1.

The parser itself refuses folded fields, control characters, bare line feeds and malformed lengths.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import MutableSequence, Sequence
from typing import Final, NamedTuple

from gateway.transport import canned_answers
from gateway.transport.canned_answers import MAX_FIELDS, MAX_HEAD_BYTES, MAX_TARGET_BYTES

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_HOST_BYTES: Final = 261
_HIGHEST_PORT: Final = 65_535
_URL: Final = re.compile(rb"https?://(?P<host>[^/?#]+)(?P<path>[/?][^#]*)?(?:#.*)?", re.IGNORECASE)
_VERSIONS: Final = ("1.1", "1.0")
# The request line besides its target, and what ends a field and the head.
_LINE_BYTES: Final = 14
_FIELD_BYTES: Final = 4
_KEY_BYTES: Final = 16

_FRAMING_FIELDS: Final = frozenset((b"host", b"transfer-encoding", b"content-length", b"upgrade"))

Fields = MutableSequence[tuple[bytes, bytes]]


class Head(NamedTuple):
    """A valid head: its size, its target as a path, its body length (0 if chunked), whether it opens a socket."""

    size: int
    target: bytes
    body_bytes: int = 0
    is_handshake: bool = False


def read(method: str, version: str, target: bytes, fields: Fields) -> Head | bytes:
    """The head with these fields, whose names are in lower case; or the canned answer to an invalid one.

    If the target is a whole URL, its host replaces `Host`.
    """
    framing = _framing(fields)
    size = _LINE_BYTES + len(target) + framing.size
    fault = _fault_of_line(method, version, target) or _fault_of_fields(framing, version, size, len(fields))
    if fault is not None:
        return fault
    path = target if target.startswith(b"/") else _path(method, target, fields)
    if path is None:
        return canned_answers.BAD_TARGET
    body_bytes = int(framing.length or 0)
    if framing.upgrade.lower() != b"websocket" or b"upgrade" not in _words(fields, b"connection"):
        return Head(size, path, body_bytes)
    has_body = framing.coding is not None or body_bytes > 0
    return _fault_of_handshake(method, version, has_body, fields) or Head(size, path, is_handshake=True)


def is_host(written: bytes) -> bool:
    """Whether this is a host, with or without a port."""
    match = _HOST.fullmatch(written) if len(written) <= _HOST_BYTES else None
    return match is not None and int(match["port"] or b"0") <= _HIGHEST_PORT


def is_local_host(written: str) -> bool:
    """Whether this host, with or without a port, names the machine itself."""
    match = _HOST.fullmatch(written.encode("latin-1"))
    if match is None:
        return False
    name = written.removesuffix(f":{match['port'].decode()}") if match["port"] else written
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return f".{name.lower().removesuffix('.')}".endswith(".localhost")


def without_upgrade(fields: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The fields without the request to switch protocols, which a server may ignore."""
    kept = [(name, value) for name, value in fields if name not in {b"upgrade", b"connection"}]
    words = [word for word in _words(fields, b"connection") if word not in {b"upgrade", b"http2-settings"}]
    return [*kept, (b"connection", b", ".join(words))] if words else kept


class _Framing(NamedTuple):
    hosts: Sequence[bytes]
    coding: bytes | None
    length: bytes | None
    upgrade: bytes
    size: int


def _framing(fields: Fields) -> _Framing:
    size = _FIELD_BYTES * len(fields)
    hosts, coding, length, upgrade = [], None, None, b""
    for name, value in fields:
        size += len(name) + len(value)
        if name not in _FRAMING_FIELDS:
            continue
        if name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding":
            coding = value if coding is None else b"%b, %b" % (coding, value)
        elif name == b"content-length":
            length = value
        else:
            upgrade = value
    return _Framing(hosts, coding, length, upgrade, size)


def _fault_of_line(method: str, version: str, target: bytes) -> bytes | None:
    if version not in _VERSIONS:
        return canned_answers.BAD_VERSION
    if method == "CONNECT":
        return canned_answers.NO_CONNECT
    return canned_answers.LARGE_TARGET if len(target) > MAX_TARGET_BYTES else None


def _fault_of_fields(framing: _Framing, version: str, size: int, count: int) -> bytes | None:
    if size > MAX_HEAD_BYTES or count > MAX_FIELDS:
        return canned_answers.LARGE_HEAD
    if framing.coding is not None and (
        framing.coding.lower() != b"chunked" or framing.length is not None or version != _VERSIONS[0]
    ):
        return canned_answers.BAD_CODING
    has_host = len(framing.hosts) == 1 and is_host(framing.hosts[0])
    may_lack = not framing.hosts and version != _VERSIONS[0]
    return None if has_host or may_lack else canned_answers.BAD_HOST


def _path(method: str, target: bytes, fields: Fields) -> bytes | None:
    """The path of a target that is a whole URL, whose host is put in `Host`; None if it is no target."""
    if target == b"*" and method == "OPTIONS":
        return target
    url = _URL.fullmatch(target)
    if url is None or not is_host(url["host"]):
        return None
    fields[:] = [(b"host", url["host"]), *(field for field in fields if field[0] != b"host")]
    path = url["path"] or b"/"
    return path if path.startswith(b"/") else b"/" + path


def _fault_of_handshake(method: str, version: str, has_body: bool, fields: Fields) -> bytes | None:  # noqa: FBT001
    if method != "GET" or version != "1.1" or has_body:
        return canned_answers.BAD_HANDSHAKE
    if _values(fields, b"sec-websocket-version") != [b"13"]:
        return canned_answers.BAD_WEBSOCKET_VERSION
    keys = _values(fields, b"sec-websocket-key")
    return None if len(keys) == 1 and _is_key(keys[0]) else canned_answers.BAD_HANDSHAKE


def _is_key(written: bytes) -> bool:
    try:
        return len(base64.b64decode(written, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _words(fields: Sequence[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [word.strip().lower() for value in _values(fields, name) for word in value.split(b",") if word.strip()]


def _values(fields: Sequence[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in fields if key == name]
