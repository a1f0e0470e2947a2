"""The gRPC face of jobs: translate, call, translate."""

from journeymesh.analytics.v1 import jobs_pb2 as wire
from journeymesh.analytics.v1.jobs_pb2_grpc import JobsServiceServicer

from mesh.rpc.context import ServerContext
from services.analytics.running import Queueing
from services.analytics.translation import job_message, kind_number, kind_of, training_of


class JobsServicer(JobsServiceServicer):
    """Serves `JobsService`."""

    def __init__(self, jobs: Queueing) -> None:
        self._jobs = jobs

    async def CreateJob(self, request: wire.CreateJobRequest, _context: ServerContext) -> wire.CreateJobResponse:
        """Queues a job."""
        options = training_of(request.training) if request.HasField("training") else {}
        job = await self._jobs.create(request.tenant, kind_of(request.kind), options)
        return wire.CreateJobResponse(job=job_message(job))

    async def ListJobs(self, request: wire.ListJobsRequest, _context: ServerContext) -> wire.ListJobsResponse:
        """Lists a tenant's jobs."""
        return wire.ListJobsResponse(
            jobs=map(job_message, await self._jobs.listed(request.tenant)),
            refused_kinds=[
                wire.RefusedJobKind(kind=kind_number(kind), reason=error.reason, detail=error.detail)
                for kind, error in self._jobs.refused(request.tenant).items()
            ],
        )

    async def GetJob(self, request: wire.GetJobRequest, _context: ServerContext) -> wire.GetJobResponse:
        """Shows a job."""
        return wire.GetJobResponse(job=job_message(await self._jobs.get(request.tenant, request.job_id)))

    async def CancelJob(self, request: wire.CancelJobRequest, _context: ServerContext) -> wire.CancelJobResponse:
        """Cancels a job."""
        return wire.CancelJobResponse(job=job_message(await self._jobs.cancel(request.tenant, request.job_id)))
