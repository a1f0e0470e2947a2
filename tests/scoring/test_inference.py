"""The Open Inference Protocol: an unmodified client, and what is refused."""

import asyncio
import dataclasses
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from inference import inference_pb2 as wire
from inference.inference_pb2_grpc import GRPCInferenceServiceStub, add_GRPCInferenceServiceServicer_to_server

from mesh.errors import InvalidArgument, NotFound
from mesh.observability import telemetry
from mesh.process.server import serving as serving_on
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES
from services.scoring.inference import InferenceServicer
from services.scoring.ports import Matrix, Prediction
from tests.scoring.builders import Fixed, OneTerm, values
from tests.serving import serving

if TYPE_CHECKING:
    from inference.inference_pb2_grpc import GRPCInferenceServiceAsyncStub

CLIENT: Final = Path(__file__).parent / "inference_client.py"
ROWS: Final = [values(), values(error_count=3.0), values(success_rate=0.0, session_count=9.0)]


class Wide:
    """A model that takes two columns more, and whose terms are its columns."""

    card = dataclasses.replace(OneTerm.card, features=(*FEATURES, "first", "second"))

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        return Prediction([0.5] * len(rows), np.hstack([np.zeros((len(rows), 1)), rows]).astype("<f4").tobytes())


@pytest.fixture
async def stub(models: ModelDirectory) -> "AsyncIterator[GRPCInferenceServiceAsyncStub]":
    """A stub of the committed model."""
    servicer = InferenceServicer(models)
    async with serving(lambda server: add_GRPCInferenceServiceServicer_to_server(servicer, server)) as channel:
        yield GRPCInferenceServiceStub(channel)


def request(
    datatype: str = "FP64", name: str = "features", shape: tuple[int, ...] = (1, FEATURE_COUNT)
) -> wire.ModelInferRequest:
    asked = wire.ModelInferRequest(model_name="exit-risk")
    tensor = asked.inputs.add(name=name, datatype=datatype, shape=shape)
    tensor.contents.fp64_contents.extend(values())
    return asked


async def test_an_unmodified_client_works(models: ModelDirectory) -> None:
    pytest.importorskip("tritonclient.utils")
    servicer = InferenceServicer(models)
    register = lambda server: add_GRPCInferenceServiceServicer_to_server(servicer, server)  # noqa: E731
    async with serving_on("127.0.0.1:0", (register,), [], {}, telemetry.off()) as port:
        client = await asyncio.create_subprocess_exec(
            sys.executable, str(CLIENT), f"127.0.0.1:{port}", json.dumps(ROWS), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await client.communicate()
    told = json.loads(printed)
    expected = models.live().predict(np.array(ROWS)).probabilities
    assert (told["live"], told["ready"], told["model"], told["other"]) == (True, True, True, False)
    assert told["server"] == "journeymesh-scoring"
    assert told["versions"] == [models.live().card.version]
    assert told["inputs"] == [{"name": "features", "datatype": "FP64", "shape": ["-1", str(FEATURE_COUNT)]}]
    assert told["batch"][0] == expected
    assert told["batch"][1] == pytest.approx(expected, abs=1e-6)
    assert told["single"][0] == expected[:1]
    assert told["narrow"][0] == pytest.approx(expected[:1], abs=1e-4)
    assert "rows of" in told["refused"]


async def test_values_may_come_unpacked_and_outputs_be_chosen(
    stub: "GRPCInferenceServiceAsyncStub", models: ModelDirectory
) -> None:
    asked = request()
    asked.outputs.add(name="probability")
    answer = await stub.ModelInfer(asked)
    (raw,) = answer.raw_output_contents
    assert np.frombuffer(raw, "<f8").tolist() == models.live().predict(np.array([values()])).probabilities
    assert answer.model_version == models.live().card.version
    assert [*answer.outputs[0].shape] == [1]


@pytest.mark.parametrize(
    "asked",
    [
        wire.ModelInferRequest(model_name="exit-risk"),
        request(datatype="INT8"),
        request(name="other"),
        request(shape=(2, FEATURE_COUNT)),
        request(shape=(-1, FEATURE_COUNT)),
        request(shape=(FEATURE_COUNT,)),
        request(shape=(10**9, FEATURE_COUNT)),
    ],
)
async def test_what_is_no_rows_of_features_is_refused(
    stub: "GRPCInferenceServiceAsyncStub", asked: wire.ModelInferRequest
) -> None:
    with pytest.raises(InvalidArgument):
        await stub.ModelInfer(asked)


async def test_a_model_of_more_columns_takes_and_explains_them_all() -> None:
    wide, row = Wide(), [*values(), -3.0, 0.5]
    servicer = InferenceServicer(Fixed(wide))
    async with serving(lambda server: add_GRPCInferenceServiceServicer_to_server(servicer, server)) as channel:
        stub: GRPCInferenceServiceAsyncStub = GRPCInferenceServiceStub(channel)
        told = await stub.ModelMetadata(wire.ModelMetadataRequest(name="exit-risk"))
        asked = wire.ModelInferRequest(model_name="exit-risk")
        asked.inputs.add(name="features", datatype="FP64", shape=[1, len(row)]).contents.fp64_contents.extend(row)
        answer = await stub.ModelInfer(asked)
        with pytest.raises(InvalidArgument):
            await stub.ModelInfer(request())
    assert [[*each.shape] for each in (*told.inputs, *told.outputs)] == [[-1, 15], [-1], [-1, 16]]
    assert [[*each.shape] for each in answer.outputs] == [[1], [1, 16]]
    assert np.frombuffer(answer.raw_output_contents[1], "<f4").tolist() == [0.0, *row]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
async def test_a_value_out_of_range_is_refused(stub: "GRPCInferenceServiceAsyncStub", value: float) -> None:
    asked = request()
    asked.inputs[0].contents.fp64_contents[0] = value
    with pytest.raises(InvalidArgument):
        await stub.ModelInfer(asked)


@pytest.mark.parametrize("named", [("other", ""), ("exit-risk", "../x")])
async def test_only_what_serves_is_there(stub: "GRPCInferenceServiceAsyncStub", named: tuple[str, str]) -> None:
    name, version = named
    with pytest.raises(NotFound):
        await stub.ModelMetadata(wire.ModelMetadataRequest(name=name, version=version))
    assert not (await stub.ModelReady(wire.ModelReadyRequest(name=name, version=version))).ready
