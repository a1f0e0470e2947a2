"""JSON of a request as a message of the contracts, and the JSON schema of that: the way back of `rendering`.

Names are camelCase, enums words in lower case without their prefix, times RFC 3339. What is absent or null has the
default that the contract names for it.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf import descriptor, message, timestamp_pb2

from gateway.formats.json.refusal import DECODE_ERRORS, MAX_DEPTH, too_deep
from gateway.formats.schema import enum_names, enum_numbers
from gateway.formats.values import times
from mesh.errors import InvalidArgument

_Field = descriptor.FieldDescriptor
_Message = TypeVar("_Message", bound=message.Message)
_TIMESTAMP: Final = timestamp_pb2.Timestamp.DESCRIPTOR.full_name
_BOUNDS: Final = {_Field.CPPTYPE_INT32: 1 << 31, _Field.CPPTYPE_INT64: 1 << 63}


_SHORT: Final = {"journeymesh.analytics.v1.UserFilter": "saved"}
"""The member of a message for which a text stands where the message is expected."""


def read(raw: bytes, kind: type[_Message], left_out: Collection[str] = ()) -> _Message:
    """The message that a JSON object says; an empty body is an empty object.

    Args:
        raw: the JSON.
        kind: the type of the message; its members are texts, whole numbers, booleans, enums, times and such messages.
        left_out: members, by their names in the contract, that are not for the request to say.

    Raises:
        InvalidArgument: `MALFORMED_JSON`, `INVALID_TYPE`, `UNKNOWN_FIELD`, `INVALID_TIME`, `VALUE_OUT_OF_RANGE`.
    """
    try:
        written = msgspec.json.decode(raw or b"{}")
    except DECODE_ERRORS:
        raise InvalidArgument("MALFORMED_JSON", "It is not JSON in UTF-8.") from None
    filled = kind()
    _fill(filled, written, "", left_out)
    return filled


def describe(of: descriptor.Descriptor, components: dict[str, Any], left_out: Collection[str] = ()) -> dict[str, Any]:
    """The JSON schema of what `read` takes for such a message: a reference into `components`, which is filled."""
    if of.name not in components:
        components[of.name] = {}
        members = [field for field in of.fields if field.name not in left_out]
        components[of.name] = {
            "type": "object",
            "properties": {field.json_name: _schema(field, components) for field in members},
            "additionalProperties": False,
        }
    return {"$ref": f"#/components/schemas/{of.name}"}


def _fill(of: message.Message, written: object, path: str, left_out: Collection[str] = ()) -> None:
    if not isinstance(written, Mapping):
        raise InvalidArgument("INVALID_TYPE", f"`{path or 'The body'}` must be an object.")
    if path.count(".") > MAX_DEPTH:
        raise too_deep()
    fields: list[Any] = list(of.DESCRIPTOR.fields)
    known = {field.json_name: field for field in fields if field.name not in left_out}
    for name, value in written.items():
        inside = f"{path}.{name}" if path else name
        if name not in known:
            raise InvalidArgument("UNKNOWN_FIELD", f"There is no member `{inside[:100]}`.")
        if value is not None:
            _set(of, known[name], value, inside)


def _set(of: message.Message, field: _Field, value: object, path: str) -> None:
    if field.is_repeated:
        if not isinstance(value, list):
            raise InvalidArgument("INVALID_TYPE", f"`{path}` must be a list.")
        repeated: Any = getattr(of, field.name)
        for item in value:
            if field.message_type is not None:
                _fill(repeated.add(), item, path)
            else:
                repeated.append(_scalar(field, item, path))
    elif field.message_type is None:
        setattr(of, field.name, _scalar(field, value, path))
    elif field.message_type.full_name == _TIMESTAMP:
        moment = times.with_zone(value, path)
        if moment is not None:
            getattr(of, field.name).FromDatetime(moment)
    else:
        inside = getattr(of, field.name)
        inside.SetInParent()
        short = _SHORT.get(field.message_type.full_name)
        _fill(inside, {short: value} if short and isinstance(value, str) else value, path)


def _scalar(field: _Field, value: object, path: str) -> str | int:
    if field.cpp_type == _Field.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise InvalidArgument("INVALID_TYPE", f"`{path}` must be true or false.")
        return value
    if field.enum_type is not None:
        numbers = enum_numbers(field.enum_type)
        if not isinstance(value, str) or value not in numbers:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`{path}` must be one of {', '.join(numbers)}.")
        return numbers[value]
    if field.cpp_type == _Field.CPPTYPE_STRING:
        if not isinstance(value, str):
            raise InvalidArgument("INVALID_TYPE", f"`{path}` must be a text.")
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgument("INVALID_TYPE", f"`{path}` must be a whole number.")
    bound = _BOUNDS[field.cpp_type]
    if not -bound <= value < bound:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`{path}` is too large.")
    return value


def _schema(field: _Field, components: dict[str, Any]) -> dict[str, Any]:
    if field.is_repeated:
        return {"type": ["array", "null"], "items": _item(field, components)}
    if field.enum_type is not None:
        return {"enum": [*_item(field, components)["enum"], None]}
    return {"anyOf": [_item(field, components), {"type": "null"}]}


def _item(field: _Field, components: dict[str, Any]) -> dict[str, Any]:
    if field.enum_type is not None:
        return {"enum": [word for word in enum_names(field.enum_type).values() if word]}
    if field.cpp_type in _BOUNDS:
        bound = _BOUNDS[field.cpp_type]
        return {"type": "integer", "minimum": -bound, "maximum": bound - 1}
    if field.message_type is None:
        return {"type": "boolean" if field.cpp_type == _Field.CPPTYPE_BOOL else "string"}
    if field.message_type.full_name == _TIMESTAMP:
        return {"type": "string", "format": "date-time"}
    described = describe(field.message_type, components)
    return {"anyOf": [described, {"type": "string"}]} if field.message_type.full_name in _SHORT else described
