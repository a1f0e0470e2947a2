"""What made an event: the class of device, and whether it looks like a script's doing.

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
    """What is told of a device."""

    device_class: int
    is_bot: bool


_BOT: Final = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|headless|phantomjs|selenium|puppeteer|playwright|lighthouse|monitor"
    r"|^(curl|wget|python|go-http|java|okhttp|node|axios|libwww|httpie)",
    re.IGNORECASE,
)
_TABLET: Final = re.compile(r"ipad|tablet|android(?!.*mobile)", re.IGNORECASE)
_PHONE: Final = re.compile(r"iphone|ipod|mobi|android", re.IGNORECASE)
_DESKTOP: Final = re.compile(r"windows|macintosh|x11|linux|cros", re.IGNORECASE)


@functools.lru_cache(maxsize=4096)
def tell(platform: int, user_agent: str) -> Device:
    """The device by platform and user agent. A backend speaks for a user and is no bot, whatever its agent."""
    if platform == Platform.BACKEND:
        return Device(DeviceClass.SERVER, is_bot=False)
    is_bot = bool(_BOT.search(user_agent))
    for pattern, device_class in (
        (_TABLET, DeviceClass.TABLET),
        (_PHONE, DeviceClass.PHONE),
        (_DESKTOP, DeviceClass.DESKTOP),
    ):
        if pattern.search(user_agent):
            return Device(device_class, is_bot)
    is_phone = platform == Platform.MOBILE and not is_bot
    return Device(DeviceClass.PHONE if is_phone else DeviceClass.UNKNOWN, is_bot)
