"""Nobody looks: for replays and tests."""

from contextlib import AbstractContextManager, nullcontext

from services.intervention.delivery.domain.delivery import Slip


class SilentDeliveryWitness:
    """Ignores attempts to send."""

    def sending(self, slip: Slip) -> AbstractContextManager[None]:  # noqa: ARG002 - the port's
        """See `services.intervention.delivery.ports.DeliveryWitness`."""
        return nullcontext()

    def noted(self, slip: Slip) -> None:
        """See `services.intervention.delivery.ports.DeliveryWitness`."""
