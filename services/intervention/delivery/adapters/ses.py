"""E-mail by Amazon SES (v2). SES knows no idempotency key: what may have been taken must not be sent again."""

import re
from typing import Final

from services.intervention.decision.domain.facts import Contact
from services.intervention.delivery.adapters.aws import Aws
from services.intervention.delivery.domain.delivery import OutboxMessage, Refused, is_email
from services.intervention.delivery.ports import Sent

_SUBJECTS: Final[dict[str, str]] = {
    "critical_intervention": "Can we help you right now?",
    "proactive_help": "Something that may help you",
}
_SUBJECT: Final = "A message from our support"


class SesChannel:
    """Sends plain text from `sender` to the user's address."""

    provider = "ses"
    is_repeatable = False

    def __init__(self, aws: Aws, sender: str) -> None:
        self._aws = aws
        self._sender = sender

    async def send(self, message: OutboxMessage, text: str, contact: Contact, key: str) -> Sent:
        """See `services.intervention.delivery.ports.Channel`."""
        if not contact.email:
            raise Refused("no_address")
        if not is_email(contact.email):
            raise Refused("bad_address")
        answer = await self._aws.call(
            "send_email",
            FromEmailAddress=self._sender,
            Destination={"ToAddresses": [contact.email]},
            Content={
                "Simple": {
                    "Subject": {"Data": _SUBJECTS.get(message.type, _SUBJECT), "Charset": "UTF-8"},
                    "Body": {"Text": {"Data": text, "Charset": "UTF-8"}},
                    "Headers": [{"Name": "X-Journeymesh-Key", "Value": key}],
                }
            },
            # Relates the bounces and complaints that SES publishes to the intervention.
            EmailTags=[{"Name": "intervention_id", "Value": _tag(message.intervention_id)}],
        )
        return Sent(str(answer.get("MessageId", "")))


def _tag(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:256]
