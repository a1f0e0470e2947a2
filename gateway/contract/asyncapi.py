"""The AsyncAPI 3.0 document of event streams and socket, from the same schemas as the OpenAPI document."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from google.protobuf.descriptor import Descriptor
from journeymesh.analytics.v1 import insights_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway.contract import shapes
from gateway.contract.shapes import Schema
from gateway.formats.rendering import describe
from gateway.http import asgi, parameters
from gateway.push import incidents, live, socket, sse

_CURSOR: Final = "`cursor` grows with every change of what waits; the poll, the stream and the socket share it."
_PENDING: Final = intervention_pb2.GetPendingInterventionResponse.DESCRIPTOR
_HAPPENED: Final = intervention_pb2.WatchHappeningsResponse.DESCRIPTOR
_INCIDENTS: Final = insights_pb2.WatchInsightsResponse.DESCRIPTOR
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
            "channels": {
                "stream": stream,
                "socket": both_ways,
                "live": _live(components),
                "incidents": _incidents(components),
                "incidentsSocket": _incidents_socket(components),
            },
            "operations": {
                "streamWhatWaits": {"action": "send", **_of("stream", stream["messages"])},
                "tellWhatWaits": {"action": "send", **_of("socket", [socket.CHANGE])},
                "tellWhatHappens": {"action": "send", **_of("live", [live.EVENT])},
                "tellIncidents": {"action": "send", **_of("incidents", [incidents.EVENT])},
                "tellIncidentsOverSocket": {
                    "action": "send",
                    **_of("incidentsSocket", [incidents.EVENT, "problem"]),
                },
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
            socket.CHANGE: ("What waits, at every change.", _typed(_PENDING, socket.CHANGE, components)),
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


def _incidents(components: Schema) -> Schema:
    return _channel(
        "/api/insights/stream",
        "Server-sent events about incidents of the caller's tenant: first those there are, then each as it changes. An "
        "event has the sequence as its `id`; a client that comes back with it in `Last-Event-ID` is told what changed.",
        {incidents.EVENT: ("Incidents, all or those that changed.", describe(_INCIDENTS, components))},
        {"http": {"bindingVersion": "0.3.0"}},
    )


def _incidents_socket(components: Schema) -> Schema:
    query = {
        "type": "object",
        "properties": {"sequence": {"type": "string", "pattern": parameters.CURSOR, "description": "Seen last."}},
    }
    return _channel(
        "/api/insights/socket",
        "The same over a WebSocket with texts of JSON. It takes no frames.",
        {
            incidents.EVENT: ("Incidents, all or those that changed.", _typed(_INCIDENTS, incidents.EVENT, components)),
            "problem": ("A frame was not taken.", shapes.of(incidents.Unheard, components)),
        },
        {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
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


def _typed(of: Descriptor, kind: str, components: Schema) -> Schema:
    """What `describe` says of a message, with the `type` of a frame."""
    describe(of, components)
    its = components[of.name]
    return {
        **its,
        "properties": {"type": {"const": kind}, **its["properties"]},
        "required": ["type", *its["required"]],
    }


def _of(channel: str, messages: Iterable[str]) -> Schema:
    where = f"#/channels/{channel}"
    return {
        "channel": {"$ref": where},
        "messages": [{"$ref": f"{where}/messages/{name}"} for name in messages],
    }
