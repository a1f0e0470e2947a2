"""What a request brings to show who sends it: the text of a key, and a token that proves who the user is."""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from gateway.http.asgi import Scope, header

USER_TOKEN: Final = b"x-journeymesh-user-token"
"""The header with the user's token."""
_KEY: Final = "key."
_USER: Final = "user."
_LONGEST: Final = 4096


def key_text(scope: Scope) -> str:
    """The key in a request's headers; empty if there is none.

    It is a bearer token or, as Segment's clients send it, the user name of basic authentication. A browser cannot set
    headers when it opens a WebSocket, so there it is the subprotocol `key.<text>`.
    """
    scheme, _, written = header(scope, b"authorization").strip().partition(" ")
    if scheme.lower() == "bearer":
        return written.strip()
    if scheme.lower() == "basic":
        return _user_name(written.strip())
    return _subprotocol(scope, _KEY)


def user_token(scope: Scope) -> str:
    """The user's token in a request's headers or, of a WebSocket, in the subprotocol `user.<token>`; else empty."""
    return header(scope, USER_TOKEN).strip() or _subprotocol(scope, _USER)


def _user_name(encoded: str) -> str:
    try:
        return base64.b64decode(encoded[:_LONGEST], validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _subprotocol(scope: Scope, beginning: str) -> str:
    return next((each.removeprefix(beginning) for each in _offered(scope) if each.startswith(beginning)), "")


def _offered(scope: Scope) -> Sequence[str]:
    offered: Sequence[str] = scope.get("subprotocols") or ()
    return offered
