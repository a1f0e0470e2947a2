"""What made an event, and the evidence that a script did."""

import pytest

from services.ingest.accept.domain.device import Device, DeviceClass, Platform, recognized

MOZILLA = "Mozilla/5.0 "
WEBKIT = " AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 "
IPHONE = MOZILLA + "(iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
IPAD = MOZILLA + "(iPad; CPU OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
TABLET = MOZILLA + "(Linux; Android 16; SM-X910)" + WEBKIT + "Safari/537.36"
PIXEL = MOZILLA + "(Linux; Android 16; Pixel 10)" + WEBKIT + "Mobile Safari/537.36"
LINUX = MOZILLA + "(X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GOOGLEBOT = MOZILLA + "(compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("platform", "user_agent", "device"),
    [
        (Platform.WEB, IPHONE, Device(DeviceClass.PHONE, "")),
        (Platform.WEB, IPAD, Device(DeviceClass.TABLET, "")),
        (Platform.WEB, TABLET, Device(DeviceClass.TABLET, "")),
        (Platform.WEB, PIXEL, Device(DeviceClass.PHONE, "")),
        (Platform.WEB, LINUX, Device(DeviceClass.DESKTOP, "")),
        (Platform.WEB, GOOGLEBOT, Device(DeviceClass.UNKNOWN, "user_agent:googlebot")),
        (Platform.WEB, "curl/8.5.0", Device(DeviceClass.UNKNOWN, "user_agent:curl")),
        (Platform.BACKEND, "python-requests/2.32", Device(DeviceClass.SERVER, "")),
        (Platform.MOBILE, "", Device(DeviceClass.PHONE, "")),
        (Platform.MOBILE, "okhttp/4.12.0", Device(DeviceClass.PHONE, "")),
        (Platform.MOBILE, GOOGLEBOT, Device(DeviceClass.UNKNOWN, "user_agent:googlebot")),
        (Platform.UNKNOWN, "", Device(DeviceClass.UNKNOWN, "")),
    ],
)
def test_device_and_evidence_are_told_from_platform_and_agent(platform: int, user_agent: str, device: Device) -> None:
    assert recognized(platform, user_agent) == device


SCRIPTS = {
    MOZILLA + "(compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)": "bingbot",
    MOZILLA + "(compatible; YandexBot/3.0; +http://yandex.com/bots)": "yandexbot",
    MOZILLA + "(compatible; MJ12bot/v1.4.8; http://mj12bot.com/)": "mj12bot",
    MOZILLA + "(compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)": "ahrefsbot",
    MOZILLA + "(compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)": "baiduspider",
    MOZILLA + "(compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)": "slurp",
    MOZILLA + "(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)": "uptimerobot",
    MOZILLA + "AppleWebKit/537.36 (compatible; GPTBot/1.2; +https://openai.com/gptbot)": "gptbot",
    MOZILLA + "(iPhone; CPU iPhone OS 8_3 like Mac OS X) Safari/600.1.4 (compatible; AdsBot-Google-Mobile)": "adsbot",
    MOZILLA
    + "(Linux; Android 5.0) AppleWebKit/537.36 (compatible; Bytespider; spider-feedback@example.com)": "bytespider",
    MOZILLA + "(X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/140.0 Safari/537.36": "headlesschrome",
    MOZILLA + "(Macintosh; Intel Mac OS X 10_15_7) Chrome/140.0 Safari/537.36 Chrome-Lighthouse": "lighthouse",
    MOZILLA + "(X11; Linux x86_64) AppleWebKit/538.1 PhantomJS/2.1.1 Safari/538.1": "phantomjs",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)": "pingdom",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)": "facebookexternalhit",
    "Twitterbot/1.0": "twitterbot",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)": "slackbot",
    "Mediapartners-Google": "mediapartners-google",
    "CCBot/2.0 (https://commoncrawl.org/faq/)": "ccbot",
    "ia_archiver": "ia_archiver",
    "python-requests/2.32.3": "python-requests",
    "Python/3.12 aiohttp/3.10": "python",
    "Go-http-client/2.0": "go-http-client",
    "Java/17.0.2": "java",
    "okhttp/4.12.0": "okhttp",
    "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)": "node-fetch",
    "axios/1.7.2": "axios",
    "Wget/1.21": "wget",
    "PostmanRuntime/7.40.0": "postmanruntime",
}


@pytest.mark.parametrize(("user_agent", "token"), SCRIPTS.items(), ids=SCRIPTS.values())
def test_a_script_is_told_by_its_name(user_agent: str, token: str) -> None:
    assert recognized(Platform.WEB, user_agent).evidence == f"user_agent:{token}"


PEOPLE = [
    IPHONE,
    PIXEL,
    LINUX,
    MOZILLA + "(Linux; Android 9; CUBOT X19)" + WEBKIT + "Mobile Safari/537.36",
    MOZILLA + "(Linux; Android 12; CUBOT_NOTE_20_PRO)" + WEBKIT + "Mobile Safari/537.36",
    MOZILLA + "(Linux; Android 13; KINGKONG 5 Pro Build/CUBOT)" + WEBKIT + "Mobile Safari/537.36",
    MOZILLA + "(Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 AbbottPortal/2.1",
    MOZILLA + "(Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 Talbot/1.0",
    MOZILLA + "(Linux; Android 11; BotswanaTelecom B1)" + WEBKIT + "Mobile Safari/537.36",
    MOZILLA + "(Windows NT 10.0) Chrome/140.0 Safari/537.36 RoboticsAcademy/3.2",
    MOZILLA + "(Linux; Android 14; Bottega One)" + WEBKIT + "Mobile Safari/537.36",
    MOZILLA + "(SMART-TV; LINUX; Tizen 8.0) AppleWebKit/537.36 SamsungBrowser/7.0 TV Safari/537.36 SmartMonitor",
    MOZILLA + "(Linux; Android 13; Spider-Man Edition)" + WEBKIT + "Mobile Safari/537.36",
    MOZILLA
    + "(Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Slack/4.40 Chrome/140.0 Electron/32.1 Safari/537.36",
    MOZILLA + "(Linux; Android 14; Javanese Edition)" + WEBKIT + "Mobile Safari/537.36",
    "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80; U; en) Presto/2.12",
    "GoteborgTaxi/5.1 (iPhone; iOS 19.0; Scale/3.00)",
    "Nodesign/1.2 CFNetwork/1490 Darwin/23.0",
]


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_a_person_is_not_taken_for_a_script(user_agent: str) -> None:
    assert recognized(Platform.WEB, user_agent).evidence == ""
