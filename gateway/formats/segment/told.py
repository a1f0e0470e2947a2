"""What a Segment message tells beside its event: where it was made, and values in whichever form clients send them.

Nothing here refuses: what cannot be understood is not told. The clients send far more than is read.
"""

import datetime as dt
import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.formats import schema
from gateway.formats.json import lenient
from gateway.formats.values import times
from gateway.formats.values.pages import address
from mesh.errors import InvalidArgument

_WEB: Final = "web"
_MOBILE: Final = "mobile"
_BACKEND: Final = "backend"

# Of longer ones none is remembered: it would take the memory of many.
_REMEMBERED_BYTES: Final = 4096
_EMPTY: Final = (b"", b"null", b"[]")  # a language without objects sends an empty one as an array

_CHANNELS: Final = {
    "browser": _WEB,
    "web": _WEB,
    "client": _WEB,
    "mobile": _MOBILE,
    "server": _BACKEND,
}
_DEVICES: Final = {"ios": _MOBILE, "android": _MOBILE, "phone": _MOBILE, "tablet": _MOBILE}

# A part of the library's name, in the order they are looked for: `analytics-react-native` before what holds `react`.
_LIBRARIES: Final = (
    ("react-native", _MOBILE),
    ("android", _MOBILE),
    ("ios", _MOBILE),
    ("swift", _MOBILE),
    ("kotlin", _MOBILE),
    ("flutter", _MOBILE),
    ("xamarin", _MOBILE),
    ("unity", _MOBILE),
    ("analytics.js", _WEB),
    ("javascript", _WEB),
    ("analytics-next", _WEB),
    ("analytics-browser", _WEB),
    ("node", _BACKEND),
    ("python", _BACKEND),
    ("ruby", _BACKEND),
    ("java", _BACKEND),
    ("php", _BACKEND),
    ("go", _BACKEND),
    (".net", _BACKEND),
    ("dotnet", _BACKEND),
    ("elixir", _BACKEND),
    ("clojure", _BACKEND),
    ("scala", _BACKEND),
    ("perl", _BACKEND),
    ("csharp", _BACKEND),
    ("rust", _BACKEND),
)


class Context(msgspec.Struct):
    """The members of a message's `context` that are read; whatever they hold."""

    page: Any = None
    library: Any = None
    device: Any = None
    channel: Any = None
    timezone: Any = None
    user_agent: Any = msgspec.field(name="userAgent", default=None)
    active: Any = None


class Place(msgspec.Struct, frozen=True):
    """Where a message was made: on which page, empty where not told, and in which context of ours."""

    page: str = ""
    context: schema.Context = schema.Context()


_NOWHERE: Final = Place()
_decode: Final = msgspec.json.Decoder(Context).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_value: Final = msgspec.json.Decoder().decode


def place(context: bytes) -> Place:
    """Where a `context` says a message was made.

    Raises:
        msgspec.DecodeError: it is no object.
    """
    return _remembered(context) if len(context) <= _REMEMBERED_BYTES else _place(context)


def _place(context: bytes) -> Place:
    if is_empty(context):
        return _NOWHERE
    read = _decode(context)
    device = _members(read.device)
    told = schema.Context(
        platform=_platform(read, device),
        device_id=text(device.get("id")) or None,
        time_zone=text(read.timezone) or None,
        user_agent=text(read.user_agent) or None,
        active=False if read.active is False else None,
    )
    return Place(address(_members(read.page)), told)


# Clients of servers send the same one with every message.
_remembered: Final = functools.lru_cache(maxsize=1024)(_place)


def beneath(upper: Place, lower: Place) -> Place:
    """What a message's context tells, and where it does not, that of its batch."""
    merged = {
        name: lower_told if upper_told is None else upper_told
        for name in upper.context.__struct_fields__
        for upper_told, lower_told in [(getattr(upper.context, name), getattr(lower.context, name))]
    }
    return Place(upper.page or lower.page, schema.Context(**merged))


def is_empty(written: bytes) -> bool:
    """Whether an object is not told, or has no members."""
    return written in _EMPTY


def texts(of: Mapping[str, msgspec.Raw], *names: str) -> dict[str, str]:
    """Those of the members that are texts."""
    return {name: _decode_text(raw) for name in names if (raw := of.get(name)) is not None and bytes(raw)[:1] == b'"'}


def number(of: Mapping[str, msgspec.Raw], name: str) -> float | None:
    """A member that is a number, or one in a text; none for anything else."""
    try:
        return lenient.number(_decode_value(of[name])) if name in of else None
    except msgspec.ValidationError:  # a number beyond all numbers
        return None


def name(of: Mapping[str, msgspec.Raw], *names: str) -> str:
    """The first of the members that is a text and not empty, or a number, as it is written."""
    return next((found for one in names if one in of and (found := lenient.text(of[one])).strip()), "")


def text(value: object) -> str:
    """A text, or a number as one; empty for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def time(value: object) -> dt.datetime | None:
    """A time; without zone it is UTC. None where there is none.

    Raises:
        InvalidArgument: `INVALID_TIME`, `INVALID_TYPE`.
    """
    read = times.read(value, "timestamp")
    return read if read is None or read.tzinfo else read.replace(tzinfo=dt.UTC)


def time_if_any(value: object) -> dt.datetime | None:
    """A time; none also where it cannot be read, because nothing is lost without it."""
    if value is None:
        return None
    try:
        return time(value)
    except InvalidArgument:
        return None


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _platform(context: Context, device: dict[str, Any]) -> str | None:
    library = text(_members(context.library).get("name")).lower()
    told = _CHANNELS.get(text(context.channel).lower()) or _DEVICES.get(text(device.get("type")).lower())
    return told or next((platform for part, platform in _LIBRARIES if part in library), None)
