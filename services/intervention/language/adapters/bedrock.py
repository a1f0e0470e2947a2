"""Language models on Amazon Bedrock, by the Converse API of boto3.

boto3 blocks, so each attempt runs in one of a fixed number of threads. As many attempts may wait for a thread; further
ones are refused. boto3's own retries are off. Its timeouts belong to a client, not to a call, so there is a client for
each of a few timeouts, and an attempt uses the shortest one that reaches its deadline. The caller is answered at the
deadline whatever the thread does; the thread keeps its place until the socket has timed out.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import boto3.session
from botocore import exceptions as faults
from botocore.config import Config
from botocore.parsers import ResponseParserError

from mesh.retry import backoff_seconds
from services.intervention.language.domain.conversation import (
    Answer,
    NotAnswered,
    Question,
    Refusal,
    Stop,
    ToolUse,
    Turn,
)

_THREADS: Final = 8
_PLACES: Final = 2 * _THREADS
_TIMEOUTS: Final = (1.0, 2.0, 3.5, 6.0, 12.0, 24.0, 32.0)
_CONNECT_SECONDS: Final = 2.0
_MOST_TRIES: Final = 3
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 1.0
# With less time left no attempt is begun.
_LEAST_SECONDS: Final = 0.05

_REPEATED: Final = frozenset({Refusal.THROTTLED, Refusal.UNAVAILABLE})
_TOO_MANY: Final = 429
_SERVER_FAULT: Final = 500
# Codes before statuses: a model that is loading answers 429 too, and is not throttled.
_CODES: Final = {
    "ThrottlingException": Refusal.THROTTLED,
    "TooManyRequestsException": Refusal.THROTTLED,
    "ServiceQuotaExceededException": Refusal.THROTTLED,
    "ModelNotReadyException": Refusal.UNAVAILABLE,
    "ModelErrorException": Refusal.UNAVAILABLE,
    "ModelTimeoutException": Refusal.UNAVAILABLE,
    "InternalServerException": Refusal.UNAVAILABLE,
    "ServiceUnavailableException": Refusal.UNAVAILABLE,
    "ExpiredTokenException": Refusal.CREDENTIALS,
    "ExpiredToken": Refusal.CREDENTIALS,
    "UnrecognizedClientException": Refusal.CREDENTIALS,
    "InvalidSignatureException": Refusal.CREDENTIALS,
    "AccessDeniedException": Refusal.CREDENTIALS,
}
_STATUSES: Final = {401: Refusal.CREDENTIALS, 403: Refusal.CREDENTIALS, _TOO_MANY: Refusal.THROTTLED}
# Faults without an answer of Bedrock; the first kind that fits counts.
_FAULTS: Final[tuple[tuple[tuple[type[Exception], ...], Refusal], ...]] = (
    ((faults.ReadTimeoutError, faults.ConnectTimeoutError), Refusal.TIMEOUT),
    ((faults.ResponseStreamingError, faults.IncompleteReadError), Refusal.MALFORMED),
    ((faults.HTTPClientError, faults.ConnectionError), Refusal.UNAVAILABLE),
    ((faults.NoCredentialsError, faults.PartialCredentialsError), Refusal.CREDENTIALS),
    ((faults.CredentialRetrievalError, faults.TokenRetrievalError, faults.SSOError), Refusal.CREDENTIALS),
    ((faults.ParamValidationError,), Refusal.REJECTED),
    # What remains is an answer the client could not read.
    ((Exception,), Refusal.MALFORMED),
)
_STOPS: Final = frozenset(each.value for each in Stop)


class BedrockModel:
    """Models of one region. `chance` returns numbers from 0 to below 1, which spread the pauses between attempts."""

    def __init__(self, region: str, endpoint: str, chance: Callable[[], float]) -> None:
        session = boto3.session.Session()
        self._clients = {seconds: _client(session, region, endpoint, seconds) for seconds in _TIMEOUTS}
        self._threads = ThreadPoolExecutor(_THREADS, "bedrock")
        self._places = threading.BoundedSemaphore(_PLACES)
        self._chance = chance

    async def converse(self, model_id: str, question: Question, timeout_seconds: float) -> Answer:
        """See `services.intervention.language.ports.Model`."""
        ends_at = time.monotonic() + timeout_seconds
        members = _members(model_id, question)
        for number in range(1, _MOST_TRIES + 1):
            try:
                return await self._try(members, ends_at)
            except NotAnswered as error:
                pause = backoff_seconds(number, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, self._chance())
                is_last = number == _MOST_TRIES or time.monotonic() + pause + _LEAST_SECONDS > ends_at
                if is_last or error.refusal not in _REPEATED:
                    raise
            await asyncio.sleep(pause)
        raise NotAnswered(Refusal.UNAVAILABLE)

    def close(self) -> None:
        """Starts no more attempts; running ones end with their sockets."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    async def _try(self, members: dict[str, Any], ends_at: float) -> Answer:
        if not self._places.acquire(blocking=False):
            raise NotAnswered(Refusal.BUSY)
        try:
            future = self._threads.submit(self._call, members, ends_at)
        except RuntimeError:  # closed
            self._places.release()
            raise NotAnswered(Refusal.BUSY) from None
        future.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(ends_at - time.monotonic()):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise NotAnswered(Refusal.TIMEOUT) from None

    def _leave(self, _done: "Future[Answer]") -> None:
        self._places.release()

    def _call(self, members: dict[str, Any], ends_at: float) -> Answer:
        remaining = ends_at - time.monotonic()
        if remaining < _LEAST_SECONDS:
            raise NotAnswered(Refusal.TIMEOUT)
        client = self._clients[next((each for each in _TIMEOUTS if each >= remaining), _TIMEOUTS[-1])]
        try:
            return _answer(client.converse(**members))
        except (faults.ClientError, faults.BotoCoreError, ResponseParserError) as error:
            raise NotAnswered(_refusal(error)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # the answer is not what the API promises
            raise NotAnswered(Refusal.MALFORMED) from error


def _client(session: boto3.session.Session, region: str, endpoint: str, seconds: float) -> Any:  # noqa: ANN401 - untyped
    config = Config(
        connect_timeout=min(_CONNECT_SECONDS, seconds),
        read_timeout=seconds,
        max_pool_connections=_THREADS,
        retries={"total_max_attempts": 1},
    )
    return session.client("bedrock-runtime", region_name=region, endpoint_url=endpoint or None, config=config)


def _members(model_id: str, question: Question) -> dict[str, Any]:
    members: dict[str, Any] = {
        "modelId": model_id,
        "system": [{"text": question.system}],
        "messages": list(map(_message, question.turns)),
        "inferenceConfig": {"maxTokens": question.most_tokens, "temperature": 0.0},
    }
    if question.tools:
        # Without properties: the model chooses nothing, least of all the user.
        no_arguments = {"json": {"type": "object", "properties": {}}}
        members["toolConfig"] = {
            "tools": [
                {"toolSpec": {"name": each.name, "description": each.description, "inputSchema": no_arguments}}
                for each in question.tools
            ]
        }
    return members


def _message(turn: Turn) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"text": turn.text}] if turn.text else []
    content += [{"toolUse": {"toolUseId": each.id, "name": each.name, "input": {}}} for each in turn.tool_uses]
    content += [
        {
            "toolResult": {
                "toolUseId": each.id,
                "content": [{"text": each.text}],
                "status": "error" if each.is_error else "success",
            }
        }
        for each in turn.results
    ]
    return {"role": "assistant" if turn.is_model else "user", "content": content}


def _answer(response: dict[str, Any]) -> Answer:
    content = response["output"]["message"]["content"]
    stop, usage = response["stopReason"], response["usage"]
    return Answer(
        text="".join(str(block["text"]) for block in content if "text" in block),
        tool_uses=tuple(
            ToolUse(str(block["toolUse"]["toolUseId"]), str(block["toolUse"]["name"]))
            for block in content
            if "toolUse" in block
        ),
        stop=Stop(stop) if stop in _STOPS else Stop.OTHER,
        input_tokens=int(usage["inputTokens"]),
        output_tokens=int(usage["outputTokens"]),
    )


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, faults.ClientError):
        code, status = error.response["Error"].get("Code", ""), error.response["ResponseMetadata"]["HTTPStatusCode"]
        known = _CODES.get(code) or _STATUSES.get(status)
        return known or (Refusal.UNAVAILABLE if status >= _SERVER_FAULT else Refusal.REJECTED)
    return next(refusal for kinds, refusal in _FAULTS if isinstance(error, kinds))
