"""Chat and tickets by a signed webhook, whose body Slack's incoming webhooks understand too.

What the receiver answers is not read beyond its status and `Retry-After`, and redirects are not followed.
"""

import base64
import datetime as dt
import email.utils
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

import httpx
import msgspec

from records.tenants import plain, tenant_of
from services.intervention.decision.domain.facts import Contact
from services.intervention.delivery.domain.delivery import Deferred, OutboxMessage, Refused, Unanswered
from services.intervention.delivery.ports import Sent

SECOND_US: Final = 1_000_000
_LONGEST_RETRY_AFTER_SECONDS: Final = 300
_TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
# The receiver is busy, or still at work on the same key.
_LATER: Final = {408: "timeout", 409: "in_progress", 425: "too_early", 429: "throttled", 503: "unavailable"}
# A proxy that had no answer from the receiver.
_UNANSWERED: Final = (502, 504)
_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
# Slack's limit of a text in a block.
_LONGEST_TEXT: Final = 3000
_PREFIX: Final = b"whsec_"
_ENCODE: Final = msgspec.json.Encoder().encode


class WebhookChannel:
    """Posts to one address, with the same key at every attempt."""

    provider = "webhook"
    is_repeatable = True

    def __init__(self, client: httpx.AsyncClient, url: str, secret: bytes, clock: Callable[[], int]) -> None:
        self._client = client
        self._url = url
        self._secret = secret
        self._clock = clock

    async def send(self, message: OutboxMessage, text: str, contact: Contact, key: str) -> Sent:  # noqa: ARG002 - by user id
        """See `services.intervention.delivery.ports.Channel`."""
        body = _ENCODE(body_of(message, text, key))
        timestamp = str(self._clock() // SECOND_US)
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
        except _UNREACHED as error:
            raise Deferred("unreachable") from error
        except httpx.HTTPError as error:
            raise Unanswered("no_answer") from error
        self._raise_for(status, retry_after)
        return Sent("")

    def _raise_for(self, status: int, retry_after: str) -> None:
        if 200 <= status < 300:
            return
        reason = _LATER.get(status, f"http_{status}")
        if status in _UNANSWERED:
            raise Unanswered(reason)
        if status in _LATER or status >= 500:
            raise Deferred(reason, retry_after_us(retry_after, self._clock()))
        raise Refused("redirected" if 300 <= status < 400 else reason)


def client() -> httpx.AsyncClient:
    """A client for webhooks."""
    return httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)


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
        seconds = round(at.timestamp() - now_us / SECOND_US)
    return max(0, min(seconds, _LONGEST_RETRY_AFTER_SECONDS)) * SECOND_US


def body_of(message: OutboxMessage, text: str, key: str) -> dict[str, Any]:
    """The body: what Slack shows, and under `journeymesh` what a program reads, unescaped."""
    title = f"*{_word(message.priority)}* · {_word(message.type)} · queue {_word(message.queue or 'standard')}"
    user_id, tenant = plain(message.user_id), tenant_of(message.user_id)
    where = f"User {escaped(user_id)} · risk {_word(message.risk_level)} · page {escaped(message.page or '-')}"
    return {
        "text": f"{_word(message.type)} for {escaped(user_id)}: {escaped(text)}"[:_LONGEST_TEXT],
        "blocks": [
            {"type": "section", "text": _mrkdwn(title)},
            {"type": "section", "text": _mrkdwn(escaped(text))},
            {"type": "context", "elements": [_mrkdwn(where)]},
        ],
        "unfurl_links": False,
        "unfurl_media": False,
        "journeymesh": {
            "idempotencyKey": key,
            "interventionId": message.intervention_id,
            "decisionId": message.decision_id,
            "traceId": message.trace_id.hex(),
            "channel": message.channel,
            **({"tenant": tenant} if tenant else {}),
            "userId": user_id,
            "type": message.type,
            "action": message.action,
            "priority": message.priority,
            "queue": message.queue,
            "riskLevel": message.risk_level,
            "message": text,
            "content": message.content,
            "page": message.page,
            "expiresAt": _rfc3339(message.expires_us),
        },
    }


def escaped(text: str) -> str:
    """Text in which Slack finds no mention and no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mrkdwn(text: str) -> dict[str, Any]:
    # Verbatim: names and addresses within are not made into links.
    return {"type": "mrkdwn", "text": text[:_LONGEST_TEXT], "verbatim": True}


def _word(name: str) -> str:
    return escaped(name.replace("_", " "))


def _rfc3339(at_us: int) -> str:
    return (dt.datetime.fromtimestamp(at_us // SECOND_US, dt.UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
