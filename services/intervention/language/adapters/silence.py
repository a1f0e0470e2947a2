"""Null adapters for replays and tests."""

from collections.abc import Sequence

from mesh.errors import NotFound
from services.intervention.language.domain.analysis import Helping, Struggle, Watching
from services.intervention.language.domain.buying import Buying
from services.intervention.language.ports import Call, Came, Trial, TrialArm


class SilentModelObserver:
    """Ignores calls of models."""

    def called(self, call: Call) -> None:
        """See `services.intervention.language.ports.ModelObserver`."""


class NoTrials:
    """Compares nothing."""

    async def begin(self, user_id: str) -> Trial:  # noqa: ARG002 - the port's
        """See `services.intervention.language.ports.Trials`."""
        return Trial()

    async def meet(
        self,
        user_id: str,  # noqa: ARG002 - the port's
        arms: Sequence[TrialArm],  # noqa: ARG002 - the port's
        before: float,  # noqa: ARG002 - the port's
        at_us: int,  # noqa: ARG002 - the port's
    ) -> Sequence[TrialArm]:
        """See `services.intervention.language.ports.Trials`."""
        return ()

    async def report(self, user_id: str, arms: Sequence[TrialArm], came: Came) -> None:
        """See `services.intervention.language.ports.Trials`."""


class NoInsights:
    """Knows no user."""

    async def struggle(self, user_id: str) -> Struggle:  # noqa: ARG002 - the port's
        """See `services.intervention.language.ports.Insights`."""
        raise NotFound("USER_NOT_FOUND", "Nothing is known of this user.")

    async def video(self, user_id: str) -> Watching | None:  # noqa: ARG002 - the port's
        """See `services.intervention.language.ports.Insights`."""
        return None

    async def intervention(self, user_id: str) -> Helping:  # noqa: ARG002 - the port's
        """See `services.intervention.language.ports.Insights`."""
        return Helping()

    async def purchases(self, user_id: str, now_us: int) -> Buying | None:  # noqa: ARG002 - the port's
        """See `services.intervention.language.ports.Insights`."""
        return None
