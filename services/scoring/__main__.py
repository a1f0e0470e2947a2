"""Composition root of the scoring service."""

from typing import Final

from inference import inference_pb2
from inference.inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from journeymesh.scoring.v1 import models_pb2, scoring_pb2
from journeymesh.scoring.v1.models_pb2_grpc import add_ModelsServiceServicer_to_server
from journeymesh.scoring.v1.scoring_pb2_grpc import add_ScoringServiceServicer_to_server

from mesh.clock import system_clock
from mesh.process import lifecycle, server
from mesh.process.started import started
from mesh.settings import read_or_exit
from mesh.state.redis import RedisState
from services.scoring.adapters.measured import MeasuredModels
from services.scoring.adapters.model_directory import ModelDirectory, place
from services.scoring.inference import InferenceServicer
from services.scoring.servicer import ModelsServicer, ScoringServicer
from services.scoring.settings import Settings
from services.scoring.usecases import Promotion, Scoring

_DAY_SECONDS: Final = 86_400


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    async with started("scoring") as (client, telemetry, site):
        journals = RedisState(client, "scoring", settings.state_days * _DAY_SECONDS)
        directory = ModelDirectory(place(settings.models_directory))
        models, promotion = MeasuredModels(directory, telemetry.metrics), Promotion(directory, system_clock)
        servicer = ScoringServicer(Scoring(models, journals), telemetry.metrics)
        models_servicer, inference = ModelsServicer(promotion), InferenceServicer(directory)
        async with lifecycle.in_background(directory.follow(), promotion.guard(models)):
            await server.serve(
                settings.listen,
                [
                    lambda grpc_server: add_ScoringServiceServicer_to_server(servicer, grpc_server),
                    lambda grpc_server: add_ModelsServiceServicer_to_server(models_servicer, grpc_server),
                    lambda grpc_server: add_GRPCInferenceServiceServicer_to_server(inference, grpc_server),
                ],
                [
                    scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name,
                    models_pb2.DESCRIPTOR.services_by_name["ModelsService"].full_name,
                    inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
                ],
                {"store": journals.ping, "model": models.check},
                telemetry,
                site,
            )


if __name__ == "__main__":
    lifecycle.run(main())
