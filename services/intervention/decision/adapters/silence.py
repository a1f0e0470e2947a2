"""Nobody looks and nobody is known: for replays, which change nothing in the world."""

from collections.abc import Sequence

from services.intervention.decision.domain.facts import Facts
from services.intervention.decision.domain.ledger import Decision
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.ports import OutcomeEvent


class SilentObserver:
    """Forgets what it is told, of decisions, messages and calls of models."""

    is_enabled = False

    def made(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """See `services.intervention.decision.ports.Observer`."""

    def became(self, became: OutcomeEvent) -> None:
        """See `services.intervention.decision.ports.Observer`."""


class NoCopywriting:
    """Leaves the words of the template."""

    def ask(self, made: Sequence[tuple[Facts, Intervention]]) -> None:
        """See `services.intervention.decision.ports.Words`."""
