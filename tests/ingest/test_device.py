"""What made an event."""

import pytest

from services.ingest.domain.device import Device, DeviceClass, Platform, tell

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
IPAD = "Mozilla/5.0 (iPad; CPU OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
TABLET = "Mozilla/5.0 (Linux; Android 16; SM-X910) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
PIXEL = "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("platform", "user_agent", "device"),
    [
        (Platform.WEB, IPHONE, Device(DeviceClass.PHONE, is_bot=False)),
        (Platform.WEB, IPAD, Device(DeviceClass.TABLET, is_bot=False)),
        (Platform.WEB, TABLET, Device(DeviceClass.TABLET, is_bot=False)),
        (Platform.WEB, PIXEL, Device(DeviceClass.PHONE, is_bot=False)),
        (Platform.WEB, LINUX, Device(DeviceClass.DESKTOP, is_bot=False)),
        (Platform.WEB, GOOGLEBOT, Device(DeviceClass.UNKNOWN, is_bot=True)),
        (Platform.WEB, "curl/8.5.0", Device(DeviceClass.UNKNOWN, is_bot=True)),
        (Platform.BACKEND, "python-requests/2.32", Device(DeviceClass.SERVER, is_bot=False)),
        (Platform.MOBILE, "", Device(DeviceClass.PHONE, is_bot=False)),
        (Platform.UNKNOWN, "", Device(DeviceClass.UNKNOWN, is_bot=False)),
    ],
)
def test_device_and_bot_are_told_from_platform_and_agent(platform: int, user_agent: str, device: Device) -> None:
    assert tell(platform, user_agent) == device
