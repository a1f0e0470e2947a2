"""CloudEvents 1.0 over HTTP, structured, batched or binary, from JSON to events.

Binary events are turned into structured ones first: that leaves one way to read them, and failed events keep their
attributes. The `data` is read as an event of our format if it has exactly that form, and as free properties otherwise.
"""

import base64
import binascii
import functools
import hashlib
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from journeymesh.common.v1 import event_pb2
from opentelemetry.trace import TraceFlags

from gateway.formats import ids, native, schema
from gateway.formats.json import lenient
from gateway.formats.json.cutting import cut
from gateway.formats.json.lenient import Warn
from gateway.formats.json.mending import mended
from gateway.formats.json.refusal import DECODE_ERRORS, refusal
from gateway.formats.json.splicing import with_members
from gateway.formats.native import MAX_EVENTS, EventSink
from gateway.formats.values import times, vocabulary
from gateway.http.asgi import Request
from mesh.errors import InvalidArgument

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"

_BINARY: Final = b"ce-"
_MAX_ID_LENGTH: Final = 100
# Base64 takes a third more.
_MAX_PACKED_BYTES: Final = native.MAX_EVENT_BYTES * 4 // 3
# Unique whatever the source: 128 bits in hexadecimal, with or without dashes, or the 26 letters of a ULID.
_UNIQUE: Final = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}|[0-7][0-9A-HJKMNP-TV-Z]{25}")
# With fewer different characters, it is a counter rather than random.
_DISTINCT_LEAST: Final = 8
_JSON: Final = re.compile(r"application/(?:[\w.-]++\+)*+json|text/json", re.IGNORECASE)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


# With one of these members, and only members that `track` takes, the data is an event of our format.
_EVENT_MEMBERS: Final = frozenset(("properties", "context", "userId", "anonymousId"))
_MEMBERS, _CONTEXT = (
    frozenset(field.encode_name for field in msgspec.structs.fields(kind))
    for kind in (schema.ClientEvent, schema.Context)
)
_MAX_USER_ID_LENGTH: Final = 128


class CloudEvent(msgspec.Struct, kw_only=True):
    """The attributes that are read. Extensions are ignored, except distributed tracing."""

    specversion: str | None = None
    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: Any = None
    datacontenttype: str | None = None
    traceparent: str | None = None
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    data_base64: str | None = None
    # A binary body that is not JSON; structured events have no such member.
    data_text: str | None = None


_decode: Final = msgspec.json.Decoder(CloudEvent).decode
_decode_batch: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def is_meant(request: Request) -> bool:
    """Whether a request carries CloudEvents, in any of the three modes."""
    return request.media_type() in {STRUCTURED, BATCHED} or bool(request.header(b"ce-specversion"))


def split(request: Request, body: bytes) -> Sequence[msgspec.Raw | bytes]:
    """The events of a request, yet to be read.

    Raises:
        InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`; the batch is no array; `EMPTY_BATCH`; `REQUEST_TOO_LARGE`, too many
            events.
    """
    media_type = request.media_type()
    if media_type in {STRUCTURED, BATCHED}:
        request.require_media_type(media_type)
        return _batch(body) if media_type == BATCHED else [body]
    return [_structured(request, body)]


def read(raw: bytes | msgspec.Raw, sink: EventSink) -> str:
    """Reads one event into a sink; returns its id, which is made of its source and id.

    Raises:
        InvalidArgument: it is no CloudEvent this gateway takes; then nothing was added.
    """
    if len(raw) > _MAX_PACKED_BYTES:
        raise native.too_large()
    try:
        sent = _decode(raw)
    except DECODE_ERRORS as error:
        raise refusal(error, raw, "$") from None
    _require(sent)
    data = _unpacked(sent)
    if len(raw) - len(sent.data_base64 or "") - len(sent.data) + len(data) > native.MAX_EVENT_BYTES:
        raise native.too_large()
    event_type = _event_type(sent.type or "")
    event, written = _read_data(data, sink.warn)
    event.event_id = None
    event.user_id = event.user_id or sent.subject
    event.timestamp = times.with_zone(sent.time, "time") or event.timestamp
    properties = native.read_properties(written, event_type or event_pb2.EVENT_TYPE_FEATURE_INTERACTION, sink.warn)
    known = {"source": sent.source}
    if event_type is None:
        properties.target = known["target"] = sent.type
        if vocabulary.is_of_system(sent.type or ""):
            event.context = msgspec.structs.replace(event.context or schema.Context(), active=False)
    written = _with(written, known)
    kind = event_type or event_pb2.EVENT_TYPE_FEATURE_INTERACTION
    own = functools.partial(event_id, sent.source or "", sent.id or "")
    sink = sink._replace(stamp=_traced(sink.stamp, sent.traceparent), make_id=own)
    return native.emit(event, kind, properties, written, sink)


def event_id(source: str, given: str) -> str:
    """The event id: `id` if it is unique by itself, else `ce:source#id`, hashed if that is too long.

    It is unambiguous: `#` and `%` in the source are escaped, and events of other formats may not use the prefix.
    """
    if _UNIQUE.fullmatch(given) and len(set(given)) >= _DISTINCT_LEAST:
        return given
    both = f"{source.replace('%', '%25').replace('#', '%23')}#{given}"
    if len(ids.CLOUD_EVENT) + len(both) > _MAX_ID_LENGTH:
        both = hashlib.blake2b(both.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{ids.CLOUD_EVENT}{both}"


def _batch(body: bytes) -> Sequence[msgspec.Raw | bytes]:
    try:
        events: Sequence[msgspec.Raw | bytes] = _decode_batch(body)
    except DECODE_ERRORS as error:
        why = refusal(error, body, "$")
        found = cut(body, b"", MAX_EVENTS) if why.reason == "MALFORMED_JSON" else None
        if found is None or (found.around.strip() != b"[]" and len(found.elements) <= MAX_EVENTS):
            raise why from None
        events = found.elements
    if not events:
        raise InvalidArgument("EMPTY_BATCH", "The batch holds no event.")
    if len(events) > MAX_EVENTS:
        raise InvalidArgument("REQUEST_TOO_LARGE", f"A request may have {MAX_EVENTS} events.")
    return events


def _structured(request: Request, body: bytes) -> bytes:
    """A binary event in structured form. Its headers take precedence over its body."""
    attributes: dict[str, object] = {
        name.removeprefix(_BINARY).decode("latin-1"): _unescaped(value)
        for name, value in request.scope["headers"]
        if name.startswith(_BINARY)
    }
    content_type = request.header(b"content-type")
    if content_type:
        attributes["datacontenttype"] = content_type
    if body.strip():
        attributes |= _one_value(body, attributes.get("subject"))
    return msgspec.json.encode(attributes)


def _one_value(body: bytes, subject: object) -> dict[str, object]:
    """The body as `data`, or as text if it is not JSON; it cannot break out into other attributes."""
    try:
        msgspec.json.decode(mended(body), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return {"data_text": body.decode("utf-8", "replace")}
    if subject and _user_id(_members(body), "userId"):
        body = with_members(body, {"userId": subject})  # the last of two members with one name counts
    return {"data": msgspec.Raw(body)}


def _unescaped(value: bytes) -> str:
    return urllib.parse.unquote(value.decode("latin-1"), errors="replace")


def _require(sent: CloudEvent) -> None:
    for name in ("specversion", "id", "source", "type"):
        if not getattr(sent, name):
            raise InvalidArgument("MISSING_FIELD", f"A CloudEvent needs `{name}`.")
    if not (sent.specversion or "").startswith("1."):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "`specversion` must be 1.0.")
    if not _JSON.fullmatch((sent.datacontenttype or "application/json").partition(";")[0].strip()):
        raise InvalidArgument("UNSUPPORTED_CONTENT_TYPE", "The data of a CloudEvent must be JSON.")


def _event_type(word: str) -> int | None:
    """Our event type that a type names; None for any other type.

    Raises:
        InvalidArgument: `UNKNOWN_EVENT_TYPE`, it has our prefix but is none of ours.
    """
    own = word.removeprefix("journeymesh.")
    number = schema.EVENT_TYPES.get(own)
    if number is None and own != word:
        raise InvalidArgument("UNKNOWN_EVENT_TYPE", "`type` names no kind of event after `journeymesh.`.")
    return number


def _unpacked(sent: CloudEvent) -> bytes:
    """The data, decoded from base64 if need be: SDKs send bytes that way.

    Raises:
        InvalidArgument: it is not base64 or not JSON, or there is `data` as well.
    """
    if sent.data_text is not None:
        raise InvalidArgument("MALFORMED_JSON", "The data is not JSON in UTF-8.")
    data = bytes(sent.data)
    if sent.data_base64 is None:
        return data
    if data not in {b"", b"null"}:
        raise InvalidArgument("INVALID_TYPE", "A CloudEvent has `data` or `data_base64`, not both.")
    try:
        return base64.b64decode(sent.data_base64, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument("INVALID_TYPE", "`data_base64` is no base64.") from None


def _with(written: bytes, known: Mapping[str, Any]) -> bytes:
    free = known.keys() - lenient.members(written).keys()
    return with_members(written, {name: known[name] for name in sorted(free)})


def _traced(stamp: native.Stamp, traceparent: str | None) -> native.Stamp:
    """The stamp, in the trace that the event says it belongs to."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return stamp
    is_recorded = int(match[3], 16) & TraceFlags.SAMPLED
    return stamp._replace(trace_id=bytes.fromhex(match[1]), span_id=bytes.fromhex(match[2]) if is_recorded else b"")


def _read_data(written: bytes, warn: Warn) -> tuple[schema.ClientEvent, bytes]:
    """The event's members, and its properties: the whole data, unless it is an event of our format."""
    if written.strip() in {b"", b"null"}:
        return schema.ClientEvent(), b"{}"
    try:
        members = lenient.members(written)
    except DECODE_ERRORS as error:
        why = refusal(error, written, "$.data")
        if why.reason != "INVALID_TYPE":
            raise why from None
        return schema.ClientEvent(), b'{"data":%b}' % written
    event = _as_ours(members, written, warn)
    if event is None:
        ids = schema.ClientEvent(user_id=_user_id(members, "userId"), anonymous_id=_user_id(members, "anonymousId"))
        return ids, written
    properties = bytes(event.properties)
    return event, b"{}" if properties in {b"", b"null"} else properties


def _as_ours(members: Mapping[str, msgspec.Raw], written: bytes, warn: Warn) -> schema.ClientEvent | None:
    """The data as an event of our format; None unless all of it has that form."""
    if not members.keys() & _EVENT_MEMBERS or not members.keys() <= _MEMBERS:
        return None
    for name in ("properties", "context"):
        if bytes(members.get(name, b"null"))[:1] not in {b"{", b"n"}:
            return None
    context = _members(bytes(members.get("context", b"{}")))
    if context and not context.keys() & _CONTEXT:
        return None
    warnings: list[tuple[str, str]] = []
    try:
        event = native.read_members(written, "$.data", lambda *warning: warnings.append(warning))
    except InvalidArgument:
        return None
    if not all(member.startswith("context.") for member, _ in warnings):
        return None
    for warning in warnings:
        warn(*warning)
    return event


def _user_id(members: Mapping[str, msgspec.Raw], name: str) -> str | None:
    """A member that is a text and short enough for an id."""
    raw = bytes(members.get(name, b"null"))
    if not raw.startswith(b'"'):
        return None
    try:
        found = lenient.text(raw)
    except msgspec.DecodeError:
        return None
    return found if 0 < len(found) <= _MAX_USER_ID_LENGTH else None


def _members(written: bytes) -> Mapping[str, msgspec.Raw]:
    """The members of an object; none for anything else."""
    try:
        return lenient.members(mended(written))
    except DECODE_ERRORS:
        return {}
