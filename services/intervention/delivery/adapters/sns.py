"""Push messages by Amazon SNS. SNS knows no idempotency key: what may have been taken must not be sent again."""

import re
from typing import Final

from records.tenants import plain, tenant_of
from services.intervention.decision.domain.facts import Contact
from services.intervention.delivery.adapters.aws import Aws
from services.intervention.delivery.domain.delivery import OutboxMessage, Refused
from services.intervention.delivery.ports import Sent

# An endpoint of a device and nothing else: contacts come with events, and must not name a topic of the account.
_ENDPOINT: Final = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:endpoint/[A-Za-z0-9/_.-]+")


class SnsChannel:
    """Publishes to the user's device; where `topic` is set, to that topic, with the user's id as an attribute."""

    provider = "sns"
    is_repeatable = False

    def __init__(self, aws: Aws, topic: str) -> None:
        self._aws = aws
        self._topic = topic

    async def send(self, message: OutboxMessage, text: str, contact: Contact, key: str) -> Sent:
        """See `services.intervention.delivery.ports.Channel`."""
        attributes = {
            "tenant": tenant_of(message.user_id),
            "user_id": plain(message.user_id),
            "intervention_id": message.intervention_id,
            "type": message.type,
            "action": message.action,
            "idempotency_key": key,
        }
        answer = await self._aws.call(
            "publish",
            **self._target(contact),
            Message=text,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
            },
        )
        return Sent(str(answer.get("MessageId", "")))

    def _target(self, contact: Contact) -> dict[str, str]:
        if self._topic:
            return {"TopicArn": self._topic}
        if not contact.push_target:
            raise Refused("no_address")
        if not _ENDPOINT.fullmatch(contact.push_target):
            raise Refused("bad_address")
        return {"TargetArn": contact.push_target}
