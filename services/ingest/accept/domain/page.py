"""Which page an address is: the same on every way in. docs/pages.md has the rules for people."""

import functools
import re
from typing import Final, NamedTuple

from services.ingest.accept.domain.text import cleaned, is_clean

PAGE_LENGTH: Final = 2048

TRACKING_PREFIXES: Final = (
    "utm_",
    "mtm_",
    "pk_",
    "piwik_",
    "matomo_",
    "hsa_",
    "_hs",
    "__hs",
    "mc_",
    "oly_",
    "vero_",
    "trk_",
)
TRACKING_NAMES: Final = frozenset(
    {
        "gclid",
        "gclsrc",
        "dclid",
        "gbraid",
        "wbraid",
        "gad_source",
        "gad_campaignid",
        "_ga",
        "_gl",
        "srsltid",
        "fbclid",
        "fb_action_ids",
        "fb_action_types",
        "fb_source",
        "msclkid",
        "yclid",
        "ysclid",
        "_openstat",
        "igshid",
        "igsh",
        "twclid",
        "ttclid",
        "li_fat_id",
        "epik",
        "sccid",
        "rdt_cid",
        "irclickid",
        "ef_id",
        "s_kwcid",
        "s_cid",
        "cmpid",
        "mkt_tok",
        "ml_subscriber",
        "ml_subscriber_hash",
        "wickedid",
        "rb_clickid",
        "hsctatracking",
        "ajs_aid",
        "ajs_uid",
        "ajs_event",
        "jsessionid",
        "phpsessid",
        "sessionid",
        "session_id",
        "sid",
    }
)

_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
# As a page writes an address of another host: up to the path.
_HOST: Final = re.compile(r"//([^/?#\s]+)(?![^/?#])")
# A relative address: no white space, and a query or a hash route behind it.
_RELATIVE: Final = re.compile(r"[^\s?#]*(?:\?[^\s=&#]+=|#!?/)")
_HASH_ROUTES: Final = ("/", "!/")
_SLASHES: Final = re.compile("/{2,}")
_SESSION: Final = re.compile(r";(?:jsessionid|phpsessid|session_?id|sid)=[^;/]*", re.IGNORECASE)

_ENCODED: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_STRAY: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
# What means something else where it is not encoded; the last three become letters of ASCII once they are composed.
_RESERVED: Final = frozenset("%:/?#[]@!$&'()*+,;=\u037e\u1fef\u212a")
# Parts of words and of emoji, though nobody sees them.
_JOINERS: Final = frozenset("\u200c\u200d")


class PageRules(NamedTuple):
    """What distinguishes the pages of an installation."""

    keeps_hash_routes: bool = True
    keeps_query: bool = True


class Page(NamedTuple):
    """A page, and its address without host where that says more; else empty."""

    name: str
    address: str


def is_plain(text: str) -> bool:
    """Whether a clean text in ASCII is a page as it stands: a path in its one spelling."""
    return (
        text[0] == "/"
        and (text[-1] != "/" or text == "/")
        and "//" not in text
        and not any(sign in text for sign in "?#%;")
    )


@functools.lru_cache(maxsize=2048)
def page_of(text: str, rules: PageRules) -> Page:
    """The page of a clean text: an address, a path or a name. A name stays as it is."""
    origin = _ORIGIN.match(text) or _host(text)
    if origin is None and text[0] not in "/?#" and _RELATIVE.match(text) is None:
        return Page(text, "")
    address = text[origin.end() :] if origin else text
    if not address or address[0] in "?#":
        address = f"/{address}"
    rest, hash_sign, fragment = address.partition("#")
    is_route = fragment.startswith(_HASH_ROUTES)
    name, whole = _name_and_address(rest, rules)
    if is_route:
        # `!` is no part of the route's path.
        bang, slash, route = fragment.partition("/")
        route_name, whole_route = _name_and_address(slash + route, rules)
        whole += f"#{bang}{whole_route}"
        if rules.keeps_hash_routes and route_name != "/":
            name += f"#{bang}{route_name}"
    else:
        whole += hash_sign + _spelled(fragment)
    name = name[:PAGE_LENGTH]
    return Page(name, whole[:PAGE_LENGTH] if whole != name else "")


def _host(text: str) -> re.Match[str] | None:
    """The host that an address without a scheme begins with; a slash too many at the beginning of a path is none."""
    found = _HOST.match(text)
    return found if found and (found[1] == "localhost" or "." in found[1] or ":" in found[1]) else None


def _name_and_address(address: str, rules: PageRules) -> tuple[str, str]:
    """The path with the parameters that distinguish pages, sorted; and with its whole query. Both in one spelling."""
    path, mark, query = address.partition("?")
    parameters = [_spelled(parameter.replace("+", " ")) for parameter in query.split("&")]
    whole = _path(path)
    name = _path(_SESSION.sub("", path)) if ";" in path else whole
    kept = sorted(filter(_distinguishes, parameters)) if rules.keeps_query else ()
    return f"{name}?{'&'.join(kept)}" if kept else name, f"{whole}{mark}{'&'.join(parameters)}"


def _path(path: str) -> str:
    return _SLASHES.sub("/", _spelled(path)).rstrip("/ ") or "/"


def _distinguishes(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return bool(name) and name not in TRACKING_NAMES and not name.startswith(TRACKING_PREFIXES)


def _spelled(part: str) -> str:
    """A part of an address with all that may be shown decoded, and the rest in upper case.

    A part with a `%` that encodes nothing was not encoded.
    """
    if "%" in part and not _STRAY.search(part):
        part = _ENCODED.sub(_decoded, part)
    return part if is_clean(part, len(part)) and "  " not in part else cleaned(part, len(part)).text


def _decoded(encoded: re.Match[str]) -> str:
    octets = bytes.fromhex(encoded[0].replace("%", ""))
    return "".join(map(_shown, octets.decode("utf-8", "surrogateescape")))


def _shown(letter: str) -> str:
    """A letter as it is, or encoded where it has a meaning, cannot be shown or is none."""
    if letter not in _RESERVED and (letter.isprintable() or letter in _JOINERS):
        return letter
    return "".join(f"%{octet:02X}" for octet in letter.encode("utf-8", "surrogateescape"))
