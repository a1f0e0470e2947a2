"""What made an event: the class of device, and what tells that a script did.

Bots are marked, never dropped: who counts them out later can also count them in.
"""

import functools
import re
from enum import IntEnum
from typing import Final, NamedTuple


class Platform(IntEnum):
    """Values as in `journeymesh.common.v1.Platform`."""

    UNKNOWN = 0
    WEB = 1
    MOBILE = 2
    BACKEND = 3


class DeviceClass(IntEnum):
    """Values as in `journeymesh.common.v1.DeviceClass`."""

    UNKNOWN = 0
    DESKTOP = 1
    PHONE = 2
    TABLET = 3
    SERVER = 4


class Device(NamedTuple):
    """What is told of a device; `evidence` is what tells of a script, empty for none."""

    device_class: int
    evidence: str


AUTOMATED: Final = "client:automated"
"""The client itself says that no person made the event."""
RATE: Final = "rate"
"""The user's events came faster than a person makes them."""

# A word that ends in `bot`, but no name of a make or a person (Cubot phones, Talbot), and no word that only begins so
# (robotics, Botswana). `(?!...)` looks at the whole word because the match may not begin within one.
_BOT: Final = re.compile(
    r"(?<![a-z0-9])(?!cubot|talbot|abbot|turbot|sabot|irobot)[a-z0-9.]*bot(?:s|_[a-z]+)?(?![a-z0-9])"
    r"|(?<![a-z])[a-z0-9]*(?:crawler|spider(?!-?man)|slurp|scraper)(?![a-z])"
    r"|facebookexternalhit|mediapartners-google|apis-google|google-inspectiontool|feedfetcher|bytespider|ccbot|ia_archiver"
    r"|headless\w*|phantomjs|selenium|webdriver|puppeteer|playwright|cypress|lighthouse|pagespeed|gtmetrix"
    r"|pingdom|statuscake|site24x7|datadogsynthetics|newrelicpinger|checkly|catchpoint",
    re.IGNORECASE,
)
# Libraries that speak for themselves. A mobile app speaks by the same ones, and there a person is behind it.
_LIBRARY: Final = re.compile(
    r"^(?:curl|wget|python[a-z-]*|aiohttp|go-http-client|java|apache-httpclient|okhttp|node(?:-fetch)?|undici|axios|got"
    r"|libwww-perl|httpie|ruby|guzzlehttp|postmanruntime|insomnia|k6|jmeter)(?=[/ ]|$)",
    re.IGNORECASE,
)
_EVIDENCE_LENGTH: Final = 40
_TABLET: Final = re.compile(r"ipad|tablet|android(?!.*mobile)", re.IGNORECASE)
_PHONE: Final = re.compile(r"iphone|ipod|mobi|android", re.IGNORECASE)
_DESKTOP: Final = re.compile(r"windows|macintosh|x11|linux|cros", re.IGNORECASE)


@functools.lru_cache(maxsize=4096)
def tell(platform: int, user_agent: str) -> Device:
    """The device by platform and user agent. A backend speaks for a user and is no bot, whatever its agent."""
    if platform == Platform.BACKEND:
        return Device(DeviceClass.SERVER, "")
    found = _BOT.search(user_agent) or (_LIBRARY.search(user_agent) if platform != Platform.MOBILE else None)
    evidence = f"user_agent:{found[0].lower()[:_EVIDENCE_LENGTH]}" if found else ""
    for pattern, device_class in (
        (_TABLET, DeviceClass.TABLET),
        (_PHONE, DeviceClass.PHONE),
        (_DESKTOP, DeviceClass.DESKTOP),
    ):
        if pattern.search(user_agent):
            return Device(device_class, evidence)
    is_phone = platform == Platform.MOBILE and not evidence
    return Device(DeviceClass.PHONE if is_phone else DeviceClass.UNKNOWN, evidence)
