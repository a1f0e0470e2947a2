"""Whether an archived event is what a policy wants users to do, as the service takes it."""

from journeymesh.common.v1 import event_pb2

from services.intervention.decision.domain.facts import Purchase
from services.intervention.decision.domain.user_state import is_conversion
from services.intervention.policy.domain.policy import Conversion


def is_goal(conversion: Conversion, event: event_pb2.Event) -> bool:
    """Whether the event counts as the goal: not a script's, not a refund, and not a copy, which counted before."""
    if event.is_bot or event.copied_event_id:
        return False
    paid = event.purchase
    if Purchase(paid.amount, paid.currency, paid.is_refund).gives_back:
        return False
    return is_conversion(conversion, event.event_type, event.target)
