"""The routes of jobs: work over everything that is archived, queued here and run by the mesh."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from journeymesh.analytics.v1 import jobs_pb2 as wire
from journeymesh.customers.v1 import predictions_pb2

from gateway.contract.route import Route
from gateway.core import Core
from gateway.formats import asking
from gateway.formats.rendering import render
from gateway.formats.schema import enum_numbers
from gateway.http.asgi import Answer, Request, Stream, json
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS

_PATH: Final = "/api/jobs"
_ONE: Final = f"{_PATH}/{{jobId}}"
_KINDS: Final = enum_numbers(wire.JobKind.DESCRIPTOR)
_CSV: Final = "text/csv"
_READ_SECONDS: Final = 600.0
"""How long a client may take to read a file."""
# It follows from the key.
_NOT_IN_BODY: Final = ("tenant",)


async def create_job(core: Core, request: Request) -> Answer:
    """Queues a job."""
    asked = asking.read(await request.json_body(), wire.CreateJobRequest, _NOT_IN_BODY)
    asked.tenant = request.caller.tenant
    return json(render((await core.peers.jobs.CreateJob(asked)).job), 202)


async def jobs(core: Core, request: Request) -> Answer:
    """Lists the jobs."""
    return json(render(await core.peers.jobs.ListJobs(wire.ListJobsRequest(tenant=request.caller.tenant))))


async def job(core: Core, request: Request) -> Answer:
    """Shows a job."""
    asked = wire.GetJobRequest(tenant=request.caller.tenant, job_id=request.parameters["jobId"])
    return json(render((await core.peers.jobs.GetJob(asked)).job))


async def cancel_job(core: Core, request: Request) -> Answer:
    """Cancels a job."""
    asked = wire.CancelJobRequest(tenant=request.caller.tenant, job_id=request.parameters["jobId"])
    return json(render((await core.peers.jobs.CancelJob(asked)).job))


async def job_file(core: Core, request: Request) -> Stream:
    """Sends the file that a job wrote. If it goes away in the middle, the connection ends before the file does."""
    asked = predictions_pb2.ReadCustomersExportRequest(tenant=request.caller.tenant, job_id=request.parameters["jobId"])
    call = core.peers.predictions.ReadCustomersExport(asked, timeout=_READ_SECONDS)
    pieces = aiter(call)
    first = (await anext(pieces)).piece
    headers = ((b"content-disposition", b'attachment; filename="customers.csv"'),)

    def close() -> None:
        call.cancel()

    return Stream(_pieces(first, pieces), _CSV, headers, close)


async def _pieces(
    first: bytes, others: AsyncIterator[predictions_pb2.ReadCustomersExportResponse]
) -> AsyncGenerator[bytes, None]:
    yield first
    async for each in others:
        yield each.piece


def _new(components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a job to queue."""
    described = asking.describe(wire.CreateJobRequest.DESCRIPTOR, components, _NOT_IN_BODY)
    components["CreateJobRequest"]["properties"] |= {"kind": {"type": "string", "enum": list(_KINDS)}}
    components["CreateJobRequest"]["required"] = ["kind"]
    return described


JOB_ROUTES: Final = (
    Route(
        "POST",
        _PATH,
        "Queues a job over everything that is archived. `customers_fit` learns from all customers what they will buy; "
        "`customers_export` writes what was learnt says of each to a file; `model_training` trains an exit-risk model, "
        "where what that needs is installed, and for keys of no single tenant. One of a kind runs at a time.",
        create_job,
        wire.Job.DESCRIPTOR,
        status=202,
        reasons=("VALUE_OUT_OF_RANGE", "JOB_UNFINISHED", "JOB_KIND_NOT_AVAILABLE", *BODY_REASONS, *CALLS_REASONS),
        body=_new,
        example='{"kind":"customers_fit"}',
    ),
    Route(
        "GET",
        _PATH,
        "The latest 100 jobs, newest first.",
        jobs,
        wire.ListJobsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    # Before the path of a job, which would match it too.
    Route(
        "POST",
        f"{_ONE}:cancel",
        "Cancels a job; its process ends within two seconds.",
        cancel_job,
        wire.Job.DESCRIPTOR,
        reasons=("JOB_NOT_FOUND", "JOB_ENDED", *CALLS_REASONS),
        needs_body=False,
    ),
    Route(
        "GET",
        f"{_ONE}/file",
        "The file that a job `customers_export` wrote: a row per customer. It is kept for a day, until a later job "
        "replaces it or somebody of the tenant is erased.",
        job_file,
        _CSV,
        reasons=("EXPORT_NOT_FOUND", *CALLS_REASONS),
    ),
    Route(
        "GET",
        _ONE,
        "A job: how it stands, how far it is, what came of it or why it failed.",
        job,
        wire.Job.DESCRIPTOR,
        reasons=("JOB_NOT_FOUND", *CALLS_REASONS),
    ),
)
