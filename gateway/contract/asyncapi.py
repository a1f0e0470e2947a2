"""The AsyncAPI 3.0 document of event streams and socket, from the same schemas as the OpenAPI document."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from journeymesh.intervention.v1 import intervention_pb2

from gateway.contract import shapes
from gateway.contract.shapes import Schema
from gateway.formats.rendering import describe
from gateway.http import asgi, parameters
from gateway.push import live, socket, sse

_CURSOR: Final = "`cursor` grows with every change of what waits; the poll, the stream and the socket share it."
_PENDING: Final = intervention_pb2.GetPendingInterventionResponse.DESCRIPTOR
_HAPPENED: Final = intervention_pb2.WatchHappeningsResponse.DESCRIPTOR
_OF_USER: Final = "/api/interventions/{userId}"


def document() -> bytes:
    """The document as JSON."""
    components: Schema = {}
    stream, both_ways = _stream(components), _socket(components)
    return msgspec.json.encode(
        {
            "asyncapi": "3.0.0",
            "info": {"title": "Journeymesh", "version": "1", "description": f"What is pushed to clients. {_CURSOR}"},
            "defaultContentType": asgi.JSON,
            "channels": {"stream": stream, "socket": both_ways, "live": _live(components)},
            "operations": {
                "streamWhatWaits": {"action": "send", **_of("stream", stream["messages"])},
                "tellWhatWaits": {"action": "send", **_of("socket", [socket.CHANGE])},
                "tellWhatHappens": {"action": "send", **_of("live", [live.EVENT])},
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
        f"{_OF_USER}/stream",
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
        f"{_OF_USER}/socket",
        "A WebSocket with texts of JSON. Whatever it is closed with, come back with the last cursor.",
        {
            socket.CHANGE: ("What waits, at every change.", _change(components)),
            "outcome": ("What became of an intervention.", shapes.of(socket.OutcomeSaid, components)),
            "outcome_taken": ("The outcome was taken.", shapes.of(socket.OutcomeHeard, components)),
            "problem": ("A frame was not taken; an RFC 9457 problem says why.", shapes.of(socket.Refused, components)),
        },
        {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
    )


def _live(components: Schema) -> Schema:
    return _channel(
        "/api/happenings/stream",
        "Server-sent events about the users of the caller's tenant, at most four per second. Nothing is kept: a client "
        "that comes back asks `/api/analytics/lists` for what it has missed. The first event is empty, and says that "
        "everything later will be told.",
        {live.EVENT: ("Struggle, decisions on users at risk, and outcomes.", describe(_HAPPENED, components))},
        {"http": {"bindingVersion": "0.3.0"}},
    )


def _channel(address: str, about: str, messages: Mapping[str, tuple[str, Schema]], bindings: Schema) -> Schema:
    is_of_user = address.startswith(_OF_USER)
    return {
        "address": address,
        "description": about,
        "parameters": {"userId": {"description": "The user, percent-encoded."}} if is_of_user else {},
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
