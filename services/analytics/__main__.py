"""Composition root of the analytics service."""

import secrets

from journeymesh.analytics.v1.analytics_pb2_grpc import add_AnalyticsServiceServicer_to_server
from journeymesh.analytics.v1.insights_pb2_grpc import add_InsightsServiceServicer_to_server
from journeymesh.analytics.v1.jobs_pb2_grpc import add_JobsServiceServicer_to_server
from journeymesh.analytics.v1.segments_pb2_grpc import add_SegmentsServiceServicer_to_server

from mesh import VERSION
from mesh.clock import system_clock
from mesh.process import lifecycle, server
from mesh.process.started import started
from mesh.settings import read_or_exit
from mesh.store import redis
from services.analytics.adapters.budgets import RedisBudgets
from services.analytics.adapters.jobs import RedisJobs
from services.analytics.adapters.questions.files import AnswerFiles
from services.analytics.adapters.segments import RedisSegments
from services.analytics.bootstrap import SERVICE_NAMES, answering, reporting, require_cluster, running, watching
from services.analytics.insights import InsightsServicer
from services.analytics.segments import SegmentsServicer
from services.analytics.servicer import AnalyticsServicer
from services.analytics.settings import Settings
from services.analytics.usecases import Saving


async def main(version: str = VERSION) -> None:
    """Serves until the process is asked to stop, as this version of the mesh."""
    settings = read_or_exit(Settings)
    require_cluster(settings)
    async with (
        started("analytics") as (client, traced, site),
        answering(settings, RedisBudgets(client), traced, site.tls) as its,
    ):
        segments = Saving(RedisSegments(client), system_clock, secrets.token_bytes)
        questions = AnalyticsServicer(its.asking, its.costing, segments, AnswerFiles(), system_clock)
        async with (
            watching(settings, its, client, version, system_clock, traced.metrics) as watched,
            running(settings, RedisJobs(client), system_clock, traced) as (jobs, retraining),
            reporting(settings, its.asking, its.costing, retraining, traced.metrics),
        ):
            await server.serve(
                settings.listen,
                [
                    lambda to: add_AnalyticsServiceServicer_to_server(questions, to),
                    lambda to: add_SegmentsServiceServicer_to_server(SegmentsServicer(segments), to),
                    lambda to: add_InsightsServiceServicer_to_server(InsightsServicer(watched), to),
                    lambda to: add_JobsServiceServicer_to_server(jobs, to),
                ],
                SERVICE_NAMES,
                {"archive": its.asking.check, "store": lambda: redis.ping(client)},
                traced,
                site,
            )


if __name__ == "__main__":
    lifecycle.run(main())
