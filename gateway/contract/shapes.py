"""JSON schemas of bodies and answers: from the contracts' messages, from msgspec's types, and a few by hand."""

from typing import Any, Final

import msgspec
from google.protobuf import descriptor
from journeymesh.access.v1 import audit_pb2
from journeymesh.common.v1 import event_pb2
from journeymesh.customers.v1 import segments_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from gateway.contract.route import Shape
from gateway.formats import schema
from gateway.formats.rendering import describe
from gateway.http import asgi
from records import patterns

REFERENCE: Final = "#/components/schemas/{name}"

Schema = dict[str, Any]

_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_TEXT: Final[Schema] = {"type": "string"}
_FEATURES: Final[Schema] = {"type": "object", "additionalProperties": {"type": "number"}}
_MOMENT: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}


def of(shape: Shape, components: Schema) -> Schema:
    """The schema of a shape; what that refers to is added to `components`."""
    if isinstance(shape, descriptor.Descriptor):
        return describe(shape, components)
    if isinstance(shape, type):
        (found,), defined = msgspec.json.schema_components([shape], ref_template=REFERENCE)
        components |= {name: _closed(patterns.told(each)) for name, each in defined.items()}
        return found
    if isinstance(shape, str):
        return {"type": "string"}
    return shape(components)


def tracked_body(components: Schema) -> Schema:
    """One event, or a batch of them."""
    event = client_event(components)
    batch = {
        "type": "object",
        "properties": {"events": {"type": "array", "items": event, "minItems": 1, "maxItems": 500}},
        "required": ["events"],
        "additionalProperties": False,
    }
    return {"anyOf": [event, batch]}


def client_event(components: Schema) -> Schema:
    """An event as a client sends it: what is known in its `properties` depends on `eventType`."""
    kinds = schema.PROPERTIES_OF
    known = {*kinds, event_pb2.EVENT_TYPE_IDENTIFY}
    other = [word for word, number in schema.EVENT_TYPES.items() if number not in known]
    variants = [_variant(other, schema.Properties, components)]
    words = schema.enum_names(event_pb2.EventType.DESCRIPTOR)
    variants += [_variant([str(words[number])], kind, components) for number, kind in kinds.items()]
    variants.append(_identify(components))
    components["ClientEvent"] = {"oneOf": variants}
    return {"$ref": REFERENCE.format(name="ClientEvent")}


def cloud_event(components: Schema) -> Schema:
    """A CloudEvent."""
    word = {"type": "string", "minLength": 1}
    text = {"type": ["string", "null"]}
    components["CloudEvent"] = {
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": word,
            "source": word,
            "type": {**word, "description": "`journeymesh.` and a kind of ours, or what else it is called."},
            "subject": {**text, "description": "The user, where `data` names none."},
            "time": {"anyOf": [_TIME, {"type": "null"}]},
            "datacontenttype": {"enum": [asgi.JSON, None]},
            "data": {"description": "An event as `track` takes it, but for its kind. Anything else: free properties."},
        },
        "required": ["specversion", "id", "source", "type"],
    }
    return {"$ref": REFERENCE.format(name="CloudEvent")}


def cloud_events(components: Schema) -> Schema:
    """A batch of CloudEvents."""
    return {"type": "array", "items": cloud_event(components), "minItems": 1, "maxItems": 500}


def recorded_event(components: Schema) -> Schema:
    """An event as it is read back: as it was sent, with what ingest added, without absent members."""
    known = (
        (_TEXT, ("eventId", "userId", "anonymousId", "sessionId")),
        (_TIME, ("timestamp", "clientTimestamp", "sentAt", "receivedTime", "sessionStart")),
    )
    properties: Schema = {name: kind for kind, names in known for name in names}
    context: Schema = dict.fromkeys(("platform", "deviceId", "timeZone", "userAgent", "correlationId"), _TEXT)
    context |= {name: {"type": "boolean"} for name in ("automated", "active")}
    properties |= {
        "eventType": {"enum": list(schema.EVENT_TYPES)},
        "properties": {"type": "object"},
        "context": {"type": "object", "properties": context, "additionalProperties": False},
        "deviceClass": {"enum": list(schema.DEVICE_CLASSES)},
        "isBot": {"type": "boolean"},
        **dict.fromkeys(("botEvidence", "linkedUserId", "copiedEventId"), _TEXT),
    }
    components["Event"] = {
        "type": "object",
        "properties": properties,
        "required": ["timestamp", "properties", "context", "isBot"],
        "additionalProperties": False,
    }
    return {"$ref": REFERENCE.format(name="Event")}


def recent_events(components: Schema) -> Schema:
    """A user's last events."""
    return _object({"events": {"type": "array", "items": recorded_event(components)}})


def user(components: Schema) -> Schema:
    """A user's features by name, and the assessment based on them."""
    assessment = describe(scoring_pb2.Assessment.DESCRIPTOR, components)
    return _object(
        {
            "userId": _TEXT,
            "features": _FEATURES,
            "featureSchemaVersion": _TEXT,
            "assessment": {"anyOf": [assessment, {"type": "null"}]},
            "eventTime": _MOMENT,
            "modelVersion": _TEXT,
            "rulesVersion": _TEXT,
        }
    )


def feature_vector(_components: Schema) -> Schema:
    """A user's features by name."""
    return _object({"userId": _TEXT, "features": _FEATURES, "featureSchemaVersion": _TEXT, "asOfTime": _MOMENT})


def segment_performance(components: Schema) -> Schema:
    """What segments bring, each with the lift of help."""
    found = describe(segments_pb2.GetSegmentPerformanceResponse.DESCRIPTOR, components)
    lift = describe(intervention_pb2.Lift.DESCRIPTOR, components)
    each = components[segments_pb2.SegmentPerformance.DESCRIPTOR.name]
    each["properties"] |= {"lift": {"anyOf": [lift, {"type": "null"}]}}
    each["required"] = list(each["properties"])
    return found


def failed_events(components: Schema) -> Schema:
    """A page of failed events."""
    failed = describe(ingest_pb2.FailedEvent.DESCRIPTOR, components)
    return _object({"failedEvents": {"type": "array", "items": failed}, "nextCursor": {"type": ["string", "null"]}})


def audit_entries(components: Schema) -> Schema:
    """A page of the audit log."""
    entry = describe(audit_pb2.AuditEntry.DESCRIPTOR, components)
    return _object({"entries": {"type": "array", "items": entry}, "nextCursor": {"type": ["string", "null"]}})


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _variant(event_types: list[str], kind: type[schema.Properties], components: Schema) -> Schema:
    event: Schema = {}
    of(schema.ClientEvent, event)
    components |= {name: each for name, each in event.items() if name != "ClientEvent"}
    variant: Schema = event["ClientEvent"]
    variant["properties"] |= {
        "eventType": {"enum": event_types},
        "properties": {"anyOf": [of(kind, components), {"type": "null"}]},
    }
    return {**variant, "title": kind.__name__.removesuffix("Properties") or "Other", "required": ["eventType"]}


def _identify(components: Schema) -> Schema:
    variant = _variant(["identify"], schema.Properties, components)
    variant["properties"] = variant["properties"] | {"userId": {"type": "string", "minLength": 1, "maxLength": 128}}
    return {**variant, "title": "Identify", "required": ["eventType", "userId"]}


def _closed(defined: Schema) -> Schema:
    """The schema without msgspec's own defaults."""
    for member in defined.get("properties", {}).values():
        member.pop("default", None)
    return defined
