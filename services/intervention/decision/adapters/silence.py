"""Null adapters for replays, which change nothing in the world."""

from collections.abc import Sequence

from services.intervention.decision.domain.facts import Facts
from services.intervention.decision.domain.ledger import Decision
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.ports import OutcomeEvent


class SilentObserver:
    """Ignores decisions and outcomes."""

    is_enabled = False

    def created(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """See `services.intervention.decision.ports.Observer`."""

    def outcome(self, event: OutcomeEvent) -> None:
        """See `services.intervention.decision.ports.Observer`."""


class NoCopywriting:
    """Leaves the copy of the template."""

    def ask(self, made: Sequence[tuple[Facts, Intervention]]) -> None:
        """See `services.intervention.decision.ports.Copywriting`."""
