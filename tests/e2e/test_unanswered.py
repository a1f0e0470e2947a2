"""Messages under way when their service was killed: sent again if the receiver recognises a duplicate, else not."""

import pytest

from tests.e2e.channels import Channels, Doubt, ended

pytestmark = pytest.mark.processes

# A message is left for so long to the process that took it.
LEASE_SECONDS = 60


def test_messages_under_way_are_sent_at_most_once_or_by_idempotency_key(channels: Channels, doubt: Doubt) -> None:
    mesh = channels.mesh
    ticket, mail = (ended(mesh, each, LEASE_SECONDS + 30) for each in (doubt.ticketed, doubt.mailed))
    assert (ticket["state"], ticket["attemptCount"]) == ("sent", 2)
    keys = [each.headers["idempotency-key"] for each in channels.ticket.received]
    assert keys.count(ticket["idempotencyKey"]) == 2
    assert (mail["state"], mail["attemptCount"], mail["reason"]) == ("unknown", 1, "no_answer")
    assert sum(mail["idempotencyKey"] in each.body.decode() for each in channels.ses.received) == 1
