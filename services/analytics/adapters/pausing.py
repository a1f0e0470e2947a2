"""Tells the experiments service of incidents: it pauses experiments whose definition says so."""

from typing import TYPE_CHECKING, Final

from journeymesh.experiments.v1 import experiments_pb2

from mesh.errors import DeadlineExceeded, MeshError, Unavailable
from services.analytics.domain.telling import Due, Sent

if TYPE_CHECKING:
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub

ACTOR: Final = "insights"
"""Who pauses, in the history of an experiment."""
_SECONDS: Final = 5.0


class PeerPausing:
    """Asks the service, which knows a repeated incident."""

    def __init__(self, stub: "ExperimentsServiceAsyncStub") -> None:
        self._stub = stub

    async def send(self, tenant: str, due: Due) -> Sent:
        """See `ports.Messenger`."""
        its = due.insight
        sides = (f"{'more' if part.direction == 'above' else 'fewer'} {part.metric}" for part in its.parts)
        asked = experiments_pb2.PauseExperimentsRequest(
            tenant=tenant, incident_id=its.insight_id, actor=ACTOR, why=f"{its.severity}: {', '.join(sides)}"
        )
        try:
            paused = (await self._stub.PauseExperiments(asked, timeout=_SECONDS)).experiment_ids
        except (Unavailable, DeadlineExceeded):
            return Sent("waiting", "unreachable")
        except MeshError as error:
            return Sent("failed", error.reason.lower())
        return Sent("sent", ", ".join(paused))
