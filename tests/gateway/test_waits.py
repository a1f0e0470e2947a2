"""Every place that waits for a client, and its bound. A new one must be listed here."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import gateway

FOLDER = Path(gateway.__file__).parent

_BODY: Final = "`Request.body` ends it by `ReadTimeout`, `send_answer` by its `wait_for`"
_UNREAD: Final = "`slow_clients.drop_slow_readers` breaks the connection"

WAITS: Final = {
    "asgi.py _chunk": _BODY,
    "asgi.py _counted_chunk": _BODY,
    "asgi.py body": f"{_BODY}; a body that has come whole is not waited for",
    "asgi.py discard": _BODY,
    "app.py _send": _UNREAD,
    "sending.py send_answer": _UNREAD,
    "sending.py _send_pieces": f"{_UNREAD}; each piece within 30 s",
    "sending.py send_stream": "a stream lasts as long as its client stays; streams are bounded in number",
    "sending.py _client_left": "ends with its stream",
    "sending.py send_socket": "a socket lasts as long as it answers pings, within 20 s; sockets are bounded in number",
    "sending.py _send_frames": "ends with its socket",
    "sending.py _send_frame": f"{_UNREAD}; pings that are not answered end the socket",
    "connections.py send": _UNREAD,
}

_OF_CLIENTS: Final = frozenset(
    (
        "receive",
        "send",
        "drain",
        "_chunk",
        "_counted_chunk",
        "discard",
        "_send_frame",
        "send_answer",
        "send_stream",
        "_send_pieces",
        "send_socket",
    )
)


def waits(tree: ast.Module) -> Iterator[str]:
    """The functions that await, or begin, what a client may hold up."""
    for function in ast.walk(tree):
        if isinstance(function, ast.AsyncFunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call):
                    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                    if called in _OF_CLIENTS:
                        yield function.name


def test_every_wait_for_a_client_has_a_bound() -> None:
    found = {
        f"{path.name} {name}" for path in sorted(FOLDER.rglob("*.py")) for name in waits(ast.parse(path.read_text()))
    }
    assert found == WAITS.keys()
