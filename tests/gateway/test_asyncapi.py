"""The AsyncAPI document is valid and correct: pushed and received frames conform to it."""

import json
from typing import Any

import httpx
import jsonschema
import pytest
from journeymesh.intervention.v1 import intervention_pb2
from websockets.asyncio.client import connect

from gateway.formats.schema import OUTCOMES
from gateway.push import socket
from gateway.routes import table
from tests.gateway.fakes import intervention
from tests.gateway.running import Gateway, listening

REFERENCE = {
    "type": "object",
    "properties": {"$ref": {"type": "string", "pattern": "^#/"}},
    "required": ["$ref"],
    "additionalProperties": False,
}
MESSAGES = {"channel": REFERENCE, "messages": {"type": "array", "items": REFERENCE, "minItems": 1}}
DESCRIBED = {"type": "object", "properties": {"description": {"type": "string"}}, "additionalProperties": False}


def closed(required: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    """An object with these members and no others."""
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT = {"type": "string", "minLength": 1}
MESSAGE = closed({"name": TEXT, "payload": {"type": "object"}}, {"summary": TEXT})
CHANNEL = closed(
    {"address": TEXT, "messages": {"type": "object", "additionalProperties": MESSAGE}},
    {
        "description": TEXT,
        "parameters": {"type": "object", "additionalProperties": DESCRIBED},
        "bindings": {"type": "object", "propertyNames": {"enum": ["http", "ws"]}},
    },
)
OPERATION = closed({"action": {"enum": ["send", "receive"]}, **MESSAGES}, {"reply": closed({}, MESSAGES)})
# What AsyncAPI 3.0 asks of a document, as far as ours goes.
STRUCTURE = closed(
    {
        "asyncapi": {"const": "3.0.0"},
        "info": closed({"title": TEXT, "version": TEXT}, {"description": TEXT}),
        "channels": {"type": "object", "additionalProperties": CHANNEL},
        "operations": {"type": "object", "additionalProperties": OPERATION},
        "components": closed({"schemas": {"type": "object"}}, {}),
    },
    {"defaultContentType": TEXT},
)


async def document(gateway: Gateway) -> dict[str, Any]:
    answer = await gateway.client.get("/asyncapi.json")
    assert answer.headers["content-type"] == "application/json"
    described: dict[str, Any] = answer.json()
    return described


def at(value: Any, reference: str) -> Any:
    """What a reference leads to."""
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def references(value: Any) -> list[str]:
    """Every reference of a document."""
    if isinstance(value, list):
        return [each for one in value for each in references(one)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [each for one in value.values() for each in references(one)]


def check(described: dict[str, Any], channel: str, message: str, payload: Any) -> None:
    """Returns if the payload is what the document says of the message."""
    schema = described["channels"][channel]["messages"][message]["payload"]
    jsonschema.Draft7Validator(schema | {"components": described["components"]}).validate(payload)


async def test_it_has_the_structure_of_asyncapi(gateway: Gateway) -> None:
    described = await document(gateway)
    jsonschema.Draft202012Validator(STRUCTURE).validate(described)
    assert len(references(described)) > 10
    for reference in references(described):
        assert at(described, reference)
    for operation in described["operations"].values():
        for part in (operation, operation.get("reply", operation)):
            assert all(each["$ref"].startswith(part["channel"]["$ref"] + "/messages/") for each in part["messages"])
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)


async def test_every_push_is_in_it_and_in_an_operation(gateway: Gateway) -> None:
    described = await document(gateway)
    pushed = {route.path for route in table.ROUTES if route.status == 101 or route.answer == "text/event-stream"}
    assert {channel["address"] for channel in described["channels"].values()} == pushed
    for channel in described["channels"].values():
        assert set(channel["parameters"]) == ({"userId"} if "{userId}" in channel["address"] else set())
    used = {each for operation in described["operations"].values() for each in references(operation)}
    for name, channel in described["channels"].items():
        for message in channel["messages"]:
            assert f"#/channels/{name}/messages/{message}" in used


async def test_it_has_the_schema_of_the_poll_s_answer(gateway: Gateway) -> None:
    described, rest = await document(gateway), (await gateway.client.get("/openapi.json")).json()
    name = "GetPendingInterventionResponse"
    assert described["components"]["schemas"][name] == rest["components"]["schemas"][name]


async def test_live_frames_are_as_it_says() -> None:
    async with listening() as (gateway, url):
        described = await document(gateway)
        service = gateway.services.intervention
        service.made["i-1"] = intervention_pb2.GetInterventionResponse(user_id="ada", intervention=intervention())
        for offered in (intervention(), None):
            cursor = str(len(service.changes) + 1)
            service.changes.append(
                intervention_pb2.WatchPendingInterventionResponse(cursor=cursor, intervention=offered)
            )
        service.ends = True
        async with httpx.AsyncClient() as client:
            streamed = (await client.get(f"{url}/api/interventions/ada/stream")).text
        events = [dict(line.split(": ", 1) for line in each.split("\n")) for each in streamed.strip().split("\n\n")[1:]]
        assert [each["event"] for each in events] == ["intervention", "none"]
        for each in events:
            payload = json.loads(each["data"])
            check(described, "stream", each["event"], payload)
            assert each["id"] == payload["cursor"]
        service.ends = False
        async with connect(url.replace("http:", "ws:") + "/api/interventions/ada/socket") as client:
            frames = [json.loads(await client.recv()) for _ in range(2)]
            said = [json.loads(socket.EXAMPLE) | {"id": "i-1", "outcome": outcome} for outcome in OUTCOMES]
            for frame in (*said, json.loads(socket.EXAMPLE)):
                check(described, "socket", "outcome", frame)
                await client.send(json.dumps(frame))
                frames.append(json.loads(await client.recv()))
        for frame in frames:
            check(described, "socket", frame["type"], frame)
        assert {frame["type"] for frame in frames} | {"outcome"} == set(described["channels"]["socket"]["messages"])


@pytest.mark.parametrize(
    "frame",
    [{}, {"type": "outcome"}, {"type": "outcome", "id": "i", "outcome": "liked"}, {"id": "i", "outcome": "shown"}, []],
)
async def test_what_it_does_not_allow_is_refused(gateway: Gateway, frame: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(await document(gateway), "socket", "outcome", frame)
    async with listening() as (_, url), connect(url.replace("http:", "ws:") + "/api/interventions/a/socket") as client:
        await client.send(json.dumps(frame))
        assert json.loads(await client.recv())["type"] == "problem"
