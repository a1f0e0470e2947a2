"""The channel of a mesh without providers: a line in the log."""

import logging
from typing import Final

from records.tenants import plain, tenant_of
from services.intervention.decision.domain.facts import Contact
from services.intervention.delivery.domain.delivery import OutboxMessage
from services.intervention.delivery.ports import Sent

_log: Final = logging.getLogger(__name__)


class LogChannel:
    """Logs what would be sent. User-made text is quoted, so that it cannot begin a line."""

    provider = "log"
    is_repeatable = True

    async def send(self, message: OutboxMessage, text: str, contact: Contact, key: str) -> Sent:  # noqa: ARG002 - as the port
        """See `services.intervention.delivery.ports.Channel`."""
        user_id, tenant = plain(message.user_id), tenant_of(message.user_id)
        whose = f" of {tenant}" if tenant else ""
        _log.info("%s to user %r%s, not connected (%s): %r", message.channel, user_id, whose, key, text)
        return Sent("")
