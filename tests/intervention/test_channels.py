"""The channel port over every adapter, against emulated AWS and a receiver of webhooks that answers as asked."""

import base64
import hashlib
import hmac
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends
from moto.sns.models import sns_backends

from mesh import webhook
from mesh.settings import SettingError, read
from mesh.state import applied, keyed
from mesh.state.applied import Batch
from mesh.state.memory import MemoryState
from mesh.webhook import Webhook, standard_signature
from records.tenants import SEPARATOR, qualified
from services.intervention.decision.domain.facts import Contact
from services.intervention.decision.domain.segment import Recommended
from services.intervention.decision.domain.user_state import stocked
from services.intervention.decision.state import USERS
from services.intervention.delivery.adapters import aws as aws_adapter
from services.intervention.delivery.adapters.aws import Aws
from services.intervention.delivery.adapters.channels import channels
from services.intervention.delivery.adapters.log_channel import LogChannel
from services.intervention.delivery.adapters.outbox_memory import MemoryOutbox
from services.intervention.delivery.adapters.ses import SesChannel
from services.intervention.delivery.adapters.silence import SilentDeliveryObserver
from services.intervention.delivery.adapters.sns import SnsChannel
from services.intervention.delivery.adapters.webhook import WebhookChannel
from services.intervention.delivery.domain.delivery import Deferred, OutboxMessage, Refused, Unanswered
from services.intervention.delivery.ports import Channel
from services.intervention.delivery.usecases import Deliverer
from services.intervention.settings import ChannelSettings
from tests.conftest import free_port
from tests.intervention.messages import NOON_ISH, SECOND, ManualClock, message, offer, reachable
from tests.intervention.receiver import CLOSE, SILENCE, Answer, Receiver
from tests.kinesis import point_at

SECRET = b"s3cret"
ADA = Contact("ada@example.org", "")
SENDER = "help@example.org"
REGION, ACCOUNT = "eu-central-1", "123456789012"


@pytest.fixture(scope="module")
def moto_server() -> Iterator[str]:
    """Emulated AWS in this process, so that a test can look at what it was given."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def emulated(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leads AWS clients to the emulator, which has forgotten everything."""
    ses_backends.reset()
    sns_backends.reset()
    point_at(monkeypatch, moto_server)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().serving() as serving:
        yield serving


@pytest.fixture
async def hook(receiver: Receiver) -> AsyncIterator[WebhookChannel]:
    async with webhook.client() as client:
        yield WebhookChannel(Webhook(client, receiver.url, SECRET, ManualClock()))


@pytest.fixture
def answering(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[SesChannel]:
    """SES whose place the receiver takes."""
    point_at(monkeypatch, receiver.url.rpartition("/")[0])
    monkeypatch.setattr(aws_adapter, "_READ_SECONDS", 0.3)
    aws = Aws("sesv2", 2)
    yield SesChannel(aws, SENDER)
    aws.close()


async def send(channel: Channel, of: OutboxMessage | None = None, contact: Contact = ADA, text: str = "") -> str:
    of = of or message()
    return (await channel.send(of, text or of.text, contact, of.key)).provider_id


def refusal(code: str, status: int = 400) -> Answer:
    """An error as SES returns it."""
    return Answer(status, {"x-amzn-ErrorType": code, "Content-Type": "application/json"}, b'{"message": "no"}')


async def test_ses_sends_the_text_to_the_user_s_address(emulated: None) -> None:
    aws = Aws("sesv2", 2)
    boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    provider_id = await send(SesChannel(aws, SENDER), text="Grüße & <hello>")
    aws.close()
    (message,) = ses_backends[ACCOUNT][REGION].sent_messages
    assert message.id == provider_id
    assert message.source == SENDER
    assert message.destinations == {"ToAddresses": ["ada@example.org"]}
    assert message.subject == "Something that may help you"
    assert message.body == "Grüße & <hello>"


async def test_ses_refuses_a_sender_that_is_not_verified(emulated: None) -> None:
    aws = Aws("sesv2", 2)
    with pytest.raises(Refused, match="message_rejected"):
        await send(SesChannel(aws, "nobody@example.org"))
    aws.close()


async def test_ses_gets_the_key_and_the_intervention(answering: SesChannel, receiver: Receiver) -> None:
    receiver.script = [Answer(200, {"Content-Type": "application/json"}, b'{"MessageId": "m-1"}')]
    assert await send(answering) == "m-1"
    (request,) = receiver.received
    body = json.loads(request.body)
    assert body["Content"]["Simple"]["Headers"] == [{"Name": "X-Journeymesh-Key", "Value": "i-3-1-0.email"}]
    assert body["EmailTags"] == [{"Name": "intervention_id", "Value": "i-3-1-0"}]


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (refusal("TooManyRequestsException", 429), Deferred, "throttled"),
        (refusal("Throttling"), Deferred, "throttled"),
        (refusal("LimitExceededException"), Deferred, "throttled"),
        (refusal("SomethingNew", 429), Deferred, "throttled"),
        (refusal("ServiceUnavailable", 503), Deferred, "unavailable"),
        (refusal("SendingPausedException"), Deferred, "account"),
        (refusal("ExpiredTokenException", 403), Deferred, "credentials"),
        (refusal("BadRequestException"), Refused, "bad_request"),
        (refusal("MessageRejected"), Refused, "message_rejected"),
        (refusal("NotFoundException", 404), Refused, "not_found"),
        (refusal("InternalFailure", 500), Unanswered, "http_500"),
        (Answer(CLOSE), Unanswered, "no_answer"),
        (Answer(SILENCE), Unanswered, "no_answer"),
        (Answer(200, {"Content-Length": "100"}, b'{"Mess'), Unanswered, "no_answer"),
    ],
)
async def test_what_ses_answers_means_one_of_three_things_and_is_asked_once(
    answering: SesChannel, receiver: Receiver, answer: Answer, kind: type[Exception], reason: str
) -> None:
    receiver.script = [answer]
    with pytest.raises(kind, match=f"^{reason}$"):
        await send(answering)
    assert len(receiver.received) == 1


async def test_aws_that_cannot_be_reached_has_taken_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(monkeypatch, f"http://127.0.0.1:{free_port()}")
    aws = Aws("sesv2", 1)
    with pytest.raises(Deferred, match="unreachable"):
        await send(SesChannel(aws, SENDER))
    aws.close()


async def test_without_credentials_nothing_was_sent(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    point_at(monkeypatch, receiver.url.rpartition("/")[0])
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    aws = Aws("sesv2", 1)
    with pytest.raises(Deferred, match="credentials"):
        await send(SesChannel(aws, SENDER))
    aws.close()
    assert receiver.received == []


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("", "no_address"),
        ("ada", "bad_address"),
        ("ada@example.org, eve@example.org", "bad_address"),
        ("ada@example.org\r\nBcc: eve@example.org", "bad_address"),
        ("Ada <ada@example.org>", "bad_address"),
        ("a" * 250 + "@b.org", "bad_address"),
    ],
)
async def test_ses_sends_to_one_plain_address_only(
    answering: SesChannel, receiver: Receiver, email: str, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        await send(answering, contact=Contact(email, ""))
    assert receiver.received == []


async def test_sns_publishes_to_the_user_s_device(emulated: None) -> None:
    aws, sns = Aws("sns", 2), boto3.client("sns")
    application = sns.create_platform_application(Name="app", Platform="GCM", Attributes={})
    device = {"PlatformApplicationArn": application["PlatformApplicationArn"], "Token": "a-device"}
    endpoint = sns.create_platform_endpoint(**device)["EndpointArn"]
    channel = SnsChannel(aws, "")
    provider_id = await send(channel, message(channel="push"), Contact("", endpoint))
    assert sns_backends[ACCOUNT][REGION].platform_endpoints[endpoint].messages == {provider_id: message().text}
    sns.set_endpoint_attributes(EndpointArn=endpoint, Attributes={"Enabled": "false"})
    with pytest.raises(Refused, match="endpoint_disabled"):
        await send(channel, message(channel="push"), Contact("", endpoint))
    with pytest.raises(Refused, match="not_found"):
        await send(channel, message(channel="push"), Contact("", endpoint + "x"))
    aws.close()


async def test_sns_publishes_to_a_topic_with_the_user_as_attribute(emulated: None) -> None:
    aws = Aws("sns", 2)
    topic = boto3.client("sns").create_topic(Name="help")["TopicArn"]
    await send(SnsChannel(aws, topic), message(channel="push"), Contact("", ""))
    aws.close()
    ((_, text, _, attributes, _),) = sns_backends[ACCOUNT][REGION].topics[topic].sent_notifications
    assert text == message().text
    assert {name: each["Value"] for name, each in (attributes or {}).items()} == {
        "user_id": "ada",
        "intervention_id": "i-3-1-0",
        "type": "proactive_help",
        "action": "send_help_email",
        "idempotency_key": "i-3-1-0.push",
    }


async def test_receivers_of_several_tenants_are_told_which_one_a_user_is_of(
    emulated: None, hook: WebhookChannel, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    ada = qualified("acme", "ada")
    await send(hook, message(channel="chat", user_id=ada))
    body = json.loads(receiver.received[0].body)
    assert (body["journeymesh"]["userId"], body["journeymesh"]["tenant"]) == ("ada", "acme")
    assert SEPARATOR not in json.dumps(body, ensure_ascii=False)
    aws = Aws("sns", 2)
    topic = boto3.client("sns").create_topic(Name="help")["TopicArn"]
    await send(SnsChannel(aws, topic), message(channel="push", user_id=ada), Contact("", ""))
    aws.close()
    ((_, _, _, attributes, _),) = sns_backends[ACCOUNT][REGION].topics[topic].sent_notifications
    assert attributes is not None
    assert (attributes["user_id"]["Value"], attributes["tenant"]["Value"]) == ("ada", "acme")
    with caplog.at_level("INFO"):
        await send(LogChannel(), message(channel="chat", user_id=ada))
    assert "user 'ada' of acme" in caplog.text


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("", "no_address"),
        (f"arn:aws:sns:{REGION}:{ACCOUNT}:help", "bad_address"),
        (f"arn:aws:sns:{REGION}:{ACCOUNT}:app/GCM/app", "bad_address"),
        ("token", "bad_address"),
    ],
)
async def test_sns_publishes_to_devices_and_not_to_what_an_event_names(
    emulated: None, target: str, reason: str
) -> None:
    aws = Aws("sns", 1)
    boto3.client("sns").create_topic(Name="help")
    with pytest.raises(Refused, match=reason):
        await send(SnsChannel(aws, ""), message(channel="push"), Contact("", target))
    aws.close()


async def test_a_webhook_is_signed_and_carries_its_key(hook: WebhookChannel, receiver: Receiver) -> None:
    assert await send(hook, message(channel="chat")) == ""
    (request,) = receiver.received
    assert (request.method, request.path) == ("POST", "/hook?key=1")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "i-3-1-0.chat"
    timestamp = request.headers["x-journeymesh-timestamp"]
    assert int(timestamp) == NOON_ISH // SECOND
    digest = hmac.new(SECRET, timestamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-journeymesh-signature"] == f"v1={digest}"
    assert request.headers["webhook-id"] == "i-3-1-0.chat"
    assert request.headers["webhook-timestamp"] == timestamp
    expected = standard_signature(SECRET, "i-3-1-0.chat", timestamp, request.body)
    assert request.headers["webhook-signature"] == expected


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # What its libraries sign with this secret.
    secret, body = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signed = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert standard_signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == signed
    key = base64.b64decode(secret.removeprefix(b"whsec_"))
    assert standard_signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == signed


async def test_what_users_made_names_and_links_nobody_in_slack(hook: WebhookChannel, receiver: Receiver) -> None:
    evil = "<!channel> & <https://evil.example|click>"
    await send(hook, message(channel="chat", page=evil, user_id=evil, text="x"), text=evil * 100)
    body = json.loads(receiver.received[0].body)
    shown = [body["text"], *(each["text"] for each in _texts(body["blocks"]))]
    assert len(shown) == 4
    assert all("<" not in text and ">" not in text and 0 < len(text) <= 3000 for text in shown)
    assert shown[3].startswith("User &lt;!channel&gt; &amp; &lt;https")
    assert all(each["verbatim"] for each in _texts(body["blocks"]))
    assert body["journeymesh"] == {
        "idempotencyKey": "i-3-1-0.chat",
        "interventionId": "i-3-1-0",
        "decisionId": "d-3-1-0",
        "traceId": "000102030405060708090a0b0c0d0e0f",
        "channel": "chat",
        "userId": evil,
        "type": "proactive_help",
        "action": "send_help_email",
        "priority": "medium",
        "queue": "standard",
        "riskLevel": "high",
        "message": evil * 100,
        "content": ["guide", "support_link"],
        "page": evil,
        "expiresAt": "2026-01-07T09:30:00Z",
    }


@pytest.mark.parametrize(
    ("answer", "kind", "reason", "after_seconds"),
    [
        (Answer(429, {"Retry-After": "30"}), Deferred, "throttled", 30),
        (Answer(429, {"Retry-After": "999999999999"}), Deferred, "throttled", 300),
        (Answer(429, {"Retry-After": "Wed, 07 Jan 2026 09:01:00 GMT"}), Deferred, "throttled", 60),
        (Answer(429, {"Retry-After": "-5"}), Deferred, "throttled", 0),
        (Answer(503), Deferred, "unavailable", 0),
        (Answer(500), Deferred, "http_500", 0),
        (Answer(409), Deferred, "in_progress", 0),
        (Answer(400), Refused, "http_400", 0),
        (Answer(404), Refused, "http_404", 0),
        (Answer(307, {"Location": "http://127.0.0.1:1/"}), Refused, "redirected", 0),
        (Answer(502), Unanswered, "http_502", 0),
        (Answer(CLOSE), Unanswered, "no_answer", 0),
    ],
)
async def test_what_a_webhook_answers(
    hook: WebhookChannel,
    receiver: Receiver,
    answer: Answer,
    kind: type[Exception],
    reason: str,
    after_seconds: int,
) -> None:
    receiver.script = [answer]
    with pytest.raises(kind, match=f"^{reason}$") as raised:
        await send(hook)
    assert getattr(raised.value, "retry_after_us", 0) == after_seconds * SECOND
    assert len(receiver.received) == 1


async def test_the_body_of_an_answer_is_not_waited_for(hook: WebhookChannel, receiver: Receiver) -> None:
    receiver.script = [Answer(200, {"Content-Length": "1000000000"}, b"endless")]
    await send(hook)
    receiver.script = [Answer(200, {"Content-Encoding": "gzip"}, b"not gzip")]
    await send(hook)
    assert len(receiver.received) == 2


async def test_a_webhook_that_is_silent_or_away(receiver: Receiver) -> None:
    async with webhook.client() as client:
        client.timeout = 0.3
        receiver.script = [Answer(SILENCE)]
        with pytest.raises(Unanswered, match="no_answer"):
            await send(WebhookChannel(Webhook(client, receiver.url, SECRET, ManualClock())))
        away = f"http://127.0.0.1:{free_port()}/"
        with pytest.raises(Deferred, match="unreachable"):
            await send(WebhookChannel(Webhook(client, away, SECRET, ManualClock())))


async def test_the_log_shows_a_message_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await send(LogChannel(), message(user_id="ada\nERROR forged"), text="one\ntwo")
    (record,) = caplog.records
    expected = r"email to user 'ada\nERROR forged', not connected (i-3-1-0.email): 'one\ntwo'"
    assert record.getMessage() == expected


async def test_channels_are_what_the_settings_want(emulated: None, tmp_path: Path) -> None:
    wanted = _wanted(tmp_path)
    async with _channels(wanted) as found:
        assert {name: each.provider for name, each in found.items()} == {
            "chat": "webhook",
            "email": "ses",
            "push": "sns",
            "ticket": "webhook",
        }
    async with _channels(read(ChannelSettings, {})) as found:
        assert {each.provider for each in found.values()} == {"log"}
        assert sorted(found) == ["chat", "email", "push", "ticket"]


async def test_without_a_region_the_start_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    point_at(monkeypatch, "http://127.0.0.1:1")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SettingError, match="AWS_DEFAULT_REGION"):
        async with _channels(_wanted(tmp_path)):
            pass


def test_the_default_loads_no_client_of_aws() -> None:
    code = (
        "import asyncio, sys\n"
        "from services.intervention.delivery.adapters.channels import channels\n"
        "async def main():\n"
        "    async with channels(email_from='', has_push=False, push_topic='', webhook_urls={},"
        " webhook_secret=b'', concurrency=1, clock=lambda: 0): pass\n"
        "asyncio.run(main())\n"
        "print([name for name in ('boto3', 'botocore') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"JOURNEYMESH_EMAIL": "ses"}, "JOURNEYMESH_EMAIL_FROM"),
        ({"JOURNEYMESH_EMAIL": "smtp"}, "one of log, ses"),
        ({"JOURNEYMESH_CHAT": "webhook"}, "JOURNEYMESH_CHAT_URL"),
        ({"JOURNEYMESH_CHAT": "webhook", "JOURNEYMESH_CHAT_URL": "http://example.org/"}, "https, or loopback"),
        ({"JOURNEYMESH_CHAT": "webhook", "JOURNEYMESH_CHAT_URL": "https://"}, "https, or loopback"),
        ({"JOURNEYMESH_TICKET": "webhook", "JOURNEYMESH_TICKET_URL": "ftp://127.0.0.1/"}, "https, or loopback"),
        ({"JOURNEYMESH_CHAT": "webhook", "JOURNEYMESH_CHAT_URL": "http://127.0.0.1:1x/"}, "https, or loopback"),
        ({"JOURNEYMESH_CHAT": "webhook", "JOURNEYMESH_CHAT_URL": "https://example.org/"}, "SECRET_FILE"),
    ],
)
def test_a_setting_that_misses_another_stops_the_start(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        read(ChannelSettings, environment)


@pytest.mark.parametrize(
    "url", ["https://hooks.example.org/x", "http://localhost:1/x", "http://[::1]:2/", "http://127.8.8.8/"]
)
def test_addresses_messages_may_go_to(url: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    chat = {"JOURNEYMESH_CHAT": "webhook", "JOURNEYMESH_CHAT_URL": url, "JOURNEYMESH_WEBHOOK_SECRET_FILE": str(secret)}
    settings = read(ChannelSettings, chat)
    assert settings.webhook_urls == {"chat": url}
    assert settings.webhook_secret == SECRET
    secret.write_text(" \n")
    with pytest.raises(SettingError, match="SECRET_FILE"):
        read(ChannelSettings, chat)
    secret.write_text("whsec_s3cret!")
    with pytest.raises(SettingError, match="base64 must follow"):
        read(ChannelSettings, chat)
    secret.unlink()
    with pytest.raises(SettingError, match="cannot be read"):
        read(ChannelSettings, chat)


def _wanted(folder: Path) -> ChannelSettings:
    (folder / "secret").write_text("s3cret")
    return read(
        ChannelSettings,
        {
            "JOURNEYMESH_EMAIL": "ses",
            "JOURNEYMESH_EMAIL_FROM": SENDER,
            "JOURNEYMESH_PUSH": "sns",
            "JOURNEYMESH_CHAT": "webhook",
            "JOURNEYMESH_CHAT_URL": "https://hooks.example.org/chat",
            "JOURNEYMESH_TICKET": "webhook",
            "JOURNEYMESH_TICKET_URL": "http://127.0.0.1:9/ticket",
            "JOURNEYMESH_WEBHOOK_SECRET_FILE": str(folder / "secret"),
        },
    )


def _channels(settings: ChannelSettings) -> Any:
    return channels(
        email_from=settings.email_from if settings.email == "ses" else "",
        has_push=settings.push == "sns",
        push_topic=settings.push_topic,
        webhook_urls=settings.webhook_urls,
        webhook_secret=settings.webhook_secret,
        concurrency=settings.channel_concurrency,
        clock=ManualClock(),
    )


def _texts(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for block in blocks for each in (block.get("elements") or [block["text"]])]


@pytest.mark.parametrize("bought", [(), (("p-2", NOON_ISH + 1),)])
async def test_an_e_mail_names_the_recommended_products_that_are_left(
    emulated: None, bought: tuple[tuple[str, int], ...]
) -> None:
    state, outbox, clock, mail = MemoryState(), MemoryOutbox(), ManualClock(), message()
    products = (
        Recommended("p-1", "Grüner Tee", "due_again"),
        Recommended("p-2", "Milk"),
        Recommended("p-3"),
        Recommended("p-4", "Win a prize at www.example.com"),
        Recommended("p-5", "Tea\nBcc: all"),
    )
    await offer(state, [mail], products=products)
    user = stocked(await keyed.read(state, USERS, "ada"), [each for each, _ in bought], NOON_ISH + 1)
    batch = Batch("events", "3", (2,))
    await state.save({USERS.key("ada"): applied.seal(applied.resume(None, batch), USERS.encode(user), batch)}, None)
    await reachable(state)
    await outbox.add([mail], clock())
    boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    aws = Aws("sesv2", 2)
    (claimed,) = await outbox.claim("email", clock(), 1, 60_000_000)
    await Deliverer(outbox, state, SilentDeliveryObserver(), clock, lambda: 1.0).deliver(
        claimed, SesChannel(aws, SENDER)
    )
    aws.close()
    (sent,) = ses_backends[ACCOUNT][REGION].sent_messages
    named = "- Grüner Tee" if bought else "- Grüner Tee\n- Milk"
    assert sent.body == f"{mail.text}\n\n{named}"
