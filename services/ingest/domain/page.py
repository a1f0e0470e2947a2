"""Which page an address is: the same on every way in. docs/pages.md has the rules for people."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

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
    }
)

_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
# A relative address: no white space, and a query or a hash route behind it.
_RELATIVE: Final = re.compile(r"[^\s?#]*(?:\?[^\s=&#]+=|#!?/)")
_HASH_ROUTES: Final = ("/", "!/")


class PageRules(NamedTuple):
    """How an installation tells its pages apart."""

    keeps_hash_routes: bool = True
    keeps_query: bool = True


class Page(NamedTuple):
    """A page, and its address without host where that says more; else empty."""

    name: str
    address: str


def page_of(told: str, rules: PageRules) -> Page:
    """The page of a clean text: an address, a path or a name. A name stays as it is."""
    if told[0] == "/" and "?" not in told and "#" not in told:
        return Page(told, "")
    origin = _ORIGIN.match(told)
    if origin is None and told[0] not in "/?#" and _RELATIVE.match(told) is None:
        return Page(told, "")
    address = told[origin.end() :] if origin else told
    if not address or address[0] in "?#":
        address = f"/{address}"
    name = _route(address, rules)
    return Page(name, address if address != name else "")


def _route(address: str, rules: PageRules) -> str:
    rest, _, fragment = address.partition("#")
    page = _without_tracking(rest, rules)
    if rules.keeps_hash_routes and fragment.startswith(_HASH_ROUTES):
        page += f"#{_without_tracking(fragment, rules)}"
    return page


def _without_tracking(address: str, rules: PageRules) -> str:
    """A path with what of its query tells pages apart, in one order."""
    path, _, query = address.partition("?")
    kept = sorted(_telling(query.split("&"))) if query and rules.keeps_query else ()
    return f"{path}?{'&'.join(kept)}" if kept else path


def _telling(parameters: Iterable[str]) -> Iterable[str]:
    for parameter in parameters:
        name = parameter.partition("=")[0].lower()
        if name and name not in TRACKING_NAMES and not name.startswith(TRACKING_PREFIXES):
            yield parameter
