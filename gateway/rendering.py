"""Messages of the contracts as JSON, and the schema of that JSON: two functions over the same descriptors.

Names are camelCase. Every member is there: a message or an enum's value that is absent is null, anything else has its
default. Enums are lower-case names without their prefix (the reasons of errors are upper-case, as in problems), times
are RFC 3339, numbers are numbers. Events are as clients send them: `transcode.write_event`.
"""

from typing import Any, Final

from google.protobuf import descriptor, message, timestamp_pb2
from journeymesh.common.v1 import event_pb2

from gateway.schema import words
from gateway.transcode import write_event

_Field = descriptor.FieldDescriptor
_TIMESTAMP: Final = timestamp_pb2.Timestamp.DESCRIPTOR.full_name
_EVENT: Final = event_pb2.Event.DESCRIPTOR.full_name
_INTEGERS: Final = (
    _Field.CPPTYPE_INT32,
    _Field.CPPTYPE_INT64,
    _Field.CPPTYPE_UINT32,
    _Field.CPPTYPE_UINT64,
)
_FLOATS: Final = (_Field.CPPTYPE_DOUBLE, _Field.CPPTYPE_FLOAT)


def render(of: message.Message) -> dict[str, object]:
    """The message as the values of JSON."""
    fields: list[Any] = list(of.DESCRIPTOR.fields)
    return {field.json_name: _member(of, field) for field in fields}


def describe(of: descriptor.Descriptor, components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of what `render` makes of such a message, as a reference into `components`, which it fills."""
    name = of.name
    if name not in components:
        components[name] = {}  # a message may hold itself
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
    if field.is_repeated:
        return [_value(field, item) for item in value]
    if field.message_type is not None and not of.HasField(field.name):
        return None
    return _value(field, value)


def _value(field: _Field, value: Any) -> object:  # noqa: ANN401 - whatever type the field has
    if field.enum_type is not None:
        # A value that a newer service sends is no word of this gateway.
        return words(field.enum_type).get(value)
    if field.message_type is None:
        return value
    if field.message_type.full_name == _TIMESTAMP:
        return value.ToJsonString()
    return write_event(value) if field.message_type.full_name == _EVENT else render(value)


def _schema(field: _Field, components: dict[str, Any]) -> dict[str, Any]:
    if field.is_repeated:
        return {"type": "array", "items": _item_schema(field, components, is_nullable=False)}
    return _item_schema(field, components, is_nullable=True)


def _item_schema(field: _Field, components: dict[str, Any], *, is_nullable: bool) -> dict[str, Any]:
    if field.enum_type is not None:
        known = [word for word in words(field.enum_type).values() if word]
        return {"enum": [*known, None] if is_nullable else known}
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            return {"type": ["string", "null"] if is_nullable else "string", "format": "date-time"}
        is_event = field.message_type.full_name == _EVENT
        reference = {"$ref": "#/components/schemas/Event"} if is_event else describe(field.message_type, components)
        return {"anyOf": [reference, {"type": "null"}]} if is_nullable else reference
    if field.cpp_type in _INTEGERS:
        return {"type": "integer"}
    if field.cpp_type in _FLOATS:
        return {"type": "number"}
    return {"type": "boolean" if field.cpp_type == _Field.CPPTYPE_BOOL else "string"}
