"""Connects to Kinesis, and interprets its errors.

Endpoint, region and credentials come from the environment and files that every AWS client reads. The client itself
retries nothing: only the writer and the reader know what may be retried, and in which order.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from mesh.errors import MeshError, ResourceExhausted, Unavailable
from mesh.retry import backoff_seconds
from mesh.settings import SettingError

_CONNECT_SECONDS: Final = 2
_ANSWER_SECONDS: Final = 5
_CONNECTIONS: Final = 50
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 0.5
_THROTTLING: Final = {
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "ThrottlingException",
    "KMSThrottlingException",
}
_PASSING: Final = {"InternalFailure", "InternalFailureException", "ServiceUnavailable", "ServiceUnavailableException"}


@contextlib.asynccontextmanager
async def connect() -> AsyncIterator[Any]:
    """A client of Kinesis, for the length of the block.

    Raises:
        SettingError: the environment names no region, or an endpoint that is none.
    """
    config = AioConfig(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_ANSWER_SECONDS,
        max_pool_connections=_CONNECTIONS,
        retries={"total_max_attempts": 1},
    )
    async with contextlib.AsyncExitStack() as open_until_the_end:
        try:
            client = await open_until_the_end.enter_async_context(get_session().create_client("kinesis", config=config))
        except (BotoCoreError, ValueError) as error:
            message = f"Kinesis cannot be used: {error}"
            raise SettingError(message) from error
        yield client


class Refusal(NamedTuple):
    """Why a request failed: the error for the caller, and whether a retry may help."""

    error: MeshError
    is_passing: bool


def refusal(name: str, status: int = 400) -> Refusal:
    """Interprets an error code of a record, or of a whole call with its HTTP status."""
    if name in _THROTTLING:
        full = ResourceExhausted("BUFFER_FULL", "The stream takes no more now.", retry_after_seconds=1)
        return Refusal(full, is_passing=True)
    unavailable = Unavailable("DEPENDENCY_UNAVAILABLE", f"The stream refused the request: {name}.")
    return Refusal(unavailable, is_passing=name in _PASSING or status >= 500)


def code(error: Exception) -> str:
    """The error code of a call that Kinesis refused; empty for other errors."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def understood(error: Exception) -> Refusal:
    """Interprets an error of a whole call; a bug of ours is raised again."""
    if isinstance(error, ClientError):
        return refusal(code(error), error.response["ResponseMetadata"]["HTTPStatusCode"])
    if isinstance(error, (BotoCoreError, TimeoutError, OSError)) and not isinstance(error, ParamValidationError):
        away = Unavailable("DEPENDENCY_UNAVAILABLE", "The stream cannot be reached.")
        away.__cause__ = error
        return Refusal(away, is_passing=True)
    raise error


def pause_seconds(tries: int, chance: float) -> float:
    """How long to wait after so many failed attempts, 1 or more."""
    return backoff_seconds(tries, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, chance)


async def ping(client: Any, stream: str) -> None:  # noqa: ANN401 - the client has no type
    """Returns if the stream is there and answers.

    Raises:
        Unavailable: it is not, or does not.
    """
    try:
        await client.list_shards(StreamName=stream, MaxResults=1)
    except Exception as error:
        raise unavailable(understood(error)) from error


def unavailable(why: Refusal) -> Unavailable:
    """The error for callers that do not append."""
    if isinstance(why.error, Unavailable):
        return why.error
    return Unavailable("DEPENDENCY_UNAVAILABLE", "The stream is asked too often.")
