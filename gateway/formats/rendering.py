"""Messages of the contracts as JSON, and the JSON schema of that: two functions over the same descriptors.

Names are camelCase. Every member is present: an absent message or `optional` member and an unspecified enum are null,
anything else has its default. Enums are lower-case names without their prefix (reasons are upper case, as in
problems), times are RFC 3339, numbers are numbers, bytes are base64, ids are plain (`records.tenants`). Events are as
clients send them: see `write_event`.
"""

from typing import Any, Final

import msgspec
from google.protobuf import descriptor, message, timestamp_pb2, wrappers_pb2
from journeymesh.common.v1 import event_pb2
from journeymesh.common.v1.event_pb2 import Event, Outcome

from gateway.formats import schema
from gateway.formats.schema import enum_names
from gateway.formats.values import times
from records.tenants import plain

_Field = descriptor.FieldDescriptor
_TIMESTAMP: Final = timestamp_pb2.Timestamp.DESCRIPTOR.full_name
_NUMBER: Final = wrappers_pb2.DoubleValue.DESCRIPTOR.full_name
_EVENT: Final = event_pb2.Event.DESCRIPTOR.full_name
_TYPES: Final = {
    _Field.CPPTYPE_INT32: "integer",
    _Field.CPPTYPE_INT64: "integer",
    _Field.CPPTYPE_UINT32: "integer",
    _Field.CPPTYPE_UINT64: "integer",
    _Field.CPPTYPE_DOUBLE: "number",
    _Field.CPPTYPE_FLOAT: "number",
    _Field.CPPTYPE_BOOL: "boolean",
    _Field.CPPTYPE_STRING: "string",
}


def render(of: message.Message) -> dict[str, object]:
    """The message as JSON values."""
    fields: list[Any] = list(of.DESCRIPTOR.fields)
    return {field.json_name: _member(of, field) for field in fields}


def write_event(event: Event) -> dict[str, object]:
    """The event as a client sends it, with what ingest added."""
    context = {
        "platform": _name(schema.PLATFORMS, event.platform),
        "deviceId": event.device_id,
        "timeZone": event.time_zone,
        "userAgent": event.user_agent,
        "correlationId": event.correlation_id,
        "automated": event.is_automated,
    }
    known_context = {name: value for name, value in context.items() if value}
    if event.is_system:
        known_context["active"] = False
    written = {
        "eventId": plain(event.event_id),
        "userId": plain(event.user_id),
        "anonymousId": plain(event.anonymous_id),
        "sessionId": event.session_id,
        "eventType": _name(schema.EVENT_TYPES, event.event_type),
        "timestamp": times.rfc3339(event.event_time_us),
        "clientTimestamp": times.rfc3339(event.client_time_us) if event.client_time_us else "",
        "sentAt": times.rfc3339(event.sent_time_us) if event.sent_time_us else "",
        "properties": msgspec.Raw(event.properties) if event.properties else _typed_properties(event),
        "context": known_context,
        "receivedTime": times.rfc3339(event.received_time_us) if event.received_time_us else "",
        "sessionStart": times.rfc3339(event.session_start_us) if event.session_start_us else "",
        "deviceClass": _name(schema.DEVICE_CLASSES, event.device_class),
        "botEvidence": event.bot_evidence,
        "linkedUserId": plain(event.linked_user_id),
        "copiedEventId": plain(event.copied_event_id),
    }
    return {**{name: value for name, value in written.items() if value != ""}, "isBot": event.is_bot}


def describe(of: descriptor.Descriptor, components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of what `render` returns for such a message: a reference into `components`, which is filled."""
    name = of.name
    if name not in components:
        components[name] = {}  # a message may contain itself
        properties = {field.json_name: _schema(field, components) for field in of.fields}
        components[name] = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    return {"$ref": f"#/components/schemas/{name}"}


def _member(of: message.Message, field: _Field) -> object:
    value = getattr(of, field.name)
    inside = _map_value(field)
    if inside is not None:
        return {key: _value(inside, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_value(field, item) for item in value]
    if field.has_presence and not of.HasField(field.name):
        return None
    return _value(field, value)


def _value(field: _Field, value: Any) -> object:  # noqa: ANN401 - whatever type the field has
    if field.enum_type is not None:
        # A newer service may send a value that this gateway has no word for.
        return enum_names(field.enum_type).get(value)
    if field.message_type is None:
        return plain(value) if field.type == _Field.TYPE_STRING else value
    if field.message_type.full_name == _TIMESTAMP:
        return value.ToJsonString()
    if field.message_type.full_name == _NUMBER:
        return value.value
    return write_event(value) if field.message_type.full_name == _EVENT else render(value)


def _map_value(field: _Field) -> _Field | None:
    """The field of a map's values; None if the field is no map."""
    of = field.message_type
    return of.fields_by_name["value"] if of is not None and of.GetOptions().map_entry else None


def _schema(field: _Field, components: dict[str, Any]) -> dict[str, Any]:
    inside = _map_value(field)
    if inside is not None:
        return {"type": "object", "additionalProperties": _item_schema(inside, components, is_nullable=False)}
    if field.is_repeated:
        return {"type": "array", "items": _item_schema(field, components, is_nullable=False)}
    return _item_schema(field, components, is_nullable=True)


def _item_schema(field: _Field, components: dict[str, Any], *, is_nullable: bool) -> dict[str, Any]:
    if field.enum_type is not None:
        known = [word for word in enum_names(field.enum_type).values() if word]
        return {"enum": [*known, None] if is_nullable else known}
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            return {"type": ["string", "null"] if is_nullable else "string", "format": "date-time"}
        if field.message_type.full_name == _NUMBER:
            return {"type": ["number", "null"] if is_nullable else "number"}
        is_event = field.message_type.full_name == _EVENT
        reference = {"$ref": "#/components/schemas/Event"} if is_event else describe(field.message_type, components)
        return {"anyOf": [reference, {"type": "null"}]} if is_nullable else reference
    kind = _TYPES[field.cpp_type]
    plain = {"type": [kind, "null"] if is_nullable and field.has_presence else kind}
    return plain | {"contentEncoding": "base64"} if field.type == _Field.TYPE_BYTES else plain


def _typed_properties(event: Event) -> dict[str, object]:
    """The known properties of an event whose `properties` were not kept."""
    common: dict[str, object] = {
        "page": event.page,
        "target": event.target,
        "attempts": event.attempt_count,
        "errorCode": event.error_code,
        "isRefresh": event.is_refresh,
    }
    properties = {name: value for name, value in common.items() if value}
    which = event.WhichOneof("detail")
    if which:
        members = getattr(event, which).ListFields()
        properties |= {field.json_name: _typed(value) for field, value in members}
    if "action" in properties:
        properties["action"] = _name(schema.ACTIONS, event.playback.action)
    if "outcome" in properties:
        properties["outcome"] = enum_names(Outcome.DESCRIPTOR).get(event.outcome.outcome)
    return properties


def _typed(value: Any) -> object:  # noqa: ANN401 - a member of an event's detail
    if isinstance(value, str):
        return plain(value)
    return value if isinstance(value, (int, float)) else [*map(render, value)]


def _name(known: dict[str, int], number: int) -> str:
    return next((name for name, value in known.items() if value == number), "")
