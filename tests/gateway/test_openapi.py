"""The OpenAPI document is correct: it has every route, and answers conform to it."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from google.protobuf import descriptor
from journeymesh.common.v1 import event_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway.contract.route import Route
from gateway.http import problems
from gateway.routes.table import ROUTES
from tests.gateway.fakes import decision, delivery, intervention
from tests.gateway.running import NOW_US, Gateway, listening
from tests.gateway.test_access import ADMIN, PUBLIC, Issued, keyring

ENDLESS = [route.path for route in ROUTES if route.path.endswith(("/stream", "/socket"))]
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


async def document(gateway: Gateway) -> dict[str, Any]:
    answer = await gateway.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    described: dict[str, Any] = answer.json()
    return described


async def test_every_route_is_in_the_document_and_nothing_else(gateway: Gateway) -> None:
    described = await document(gateway)
    assert described["openapi"].startswith("3.1")
    listed = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert listed == {(route.method, route.path) for route in ROUTES}
    names = [operation["operationId"] for methods in described["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


async def test_every_schema_is_one(gateway: Gateway) -> None:
    described = await document(gateway)
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = msgspec.json.encode(described).decode()
    references = {part.split('"')[0] for part in text.split('"$ref":"#/components/')[1:]}
    assert {reference.partition("/")[0] for reference in references} == {"schemas", "responses", "headers"}
    for reference in references:
        kind, _, name = reference.partition("/")
        assert name in described["components"][kind]


async def test_what_many_routes_answer_stands_in_the_document_once(gateway: Gateway) -> None:
    responses = (await document(gateway))["components"]["responses"]
    statuses_and_texts = [(name.partition("-")[0], answer["description"]) for name, answer in responses.items()]
    assert len(statuses_and_texts) == len(set(statuses_and_texts))


def test_no_two_messages_share_a_name() -> None:
    """Schemas are named after messages; of two with one name, one would hide the other."""
    names: dict[str, str] = {}

    def look(of: descriptor.Descriptor) -> None:
        if names.setdefault(of.name, of.full_name) != of.full_name:
            pytest.fail(f"{of.full_name} and {names[of.name]}")
        for field in of.fields:
            if field.message_type is not None and field.message_type.full_name not in names.values():
                look(field.message_type)

    for route in ROUTES:
        if isinstance(route.answer, descriptor.Descriptor):
            look(route.answer)
    assert len(names) > 20


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_error_of_a_route_is_documented(gateway: Gateway, route: Route) -> None:
    described = await document(gateway)
    responses = described["paths"][route.path][route.method.lower()]["responses"]
    assert str(route.status) in responses
    for reason in route.reasons:
        for status in problems.REASONS[reason].statuses:
            name = responses[str(status)]["$ref"].removeprefix("#/components/responses/")
            answer = described["components"]["responses"][name]
            assert f"`{reason}`" in answer["description"]
            assert list(answer["content"]) == [problems.CONTENT_TYPE]


@pytest.mark.parametrize(
    ("keys", "key", "max_examples"),
    [("none", None, 12), ("required", ADMIN, 3), ("required", PUBLIC, 3), ("required", None, 3)],
    ids=["no keys", "an admin key", "a public key", "no key"],
)
async def test_answers_conform_to_the_openapi_document(
    tmp_path: Path, keys: str, key: Issued | None, max_examples: int
) -> None:
    """Schemathesis draws requests from the document, good and bad, and compares the answers with it."""
    async with listening(keys=keys) as (gateway, url):
        gateway.core.door.replace(keyring(ADMIN, PUBLIC), NOW_US)
        gateway.core.startup.note([])  # each service was reached
        services = gateway.services
        services.ingest.failed["f-1"] = ingest_pb2.FailedEvent(
            id="f-1", payload='{"userId":"ada","eventType":"session_start"}'
        )
        services.features.recent = [event_pb2.Event(event_id="e", event_time_us=1, user_id="ada", properties=b"{}")]
        services.intervention.pending = intervention()
        services.intervention.decisions = [decision()]
        services.intervention.policies.policies.add(version="policy-2+3f9a0c1d", document="version: policy-2")
        services.intervention.lift.lifts.add(dimension="all", treated_count=90, holdout_count=10)
        services.intervention.usage.models.add(model_id="m", call_counts={"ok": 2})
        services.intervention.made["i-1"] = intervention_pb2.GetInterventionResponse(
            intervention=intervention(), user_id="ada", decision_id="d-1", deliveries=[delivery()]
        )
        # Values are read by the same code whoever sends them: every boundary of every value is tried without keys only.
        is_read = key is ADMIN or keys == "none"
        phases = "examples,coverage,fuzzing" if keys == "none" else "examples,fuzzing"
        options = [
            *("--max-examples", str(max_examples), "--seed", "1", "--no-shrink", "--generation-database", "none"),
            *("--phases", phases, "--continue-on-failure", "--warnings", "off"),
            *(f"--exclude-path={path}" for path in ENDLESS),
        ]
        if key is not None:
            options += ["--header", f"Authorization: Bearer {key.text}"]
        if not is_read:
            options += ["--checks", "not_a_server_error,status_code_conformance,response_schema_conformance"]
        program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIGURATION)]
        command = [*program, "run", f"{url}/openapi.json", *options]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
