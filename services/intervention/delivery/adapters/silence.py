"""Null adapter for replays and tests."""

from contextlib import AbstractContextManager, nullcontext

from services.intervention.delivery.domain.delivery import OutboxEntry


class SilentDeliveryObserver:
    """Ignores attempts to send."""

    def sending(self, entry: OutboxEntry) -> AbstractContextManager[None]:  # noqa: ARG002 - the port's
        """See `services.intervention.delivery.ports.DeliveryObserver`."""
        return nullcontext()

    def noted(self, entry: OutboxEntry) -> None:
        """See `services.intervention.delivery.ports.DeliveryObserver`."""
