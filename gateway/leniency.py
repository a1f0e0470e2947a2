"""An event of ours whose members could not be read strictly: those that are additions may be of another type."""

import datetime as dt
from typing import Final

import msgspec

from gateway import additions, schema, times
from gateway.additions import LEFT_OUT, Warn
from gateway.refusal import refusal
from mesh.errors import InvalidArgument

_ABSENT: Final = (b"", b"null")
_decode_mild: Final = msgspec.json.Decoder(schema.MildEvent).decode


def told_mildly(raw: bytes | msgspec.Raw, fault: Exception, root: str, warn: Warn) -> schema.ClientEvent:
    """The members of an event that could not be read strictly; times may be written otherwise.

    Raises:
        InvalidArgument: they are none, or one that is no addition cannot be read.
    """
    try:
        if not isinstance(fault, msgspec.ValidationError):
            raise fault
        mild = _decode_mild(raw)
        rest = additions.read(raw, schema.Rest, frozenset(), warn)
        context = None if bytes(mild.context) in _ABSENT else _context_told_mildly(mild.context, warn)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(error, raw, root) from None
    told = {name: getattr(mild, name) for name in mild.__struct_fields__}
    told |= {"timestamp": times.with_zone(mild.timestamp, "timestamp"), "sent_at": _sent_at(mild.sent_at, warn)}
    return schema.ClientEvent(**told | {"context": context, "session_id": rest.session_id})


def _sent_at(told: object, warn: Warn) -> dt.datetime | None:
    try:
        return times.with_zone(told, "sentAt")
    except InvalidArgument:
        warn("sentAt", LEFT_OUT)
        return None


def _context_told_mildly(raw: msgspec.Raw, warn: Warn) -> schema.Context | None:
    try:
        context = additions.read(raw, schema.Context, frozenset(), _inside(warn, "context."))
    except msgspec.ValidationError:
        warn("context", LEFT_OUT)
        return None
    additions.tell_unknown(raw, schema.Context, warn, "context.")
    return context


def _inside(warn: Warn, prefix: str) -> Warn:
    return lambda member, detail: warn(prefix + member, detail)
