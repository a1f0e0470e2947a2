"""Builds the configured channels by name. AWS clients are loaded only if configured."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from mesh import webhook
from mesh.settings import SettingError
from services.intervention.delivery.adapters.log_channel import LogChannel
from services.intervention.delivery.adapters.webhook import WebhookChannel
from services.intervention.delivery.domain import delivery
from services.intervention.delivery.ports import Channel

if TYPE_CHECKING:
    from services.intervention.delivery.adapters.aws import Aws


@contextlib.asynccontextmanager
async def channels(
    *,
    email_from: str,
    has_push: bool,
    push_topic: str,
    webhook_urls: Mapping[str, str],
    webhook_secret: bytes,
    concurrency: int,
    clock: Callable[[], int],
) -> AsyncIterator[dict[str, Channel]]:
    """The channels, open for the length of the block. Channels that are not configured write to the log.

    Args:
        email_from: the sender's address; empty: no e-mail by SES.
        has_push: whether push messages are sent by SNS.
        push_topic: ARN of the topic they all go to; empty: each to the user's device.
        webhook_urls: for each channel that is a webhook, its address.
        webhook_secret: what webhooks are signed with.
        concurrency: how many calls one channel may make at a time.
        clock: for the time in signatures.

    Raises:
        SettingError: AWS is wanted and its region is not known, or its client is not installed.
    """
    found: dict[str, Channel] = dict.fromkeys(delivery.CHANNELS, LogChannel())
    async with contextlib.AsyncExitStack() as stack:
        if webhook_urls:
            client = await stack.enter_async_context(webhook.client())
            for name, url in webhook_urls.items():
                found[name] = WebhookChannel(webhook.Webhook(client, url, webhook_secret, clock))
        if email_from:
            from services.intervention.delivery.adapters.ses import SesChannel

            found["email"] = SesChannel(stack.enter_context(contextlib.closing(_aws("sesv2", concurrency))), email_from)
        if has_push:
            from services.intervention.delivery.adapters.sns import SnsChannel

            found["push"] = SnsChannel(stack.enter_context(contextlib.closing(_aws("sns", concurrency))), push_topic)
        yield found


def _aws(service: str, workers: int) -> "Aws":
    try:
        from services.intervention.delivery.adapters.aws import Aws
    except ModuleNotFoundError as error:
        message = "SES and SNS need the extra `aws`, which is not installed."
        raise SettingError(message) from error
    return Aws(service, workers)
