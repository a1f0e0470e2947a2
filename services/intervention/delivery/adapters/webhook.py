"""Chat and tickets by a signed webhook (`mesh.webhook`), whose body Slack's incoming webhooks understand too."""

from typing import Any, Final

import msgspec

from mesh.webhook import Result, Webhook, escaped, rfc3339, slack
from records.tenants import plain, tenant_of
from services.intervention.decision.domain.facts import Contact
from services.intervention.delivery.domain.delivery import Deferred, OutboxMessage, Refused, Unanswered
from services.intervention.delivery.ports import Sent

_ENCODE: Final = msgspec.json.Encoder().encode


class WebhookChannel:
    """Posts to one address, with the same key at every attempt."""

    provider = "webhook"
    is_repeatable = True

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook

    async def send(self, message: OutboxMessage, text: str, contact: Contact, key: str) -> Sent:  # noqa: ARG002 - by user id
        """See `services.intervention.delivery.ports.Channel`."""
        posted = await self._webhook.post(key, _ENCODE(body_of(message, text, key)))
        match posted.result:
            case Result.LATER:
                raise Deferred(posted.reason, posted.retry_after_us)
            case Result.UNKNOWN:
                raise Unanswered(posted.reason)
            case Result.REFUSED:
                raise Refused(posted.reason)
        return Sent("")


def body_of(message: OutboxMessage, text: str, key: str) -> dict[str, Any]:
    """The body: what Slack shows, and under `journeymesh` what a program reads, unescaped."""
    title = f"*{_word(message.priority)}* · {_word(message.type)} · queue {_word(message.queue or 'standard')}"
    user_id, tenant = plain(message.user_id), tenant_of(message.user_id)
    where = f"User {escaped(user_id)} · risk {_word(message.risk_level)} · page {escaped(message.page or '-')}"
    return {
        **slack(f"{_word(message.type)} for {escaped(user_id)}: {escaped(text)}", [title, escaped(text)], where),
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
            "expiresAt": rfc3339(message.expires_us),
        },
    }


def _word(name: str) -> str:
    return escaped(name.replace("_", " "))
