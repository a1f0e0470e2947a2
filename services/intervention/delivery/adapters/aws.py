"""Calls to AWS for channels without idempotency keys: what an answer, or its absence, means for the message.

The client's own retries are off, because it would repeat calls that AWS may have accepted.
"""

import asyncio
import functools
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import boto3
from botocore import exceptions
from botocore.config import Config

from mesh.settings import SettingError
from services.intervention.delivery.domain.delivery import Deferred, Refused, Unanswered

_CONNECT_SECONDS: Final = 3.0
_READ_SECONDS: Final = 10.0
# Error codes that say nothing about the message: it is tried again, so that none is lost until an operator has helped.
_LATER: Final = {
    "TooManyRequestsException": "throttled",
    "LimitExceededException": "throttled",
    "Throttled": "throttled",
    "ThrottledException": "throttled",
    "Throttling": "throttled",
    "ThrottlingException": "throttled",
    "RequestLimitExceeded": "throttled",
    "KMSThrottling": "throttled",
    "ServiceUnavailable": "unavailable",
    "ServiceUnavailableException": "unavailable",
    "SlowDown": "throttled",
    "AccessDenied": "credentials",
    "AccessDeniedException": "credentials",
    "AuthorizationError": "credentials",
    "ExpiredToken": "credentials",
    "ExpiredTokenException": "credentials",
    "IncompleteSignature": "credentials",
    "InvalidClientTokenId": "credentials",
    "InvalidSignatureException": "credentials",
    "RequestExpired": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "UnrecognizedClientException": "credentials",
    "AccountSuspendedException": "account",
    "SendingPausedException": "account",
    "MailFromDomainNotVerifiedException": "account",
    "PlatformApplicationDisabled": "account",
}
_UNREACHED: Final = (
    exceptions.EndpointConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.ProxyConnectionError,
)


class Aws:
    """One AWS service, called on at most `workers` threads of its own."""

    def __init__(self, service: str, workers: int) -> None:
        options = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=workers,
        )
        try:
            self._client: Any = boto3.session.Session().client(service, config=options)
        except exceptions.NoRegionError as error:
            message = f"AWS_DEFAULT_REGION must name the region of {service}."
            raise SettingError(message) from error
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=service)

    async def call(self, operation: str, **members: object) -> dict[str, Any]:
        """The answer of a call.

        Raises:
            Deferred, Refused, Unanswered: as `services.intervention.delivery.ports.Channel.send` does.
        """
        bound = functools.partial(getattr(self._client, operation), **members)
        try:
            answer: dict[str, Any] = await asyncio.get_running_loop().run_in_executor(self._threads, bound)
        except exceptions.ClientError as error:
            raise meaning(error) from error
        except exceptions.ParamValidationError as error:
            raise Refused("bad_request") from error
        except _UNREACHED as error:
            raise Deferred("unreachable") from error
        except (exceptions.HTTPClientError, exceptions.SSLError) as error:
            raise Unanswered("no_answer") from error
        except exceptions.BotoCoreError as error:
            # All other errors occur before anything is sent: no credentials, a wrong profile.
            raise Deferred("credentials") from error
        return answer

    def close(self) -> None:
        """Accepts no more calls; running ones finish."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def meaning(error: exceptions.ClientError) -> Exception:
    """What an error that AWS answered with means for the message."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _LATER:
        return Deferred(_LATER[code])
    if status == 429:
        return Deferred("throttled")
    if status == 503:
        return Deferred("unavailable")
    if 400 <= status < 500:
        return Refused(_word(code) or f"http_{status}")
    return Unanswered(f"http_{status}")


def _word(code: str) -> str:
    """An error code as a reason: `MessageRejected` is `message_rejected`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]+", "_", code.removesuffix("Exception"))
    return words.strip("_").lower()[:64]
