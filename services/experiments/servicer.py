"""The gRPC face of the experiments service: translate, call, translate."""

from journeymesh.common.v1 import erasure_pb2
from journeymesh.experiments.v1 import experiments_pb2 as wire
from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceServicer

from mesh.rpc.context import ServerContext
from mesh.state import erasing
from services.experiments import translation
from services.experiments.usecases import Assigning, Configuring, Experiments, Persons, Recording


class ExperimentsServicer(ExperimentsServiceServicer):
    """Serves `ExperimentsService`."""

    def __init__(
        self,
        experiments: Experiments,
        recording: Recording,
        assigning: Assigning,
        persons: Persons,
        configuring: Configuring,
    ) -> None:
        self._experiments = experiments
        self._recording = recording
        self._assigning = assigning
        self._persons = persons
        self._configuring = configuring

    async def CreateExperiment(
        self, request: wire.CreateExperimentRequest, _context: ServerContext
    ) -> wire.CreateExperimentResponse:
        """Creates an experiment."""
        definition = translation.definition_of(request.definition)
        created = await self._experiments.create(request.tenant, definition, request.actor, request.why)
        return wire.CreateExperimentResponse(experiment=translation.experiment_message(created, self._now_us()))

    async def GetExperiment(
        self, request: wire.GetExperimentRequest, _context: ServerContext
    ) -> wire.GetExperimentResponse:
        """An experiment with its history."""
        found = await self._experiments.get(request.tenant, request.experiment_id)
        return wire.GetExperimentResponse(experiment=translation.experiment_message(found, self._now_us()))

    async def ListExperiments(
        self, request: wire.ListExperimentsRequest, _context: ServerContext
    ) -> wire.ListExperimentsResponse:
        """Lists the experiments of a tenant."""
        listed, now_us = await self._experiments.listed(request.tenant), self._now_us()
        messages = [translation.experiment_message(each, now_us, is_short=True) for each in listed]
        return wire.ListExperimentsResponse(experiments=messages)

    async def ChangeExperiment(
        self, request: wire.ChangeExperimentRequest, _context: ServerContext
    ) -> wire.ChangeExperimentResponse:
        """Starts, pauses, stops, promotes or rolls back."""
        action = translation.action_of(request)
        changed = await self._experiments.change(
            request.tenant, request.experiment_id, action, request.arm, request.actor, request.why
        )
        return wire.ChangeExperimentResponse(experiment=translation.experiment_message(changed, self._now_us()))

    async def PauseExperiments(
        self, request: wire.PauseExperimentsRequest, _context: ServerContext
    ) -> wire.PauseExperimentsResponse:
        """Pauses experiments because of an incident."""
        paused = await self._experiments.pause(request.tenant, request.incident_id, request.actor, request.why)
        return wire.PauseExperimentsResponse(experiment_ids=paused)

    async def AssignUnits(self, request: wire.AssignUnitsRequest, _context: ServerContext) -> wire.AssignUnitsResponse:
        """Tells the arms of units, and if asked to, counts that they meet them now."""
        units = {each.unit: translation.before_of(each) for each in request.units}
        told, is_fallback = await self._assigning.assign(
            request.tenant, frozenset(request.experiment_ids), units, is_exposure=request.is_exposure
        )
        return wire.AssignUnitsResponse(assignments=map(translation.assignment_message, told), is_fallback=is_fallback)

    async def GetConfigurations(
        self, request: wire.GetConfigurationsRequest, _context: ServerContext
    ) -> wire.GetConfigurationsResponse:
        """Tells how units get their arms."""
        found = await self._configuring.configurations(frozenset(request.tenants), frozenset(request.experiment_ids))
        return wire.GetConfigurationsResponse(
            configurations=[wire.ExperimentConfiguration(**each._asdict()) for each in found]
        )

    async def RecordExposures(
        self, request: wire.RecordExposuresRequest, _context: ServerContext
    ) -> wire.RecordExposuresResponse:
        """Counts units that met an arm."""
        experiment = await self._experiments.get(request.tenant, request.experiment_id)
        new, left_out = await self._recording.exposures(experiment, translation.exposures_of(request, self._now_us()))
        return wire.RecordExposuresResponse(new_units=new, left_out=left_out)

    async def RecordOutcomes(
        self, request: wire.RecordOutcomesRequest, _context: ServerContext
    ) -> wire.RecordOutcomesResponse:
        """Counts what came of units."""
        experiment = await self._experiments.get(request.tenant, request.experiment_id)
        reports = translation.reports_of(request, self._now_us())
        is_of_anybody = request.is_of_anybody
        matched, unmatched = await self._recording.outcomes(experiment, reports, is_of_anybody=is_of_anybody)
        return wire.RecordOutcomesResponse(matched=matched, unmatched=unmatched)

    async def GetResults(self, request: wire.GetResultsRequest, _context: ServerContext) -> wire.GetResultsResponse:
        """What may be concluded now."""
        found = await self._experiments.results(
            request.tenant, request.experiment_id, is_with_fallback=request.is_with_fallback
        )
        return translation.results_message(*found)

    async def EraseUser(self, request: wire.EraseUserRequest, _context: ServerContext) -> wire.EraseUserResponse:
        """Erases what is kept of a person, or counts it."""
        erasing.require_person(request.user_ids)
        if not request.counts_only:
            await self._persons.erase(request.user_ids)
        kept = await self._persons.kept(request.user_ids)
        return wire.EraseUserResponse(
            stores=[erasure_pb2.PersonalEntries(store=store, count=count) for store, count in kept.items()]
        )

    async def ExportUser(self, request: wire.ExportUserRequest, _context: ServerContext) -> wire.ExportUserResponse:
        """Reads all that is kept of a person."""
        erasing.require_person(request.user_ids)
        records = await self._persons.export(request.user_ids)
        return wire.ExportUserResponse(
            records=[erasure_pb2.PersonalRecord(store=each.store, json=each.json) for each in records]
        )

    def _now_us(self) -> int:
        return self._experiments.clock()
