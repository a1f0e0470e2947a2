"""The AsyncAPI 3.0 document of event stream and socket, from the same schemas as the OpenAPI document."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from journeymesh.intervention.v1 import intervention_pb2

from gateway.contract import shapes
from gateway.contract.shapes import Schema
from gateway.formats.rendering import describe
from gateway.http import asgi, parameters
from gateway.push import socket, sse

_CURSOR: Final = "`cursor` grows with every change of what waits; the poll, the stream and the socket share it."
_PENDING: Final = intervention_pb2.GetPendingInterventionResponse.DESCRIPTOR


def document() -> bytes:
    """The document as JSON."""
    components: Schema = {}
    stream, both_ways = _stream(components), _socket(components)
    return msgspec.json.encode(
        {
            "asyncapi": "3.0.0",
            "info": {"title": "Journeymesh", "version": "1", "description": f"What is pushed to clients. {_CURSOR}"},
            "defaultContentType": asgi.JSON,
            "channels": {"stream": stream, "socket": both_ways},
            "operations": {
                "streamWhatWaits": {"action": "send", **_of("stream", stream["messages"])},
                "tellWhatWaits": {"action": "send", **_of("socket", [socket.CHANGE])},
                "takeOutcome": {
                    "action": "receive",
                    **_of("socket", ["outcome"]),
                    "reply": _of("socket", ["outcome_taken", "problem"]),
                },
            },
            "components": {"schemas": components},
        }
    )


def _stream(components: Schema) -> Schema:
    waits = describe(_PENDING, components)
    return _channel(
        "stream",
        "Server-sent events. An event has the name of its message and the cursor as its `id`; a client that comes back "
        "with it in `Last-Event-ID` goes on after it.",
        {sse.EVENT: ("Help waits.", waits), sse.NO_EVENT: ("Nothing waits.", waits)},
        {"http": {"bindingVersion": "0.3.0"}},
    )


def _socket(components: Schema) -> Schema:
    query = {
        "type": "object",
        "properties": {"cursor": {"type": "string", "pattern": parameters.CURSOR, "description": "Seen last."}},
    }
    return _channel(
        "socket",
        "A WebSocket with texts of JSON. Whatever it is closed with, come back with the last cursor.",
        {
            socket.CHANGE: ("What waits, at every change.", _change(components)),
            "outcome": ("What became of an intervention.", shapes.of(socket.OutcomeSaid, components)),
            "outcome_taken": ("The outcome was taken.", shapes.of(socket.OutcomeHeard, components)),
            "problem": ("A frame was not taken; an RFC 9457 problem says why.", shapes.of(socket.Refused, components)),
        },
        {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
    )


def _channel(name: str, about: str, messages: Mapping[str, tuple[str, Schema]], bindings: Schema) -> Schema:
    return {
        "address": f"/api/interventions/{{userId}}/{name}",
        "description": about,
        "parameters": {"userId": {"description": "The user, percent-encoded."}},
        "messages": {
            name: {"name": name, "summary": summary, "payload": payload}
            for name, (summary, payload) in messages.items()
        },
        "bindings": bindings,
    }


def _change(components: Schema) -> Schema:
    """What a poll answers, with the `type` of a frame."""
    describe(_PENDING, components)
    waits = components[_PENDING.name]
    return {
        **waits,
        "properties": {"type": {"const": socket.CHANGE}, **waits["properties"]},
        "required": ["type", *waits["required"]],
    }


def _of(channel: str, messages: Iterable[str]) -> Schema:
    where = f"#/channels/{channel}"
    return {
        "channel": {"$ref": where},
        "messages": [{"$ref": f"{where}/messages/{name}"} for name in messages],
    }
