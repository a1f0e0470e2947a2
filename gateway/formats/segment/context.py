"""The `context` of a Segment message: on which page it was made, by which kind of client.

What cannot be understood is ignored. The clients send far more than is read.
"""

import functools
import re
from typing import Any, Final

import msgspec

from gateway.formats import schema
from gateway.formats.segment.values import is_empty, text
from gateway.formats.values import pages

_WEB: Final = "web"
_MOBILE: Final = "mobile"
_BACKEND: Final = "backend"

_COUNTRY: Final = re.compile("[A-Za-z]{2}")
# By BCP 47 or POSIX, such as `de-AT` or `pt_BR.UTF-8`.
_LOCALE: Final = re.compile("[A-Za-z]{2,3}(?:[-_.@][A-Za-z0-9]{1,8}){0,5}")

# Longer contexts are not cached: each would take the memory of many.
_MAX_CACHED_BYTES: Final = 4096

_CHANNELS: Final = {
    "browser": _WEB,
    "web": _WEB,
    "client": _WEB,
    "mobile": _MOBILE,
    "server": _BACKEND,
}
_DEVICES: Final = {"ios": _MOBILE, "android": _MOBILE, "phone": _MOBILE, "tablet": _MOBILE}

# Parts of library names, in the order they are searched: `react-native` before anything that contains `react`.
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


class _Context(msgspec.Struct, rename="camel"):
    """The members that are read, whatever they hold."""

    page: Any = None
    library: Any = None
    device: Any = None
    channel: Any = None
    timezone: Any = None
    locale: Any = None
    location: Any = None
    user_agent: Any = None
    active: Any = None


class MessageContext(msgspec.Struct, frozen=True):
    """The page a message was made on, empty if unknown, and its context in our terms.

    `country` is that of the location which the client declares, a code of two letters, and `locale` its language and
    region; empty if unknown.
    """

    page: str = ""
    context: schema.Context = schema.Context()
    country: str = ""
    locale: str = ""


_NOTHING: Final = MessageContext()
_decode: Final = msgspec.json.Decoder(_Context).decode


def read(written: bytes) -> MessageContext:
    """The context that a message's `context` describes.

    Raises:
        msgspec.DecodeError: it is no object.
    """
    return _cached(written) if len(written) <= _MAX_CACHED_BYTES else _read(written)


def merged(upper: MessageContext, lower: MessageContext) -> MessageContext:
    """A message's context, completed by that of its batch."""
    merged_members = {
        name: getattr(lower.context, name) if value is None else value
        for name, value in msgspec.structs.asdict(upper.context).items()
    }
    return MessageContext(
        upper.page or lower.page,
        schema.Context(**merged_members),
        upper.country or lower.country,
        upper.locale or lower.locale,
    )


def _read(written: bytes) -> MessageContext:
    if is_empty(written):
        return _NOTHING
    found = _decode(written)
    device = _members(found.device)
    context = schema.Context(
        platform=_platform(found, device),
        device_id=text(device.get("id")) or None,
        time_zone=text(found.timezone) or None,
        user_agent=text(found.user_agent) or None,
        active=False if found.active is False else None,
    )
    country, locale = text(_members(found.location).get("country")), text(found.locale)
    return MessageContext(
        pages.address(_members(found.page)),
        context,
        country if _COUNTRY.fullmatch(country) else "",
        locale if _LOCALE.fullmatch(locale) else "",
    )


# Server libraries send the same context with every message.
_cached: Final = functools.lru_cache(maxsize=1024)(_read)


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _platform(context: _Context, device: dict[str, Any]) -> str | None:
    library = text(_members(context.library).get("name")).lower()
    known = _CHANNELS.get(text(context.channel).lower()) or _DEVICES.get(text(device.get("type")).lower())
    return known or next((platform for part, platform in _LIBRARIES if part in library), None)
