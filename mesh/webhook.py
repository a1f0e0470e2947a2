"""Posts to webhooks, signed as Standard Webhooks has it; Slack understands the bodies that are made here.

What the receiver answers is not read beyond its status and `Retry-After`, and redirects are not followed. Only a
process that posts loads the HTTP client.
"""

import base64
import datetime as dt
import email.utils
import enum
import hashlib
import hmac
import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from mesh.settings import SettingError

if TYPE_CHECKING:
    import httpx

_SECOND_US: Final = 1_000_000
_LONGEST_RETRY_AFTER_SECONDS: Final = 300
_TIMEOUT_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 3.0
# The receiver is busy, or still at work on the same key.
_LATER: Final = {408: "timeout", 409: "in_progress", 425: "too_early", 429: "throttled", 503: "unavailable"}
# A proxy that had no answer from the receiver.
_UNANSWERED: Final = (502, 504)
# Slack's limit of a text in a block.
LONGEST_TEXT: Final = 3000
_PREFIX: Final = b"whsec_"


class Result(enum.Enum):
    """What came of a post."""

    TAKEN = "taken"
    LATER = "later"
    """It certainly was not taken; the same may be posted again."""
    UNKNOWN = "unknown"
    """It may have been taken."""
    REFUSED = "refused"
    """It will never be taken."""


class Posted(NamedTuple):
    """What came of a post, why in a word (empty where it was taken), and how long to wait before the next."""

    result: Result
    reason: str = ""
    retry_after_us: int = 0


class Webhook:
    """Posts to one address.

    Args:
        client: as `client` makes it.
        url: the address; see `require_usable`.
        secret: what posts are signed with; one that begins with `whsec_` is base64, as Standard Webhooks have it.
        clock: for the time that is signed, and for dates in `Retry-After`.
    """

    def __init__(self, client: "httpx.AsyncClient", url: str, secret: bytes, clock: Callable[[], int]) -> None:
        self._client = client
        self._url = url
        self._secret = secret
        self._clock = clock

    async def post(self, key: str, body: bytes) -> Posted:
        """Posts JSON once. The receiver knows a repeated post by its key."""
        import httpx

        timestamp = str(self._clock() // _SECOND_US)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "Webhook-Id": key,
            "Webhook-Timestamp": timestamp,
            "Webhook-Signature": standard_signature(self._secret, key, timestamp, body),
            # The headers of version 0.1.0, for receivers that check them.
            "X-Journeymesh-Timestamp": timestamp,
            "X-Journeymesh-Signature": signature(self._secret, timestamp, body),
        }
        try:
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                status, retry_after = response.status_code, response.headers.get("Retry-After", "")
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError):
            return Posted(Result.LATER, "unreachable")
        except httpx.HTTPError:
            return Posted(Result.UNKNOWN, "no_answer")
        return self._posted(status, retry_after)

    def _posted(self, status: int, retry_after: str) -> Posted:
        if 200 <= status < 300:
            return Posted(Result.TAKEN)
        reason = _LATER.get(status, f"http_{status}")
        if status in _UNANSWERED:
            return Posted(Result.UNKNOWN, reason)
        if status in _LATER or status >= 500:
            return Posted(Result.LATER, reason, retry_after_us(retry_after, self._clock()))
        return Posted(Result.REFUSED, "redirected" if 300 <= status < 400 else reason)


def client() -> "httpx.AsyncClient":
    """A client for webhooks."""
    import httpx

    return httpx.AsyncClient(timeout=httpx.Timeout(_TIMEOUT_SECONDS, connect=_CONNECT_SECONDS), follow_redirects=False)


def require_usable(urls: dict[str, str], secret: bytes) -> None:
    """Returns if posts can be sent there and signed: by https, or within this machine.

    Args:
        urls: addresses by what the settings that name them are called.
        secret: what posts are signed with; not needed without any address.

    Raises:
        SettingError: they cannot.
    """
    for name, url in urls.items():
        if not _is_allowed(url):
            message = f"{name}: https, or loopback."
            raise SettingError(message)
    if urls and not secret:
        raise SettingError("Webhooks need a secret in the file that JOURNEYMESH_WEBHOOK_SECRET_FILE names.")
    if secret.startswith(_PREFIX):
        try:
            base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except ValueError as error:
            message = "The secret in JOURNEYMESH_WEBHOOK_SECRET_FILE begins with `whsec_`; base64 must follow."
            raise SettingError(message) from error


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What the receiver computes as well, to know who sent the body and when."""
    digest = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def standard_signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature of Standard Webhooks, version 1; a secret that begins with `whsec_` is base64, as they have it."""
    key = base64.b64decode(secret[len(_PREFIX) :]) if secret.startswith(_PREFIX) else secret
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def retry_after_us(text: str, now_us: int) -> int:
    """How long a `Retry-After` asks to wait, at most five minutes; 0 where it does not say or cannot be read."""
    if text.isascii() and text.isdigit():
        seconds = min(int(text[:9]), _LONGEST_RETRY_AFTER_SECONDS)
    else:
        try:
            until = email.utils.parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return 0
        at = until if until.tzinfo else until.replace(tzinfo=dt.UTC)
        seconds = round(at.timestamp() - now_us / _SECOND_US)
    return max(0, min(seconds, _LONGEST_RETRY_AFTER_SECONDS)) * _SECOND_US


def slack(text: str, sections: list[str], context: str) -> dict[str, Any]:
    """The members of a body that Slack shows: a text, and sections above a context. All MUST be `escaped`."""
    return {
        "text": text[:LONGEST_TEXT],
        "blocks": [
            *({"type": "section", "text": _mrkdwn(section)} for section in sections),
            {"type": "context", "elements": [_mrkdwn(context)]},
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escaped(text: str) -> str:
    """Text in which Slack finds no mention and no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def rfc3339(at_us: int) -> str:
    """A time to the second."""
    return (dt.datetime.fromtimestamp(at_us // _SECOND_US, dt.UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _mrkdwn(text: str) -> dict[str, Any]:
    # Verbatim: names and addresses within are not made into links.
    return {"type": "mrkdwn", "text": text[:LONGEST_TEXT], "verbatim": True}


def _is_allowed(url: str) -> bool:
    """Whether messages may be posted there: by https, or within this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
