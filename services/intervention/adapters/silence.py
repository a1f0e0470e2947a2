"""Nobody looks and nobody is known: for replays, which change nothing in the world."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from mesh.errors import NotFound
from services.intervention.domain.analysis import Helping, Struggle, Watching
from services.intervention.domain.delivery import Slip
from services.intervention.domain.facts import Facts
from services.intervention.domain.ledger import Decision
from services.intervention.domain.strategy import Intervention
from services.intervention.ports import Became, Call


class SilentWitness:
    """Forgets what it is told, of decisions, messages and calls of models."""

    is_looking = False

    def made(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """See `services.intervention.ports.Witness`."""

    def became(self, became: Became) -> None:
        """See `services.intervention.ports.Witness`."""

    def sending(self, slip: Slip) -> AbstractContextManager[None]:  # noqa: ARG002 - the port's
        """See `services.intervention.ports.DeliveryWitness`."""
        return nullcontext()

    def noted(self, slip: Slip) -> None:
        """See `services.intervention.ports.DeliveryWitness`."""

    def called(self, call: Call) -> None:
        """See `services.intervention.ports.ModelWitness`."""


class SilentWords:
    """Leaves the words of the template."""

    def ask(self, made: Sequence[tuple[Facts, Intervention]]) -> None:
        """See `services.intervention.ports.Words`."""


class NoInsights:
    """Knows nobody."""

    async def struggle(self, user_id: str) -> Struggle:
        """See `services.intervention.ports.Insights`."""
        message = f"Nothing is known of {user_id}."
        raise NotFound("USER_NOT_FOUND", message)

    async def video(self, user_id: str) -> Watching | None:  # noqa: ARG002 - the port's
        """See `services.intervention.ports.Insights`."""
        return None

    async def intervention(self, user_id: str) -> Helping:  # noqa: ARG002 - the port's
        """See `services.intervention.ports.Insights`."""
        return Helping()
