"""What made an event: the class of device, and the evidence that a script did.

Bots are marked, never dropped: so they can be left out of a count later, or included.
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
    """What is known of a device; `evidence` names a sign of a script, empty if there is none."""

    device_class: int
    evidence: str


AUTOMATED: Final = "client:automated"
"""The client itself says that no person made the event."""
RATE: Final = "rate"
"""The user's events came faster than a person makes them."""

# A word of a user agent, and a word that shows a script: one that ends in `bot`, except names of makes and people
# (Cubot phones, Talbot), and not one that only begins so (robotics, Botswana). Each word is examined once, so that the
# time is linear in the length of the agent, not quadratic.
_WORD: Final = re.compile(r"[a-z0-9]+(?:\.[a-z0-9]+)*(?:_[a-z]+)?")
_BOT_WORD: Final = re.compile(r".*bot(?:s|_[a-z]+)?|.*(?:crawler|spider|slurp|scraper)\d*")
_NO_BOT: Final = re.compile(r"(?:cubot|talbot|abbot|turbot|sabot|irobot).*")
_NO_SPIDER: Final = re.compile(r"spider-?man")
_NAME: Final = re.compile(
    r"facebookexternalhit|mediapartners-google|apis-google|google-inspectiontool|feedfetcher|bytespider|ccbot|ia_archiver"
    r"|headless\w*|phantomjs|selenium|webdriver|puppeteer|playwright|cypress|lighthouse|pagespeed|gtmetrix"
    r"|pingdom|statuscake|site24x7|datadogsynthetics|newrelicpinger|checkly|catchpoint",
    re.IGNORECASE,
)
# Libraries of HTTP, a sign of a script except on mobile: there apps use the same ones on behalf of a person.
_LIBRARY: Final = re.compile(
    r"^(?:curl|wget|python[a-z-]*|aiohttp|go-http-client|java|apache-httpclient|okhttp|node(?:-fetch)?|undici|axios|got"
    r"|libwww-perl|httpie|ruby|guzzlehttp|postmanruntime|insomnia|k6|jmeter)(?=[/\s]|\Z)",
    re.IGNORECASE,
)
_EVIDENCE_LENGTH: Final = 40
_TABLET: Final = re.compile(r"ipad|tablet|android(?!.*mobile)", re.IGNORECASE)
_PHONE: Final = re.compile(r"iphone|ipod|mobi|android", re.IGNORECASE)
_DESKTOP: Final = re.compile(r"windows|macintosh|x11|linux|cros", re.IGNORECASE)


@functools.lru_cache(maxsize=4096)
def recognized(platform: int, user_agent: str) -> Device:
    """The device by platform and user agent. A backend sends for a user and is no bot, whatever its agent."""
    if platform == Platform.BACKEND:
        return Device(DeviceClass.SERVER, "")
    script = _script(user_agent.lower(), is_library_evidence=platform != Platform.MOBILE)
    evidence = f"user_agent:{script[:_EVIDENCE_LENGTH]}" if script else ""
    for pattern, device_class in (
        (_TABLET, DeviceClass.TABLET),
        (_PHONE, DeviceClass.PHONE),
        (_DESKTOP, DeviceClass.DESKTOP),
    ):
        if pattern.search(user_agent):
            return Device(device_class, evidence)
    is_phone = platform == Platform.MOBILE and not evidence
    return Device(DeviceClass.PHONE if is_phone else DeviceClass.UNKNOWN, evidence)


def _script(agent: str, *, is_library_evidence: bool) -> str:
    """The name of the script in an agent, which is in lower case; empty where there is none."""
    found = _NAME.search(agent)
    if found is not None:
        return found[0]
    for word in _WORD.findall(agent):
        if (
            _BOT_WORD.fullmatch(word)
            and not _NO_BOT.match(word)
            and not (word == "spider" and _NO_SPIDER.search(agent))
        ):
            return str(word)
    library = _LIBRARY.match(agent) if is_library_evidence else None
    return library[0] if library is not None else ""
