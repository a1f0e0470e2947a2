"""The Open Inference Protocol over REST: an unmodified client, both forms of tensors, and what is refused."""

import asyncio
import contextlib
import dataclasses
import importlib.util
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference import inference_pb2 as wire

from gateway.access.permissions import OF_TENANTS
from gateway.formats import inference
from gateway.routes.inference import INFERENCE_ROUTES
from mesh.errors import InvalidArgument
from mesh.keys import Kind
from services.scoring.domain.schema import FEATURE_COUNT
from services.scoring.domain.stages import EVERYBODY
from services.scoring.ports import Served, Serving
from tests.gateway.fakes import Services
from tests.gateway.running import Gateway, listening, running
from tests.gateway.test_access import Issued, issued
from tests.gateway.test_rates import know
from tests.scoring.builders import OneTerm, values

CLIENT: Final = Path(__file__).with_name("inference_client.py")
ROWS: Final = [values(), values(engagement_score=12.0)]
RISKS: Final = OneTerm().predict(np.array(ROWS)).probabilities
INFER: Final = "/v2/models/exit-risk/infer"


def body(**members: Any) -> dict[str, Any]:
    tensor = {"name": "features", "datatype": "FP64", "shape": [2, FEATURE_COUNT], "data": ROWS}
    return {"inputs": [tensor | members]}


class Of(OneTerm):
    """The same model as a version of its own."""

    def __init__(self, version: str) -> None:
        self.card = dataclasses.replace(OneTerm.card, version=version)


class OfTenants:
    """Models of everybody and of two tenants. That of globex takes a column more."""

    def served(self) -> Served:
        """See `services.scoring.ports.Models`."""
        wide = Of("globex-1")
        wide.card = dataclasses.replace(wide.card, features=(*wide.card.features, "more"))
        acme = Serving(Of("acme-1"), Of("acme-2"), 10, Of("acme-3"))
        return Served({EVERYBODY: Serving(OneTerm()), "acme": acme, "globex": Serving(wide)})


ACME, INITECH, WHOLE = issued(Kind.SECRET, tenant="acme"), issued(Kind.SECRET, tenant="initech"), issued(Kind.SECRET)


@pytest.fixture
async def of_tenants() -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway in front of these, and its address."""
    services = Services(models=OfTenants())
    async with listening(services=services, keys="required") as (gateway, url):
        know(gateway, ACME, INITECH, WHOLE)
        yield gateway, url


async def told_to_a_client(url: str, key: str = "") -> dict[str, Any]:
    if not importlib.util.find_spec("geventhttpclient"):
        pytest.skip("the client's transport is not installed")
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CLIENT), url.removeprefix("http://"), json.dumps(ROWS), key),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await client.communicate()
    return dict(json.loads(printed))


def assert_works(told: dict[str, Any], *versions: str) -> None:
    assert (told["live"], told["ready"], told["model"], told["other"]) == (True, True, True, False)
    assert told["server"] == ["binary_tensor_data"]
    assert told["versions"] == [*versions]
    assert told["inputs"] == [{"name": "features", "datatype": "FP64", "shape": [-1, FEATURE_COUNT]}]
    assert told["risks"] == [RISKS] * 8
    assert told["packed"] == RISKS
    assert told["all"] == FEATURE_COUNT + 1
    assert "rows of" in told["refused"]
    assert not told["of_another"]


async def test_an_unmodified_client_works() -> None:
    async with listening() as (_, url):
        assert_works(await told_to_a_client(url), "test-1")


async def test_it_works_for_a_tenant_s_own_models(of_tenants: tuple[Gateway, str]) -> None:
    assert_works(await told_to_a_client(of_tenants[1], ACME.text), "acme-1", "acme-2", "acme-3")


async def test_json_is_answered_with_json(gateway: Gateway) -> None:
    answer = await gateway.client.post(INFER, json=body() | {"id": "seven"})
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    probability, terms = told.pop("outputs")
    assert told == {"model_name": "exit-risk", "model_version": "test-1", "id": "seven"}
    assert probability == {"name": "probability", "datatype": "FP64", "shape": [2], "data": RISKS}
    assert (terms["shape"], len(terms["data"])) == ([2, FEATURE_COUNT + 1], 2 * (FEATURE_COUNT + 1))
    logits = np.reshape(terms["data"], terms["shape"]).sum(axis=1)
    assert (1 / (1 + np.exp(-logits))).tolist() == pytest.approx(RISKS, abs=1e-6)


async def test_a_tenant_has_the_versions_that_serve_it_and_no_others(of_tenants: tuple[Gateway, str]) -> None:
    client = of_tenants[0].client
    for version in ("", "acme-1", "acme-2", "acme-3"):
        path = "/v2/models/exit-risk" + (f"/versions/{version}" if version else "")
        told = (await client.get(path, headers=ACME.headers)).json()
        assert (told["name"], told["versions"]) == ("exit-risk", ["acme-1", "acme-2", "acme-3"])
        assert (await client.get(f"{path}/ready", headers=ACME.headers)).json() == {"name": "exit-risk", "ready": True}
        answer = (await client.post(f"{path}/infer", json=body(), headers=ACME.headers)).json()
        assert (answer["model_name"], answer["model_version"]) == ("exit-risk", version or "acme-1")
        assert answer["outputs"][0]["data"] == RISKS
    assert (await client.get("/v2", headers=ACME.headers)).json()["name"] == "journeymesh-scoring"


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (ACME, "exit-risk/versions/globex-1"),
        (ACME, "exit-risk/versions/test-1"),
        (ACME, "%1Fglobex%1Fexit-risk"),
        (ACME, "%1Fglobex%1Fexit-risk/versions/globex-1"),
        (INITECH, "exit-risk"),
        (INITECH, "exit-risk/versions/test-1"),
        (INITECH, "exit-risk/versions/acme-1"),
        (WHOLE, "%1Fglobex%1Fexit-risk"),
    ],
)
async def test_what_serves_others_is_not_found(of_tenants: tuple[Gateway, str], key: Issued, path: str) -> None:
    client = of_tenants[0].client
    answers = [
        await client.get(f"/v2/models/{path}", headers=key.headers),
        await client.get(f"/v2/models/{path}/ready", headers=key.headers),
        await client.post(f"/v2/models/{path}/infer", json=body(), headers=key.headers),
    ]
    assert {(each.status_code, each.json()["reason"]) for each in answers} == {(404, "MODEL_NOT_FOUND")}
    assert not any("globex-1" in each.text.replace(path, "") for each in answers)


async def test_who_runs_the_mesh_has_the_versions_of_all(of_tenants: tuple[Gateway, str]) -> None:
    client = of_tenants[0].client
    told = (await client.get("/v2/models/exit-risk", headers=WHOLE.headers)).json()
    assert told["versions"] == ["acme-1", "acme-2", "acme-3", "globex-1", "test-1"]
    path = "/v2/models/exit-risk/versions/acme-1/infer"
    assert (await client.post(path, json=body(), headers=WHOLE.headers)).json()["model_version"] == "acme-1"


async def test_outputs_and_versions_are_chosen(gateway: Gateway) -> None:
    asked = body(data=[value for row in ROWS for value in row]) | {"outputs": [{"name": "probability"}]}
    answer = await gateway.client.post("/v2/models/exit-risk/versions/test-1/infer", json=asked)
    assert [(each["name"], each["data"]) for each in answer.json()["outputs"]] == [("probability", RISKS)]
    for path in ("/v2/models/exit-risk/versions/test-2", "/v2/models/other"):
        for asking in (gateway.client.get(path), gateway.client.get(path + "/ready")):
            assert (await asking).json()["reason"] == "MODEL_NOT_FOUND"
        assert (await gateway.client.post(path + "/infer", json=body())).status_code == 404
    assert (await gateway.client.get("/v2")).json()["name"] == "journeymesh-scoring"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"name": "other"}, "INVALID_TYPE"),
        ({"datatype": "INT8"}, "INVALID_TYPE"),
        ({"datatype": "BYTES", "data": ["a"]}, "INVALID_TYPE"),
        ({"shape": [1, FEATURE_COUNT]}, "INVALID_TYPE"),
        ({"shape": [2**40, FEATURE_COUNT]}, "INVALID_TYPE"),
        ({"shape": [-1, FEATURE_COUNT]}, "INVALID_TYPE"),
        ({"shape": []}, "INVALID_TYPE"),
        ({"data": [[[1.0]]]}, "INVALID_TYPE"),
        ({"data": []}, "INVALID_TYPE"),
        ({"parameters": {"binary_data_size": 8}}, "INVALID_TYPE"),
        ({"parameters": {"binary_data_size": True}}, "INVALID_TYPE"),
        ({"data": [[-1.0] * FEATURE_COUNT] * 2}, "VALUE_OUT_OF_RANGE"),
        ({"data": [[1e300] * FEATURE_COUNT] * 2, "datatype": "FP32"}, "VALUE_OUT_OF_RANGE"),
    ],
)
async def test_what_is_no_rows_of_features_is_refused(gateway: Gateway, members: dict[str, Any], reason: str) -> None:
    answer = await gateway.client.post(INFER, json=body(**members))
    told = answer.json()
    assert (answer.status_code, told["reason"]) == (400, reason)
    assert told["error"] == told["detail"]


@pytest.mark.parametrize(
    ("sent", "headers", "status", "reason"),
    [
        (b"{", {}, 400, "MALFORMED_JSON"),
        (b"{}", {}, 400, "INVALID_TYPE"),
        (b"[]", {}, 400, "INVALID_TYPE"),
        (b"{}", {"inference-header-content-length": "3"}, 400, "INVALID_PARAMETER"),
        (b"{}", {"inference-header-content-length": "-1"}, 400, "INVALID_PARAMETER"),
        (b'{"inputs":[]}too much', {"inference-header-content-length": "13"}, 400, "INVALID_TYPE"),
        (b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_CONTENT_TYPE"),
        (b" " * 600_000, {}, 400, "REQUEST_TOO_LARGE"),
    ],
)
async def test_what_is_no_request_is_refused(
    gateway: Gateway, sent: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = await gateway.post(sent, INFER, **headers)
    told = answer.json()
    assert told["reason"] == reason
    assert answer.status_code == (413 if reason == "REQUEST_TOO_LARGE" else status)
    assert told["error"] == told["detail"]


async def test_only_errors_of_this_protocol_have_its_member(gateway: Gateway) -> None:
    assert "error" not in (await gateway.client.get("/api/users/nobody/risk?x=1")).json()
    assert (await gateway.client.get("/v2?x=1")).json()["error"]


async def test_health_needs_no_key_and_all_else_needs_one() -> None:
    async with running(keys="required") as gateway:
        assert (await gateway.client.get("/v2/health/live")).json() == {"live": True}
        assert (await gateway.client.get("/v2/health/ready")).json() == {"ready": True}
        refused = await gateway.client.post(INFER, json=body())
        assert (refused.status_code, refused.json()["reason"]) == (401, "KEY_REQUIRED")
        assert refused.json()["error"]
    assert {(route.method, route.path) for route in INFERENCE_ROUTES} <= OF_TENANTS


@given(
    rows=st.lists(st.lists(st.floats(0, 1e9, width=32), min_size=3, max_size=3), max_size=5),
    kind=st.sampled_from([("FP64", "<f8"), ("FP32", "<f4")]),
)
@settings(max_examples=50)
def test_binary_and_json_say_the_same(rows: list[list[float]], kind: tuple[str, str]) -> None:
    name, packed = kind
    tensor = {"name": "x", "datatype": name, "shape": [len(rows), 3]}
    raw = np.array(rows, packed).tobytes()
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}]}).encode()
    binary = inference.asked(head + raw, str(len(head)), "m", "v").message
    plain = inference.asked(json.dumps({"inputs": [tensor | {"data": rows}]}).encode(), "", "m", "v").message
    contents = plain.inputs[0].contents
    assert np.frombuffer(binary.raw_input_contents[0], packed).tolist() == [
        *(contents.fp32_contents if name == "FP32" else contents.fp64_contents)
    ]
    answer = wire.ModelInferResponse(raw_output_contents=[raw])
    answer.outputs.add(name="y", datatype=name, shape=[len(rows), 3])
    for is_binary in (False, True):
        told, size = inference.answered(answer, inference.Asked(plain, is_binary, {}))
        (got,) = json.loads(told[:size])["outputs"]
        values_got = np.frombuffer(told[size:], packed).tolist() if is_binary else got["data"]
        assert values_got == [value for row in rows for value in row]


@given(st.binary(max_size=40), st.text(max_size=3))
def test_any_body_is_a_request_or_is_refused(sent: bytes, size: str) -> None:
    with contextlib.suppress(InvalidArgument):
        assert inference.asked(sent, size, "m", "").message.inputs is not None
