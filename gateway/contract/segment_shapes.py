"""JSON schemas of what is read of Segment's messages; anything else in them is ignored."""

from typing import Any, Final

from gateway.contract.shapes import REFERENCE, Schema
from gateway.formats.segment.message import TYPES

_NAME: Final[Schema] = {"type": ["string", "number", "null"]}
_WORD: Final[Schema] = {"type": "string", "minLength": 1}
_FREE: Final[Schema] = {"description": "An object. What is none is left out, with a warning."}
_ID: Final[Schema] = {"type": ["string", "number"], "minLength": 1}
_TIME: Final[Schema] = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}

_COMMON: Final[Schema] = {
    "messageId": {**_NAME, "description": "Unique for 24 hours. Made where absent."},
    "userId": {**_NAME, "description": "The user. May be absent where `anonymousId` is there."},
    "anonymousId": {**_NAME, "description": "The id before the user was known."},
    "timestamp": {**_TIME, "description": "When it happened, by the client's clock. Absent: when it came."},
    "context": {"description": "Where it happened: `page`, `library`, `device`, `timezone`, `userAgent`, `active`."},
}
_OWN: Final[dict[str, Schema]] = {
    "track": {"event": {**_WORD, "description": "What happened."}, "properties": _FREE},
    "page": {"name": {"description": "The page's name."}, "properties": _FREE},
    "screen": {"name": {"description": "The screen's name."}, "properties": _FREE},
    "identify": {"traits": _FREE},
    "group": {"groupId": _NAME, "traits": _FREE},
    "alias": {"userId": _ID, "previousId": {**_ID, "description": "The id before."}},
}
_REQUIRED: Final[dict[str, list[str]]] = {"track": ["event"], "alias": ["userId", "previousId"]}


class MessageShape:
    """The schema of the messages of one call."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, components: dict[str, Any]) -> Schema:
        """The schema, as a reference into `components`."""
        name = f"Segment{self._kind.capitalize()}"
        components[name] = {
            "type": "object",
            "properties": {**_COMMON, **_OWN[self._kind]},
            "required": _REQUIRED.get(self._kind, []),
        }
        return {"$ref": REFERENCE.format(name=name)}


def batch(components: dict[str, Any]) -> Schema:
    """A batch of messages, whose calls are distinguished by `type`."""
    variants = []
    for kind in TYPES:
        MessageShape(kind)(components)
        message = components[f"Segment{kind.capitalize()}"]
        properties = {**message["properties"], "type": {"const": kind}}
        variants.append({**message, "properties": properties, "required": ["type", *message["required"]]})
    components["SegmentMessage"] = {"oneOf": variants}
    messages = {"type": "array", "items": {"$ref": REFERENCE.format(name="SegmentMessage")}, "minItems": 1}
    return {"type": "object", "properties": {"batch": messages}, "required": ["batch"]}


def metrics(_components: dict[str, Any]) -> Schema:
    """A client's own metrics, which are not read."""
    return {}
