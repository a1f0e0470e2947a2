"""What a Segment message tells beside its event: where it was made, on which page, and texts as the contract has them.

Nothing here refuses: what cannot be understood is not told. The clients send far more than is read.
"""

import datetime as dt
import functools
import re
import zoneinfo
from typing import Any, Final

import msgspec

from gateway import schema
from mesh.errors import InvalidArgument

_WEB: Final = "web"
_MOBILE: Final = "mobile"
_BACKEND: Final = "backend"

_USER_AGENT_LENGTH: Final = 512
_PAGE_LENGTH: Final = 2048

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
    ("csharp", _BACKEND),
    ("rust", _BACKEND),
)

# A month or a day of one digit, as in the example of Segment's own documentation.
_SHORT_DATE: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")


class Context(msgspec.Struct):
    """The members of a message's `context` that are read; whatever they hold."""

    page: Any = None
    library: Any = None
    device: Any = None
    channel: Any = None
    timezone: Any = None
    user_agent: Any = msgspec.field(name="userAgent", default=None)


class Place(msgspec.Struct, frozen=True):
    """Where a message was made: on which page, empty where not told, and in which context of ours."""

    page: str = ""
    context: schema.Context = schema.Context()


_NOWHERE: Final = Place()
_decode: Final = msgspec.json.Decoder(Context).decode
_decode_value: Final = msgspec.json.Decoder().decode
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@functools.lru_cache(maxsize=1024)
def place(context: bytes) -> Place:
    """Where a `context` says a message was made. Clients of servers send the same one with every message.

    Raises:
        msgspec.DecodeError: it is no object.
    """
    if context in {b"", b"null"}:
        return _NOWHERE
    read = _decode(context)
    device, page = _members(read.device), _members(read.page)
    told = schema.Context(
        platform=_platform(read, device),
        device_id=text(device.get("id")) or None,
        time_zone=_time_zone(text(read.timezone)) or None,
        user_agent=line(text(read.user_agent), _USER_AGENT_LENGTH) or None,
    )
    return Place(path(page.get("path")) or path(page.get("url")), told)


def beneath(upper: Place, lower: Place) -> Place:
    """What a message's context tells, and where it does not, that of its batch."""
    names = upper.context.__struct_fields__
    merged = {name: getattr(upper.context, name) or getattr(lower.context, name) for name in names}
    return Place(upper.page or lower.page, schema.Context(**merged))


def members(written: bytes) -> dict[str, msgspec.Raw]:
    """The members of an object, each still to be read.

    Raises:
        msgspec.DecodeError: it is no object.
    """
    return _decode_members(written)


def value(of: dict[str, msgspec.Raw], *names: str) -> Any:  # noqa: ANN401 - whatever a client sends
    """The first of the members that is there and not null."""
    for name in names:
        if name in of:
            found = _decode_value(of[name])
            if found is not None:
                return found
    return None


def text(value: object) -> str:
    """A text, or a number as one, as servers send ids; empty for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def number(value: object) -> float | None:
    """A number, or one in a text, as shops send prices; none for anything else, also where it is infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None


def line(value: str, most: int) -> str:
    """A text as an identifier may be: printable, and not too long."""
    cut = value[:most]
    return cut if cut.isprintable() else "".join(one if one.isprintable() else " " for one in cut).strip()


def path(value: object) -> str:
    """The path of an address or of a path; without host, query and fragment."""
    return _path(value if isinstance(value, str) else text(value)) if value else ""


@functools.lru_cache(maxsize=4096)
def _path(found: str) -> str:
    found = found.partition("?")[0].partition("#")[0]
    _, scheme, rest = found.partition("://")
    return line("/" + rest.partition("/")[2] if scheme else found, _PAGE_LENGTH)


def time(value: object) -> dt.datetime | None:
    """A time; without zone it is UTC. None where there is none.

    Raises:
        InvalidArgument: `INVALID_TIME`.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            read = dt.datetime.fromisoformat(value)
        except ValueError:
            try:
                read = dt.datetime.fromisoformat(_SHORT_DATE.sub(_padded, value.strip(), count=1))
            except ValueError:
                read = None
        if read is not None:
            return read if read.tzinfo else read.replace(tzinfo=dt.UTC)
    raise InvalidArgument("INVALID_TIME", "`timestamp` must be a time in ISO 8601.")


def time_if_any(value: object) -> dt.datetime | None:
    """A time; none also where it cannot be read, because nothing is lost without it."""
    if value is None:
        return None
    try:
        return time(value)
    except InvalidArgument:
        return None


def _padded(found: re.Match[str]) -> str:
    return f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}"


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _platform(context: Context, device: dict[str, Any]) -> str | None:
    library = text(_members(context.library).get("name")).lower()
    told = _CHANNELS.get(text(context.channel).lower()) or _DEVICES.get(text(device.get("type")).lower())
    return told or next((platform for part, platform in _LIBRARIES if part in library), None)


@functools.lru_cache(maxsize=1024)
def _time_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return ""
    return name
