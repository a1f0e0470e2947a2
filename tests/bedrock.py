"""A server that speaks Bedrock's Converse API on the wire, and answers what a test wants, faults included."""

import collections
import contextlib
import dataclasses
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

REGION = "us-east-1"


@dataclasses.dataclass(frozen=True)
class Reply:
    """What goes back: a status, an error's type, a body, and what is wrong with the way it goes."""

    body: bytes
    status: int = 200
    error: str = ""
    is_cut: bool = False
    is_held: bool = False
    is_dripping: bool = False


Script = Reply | Callable[[dict[str, Any]], Reply]
"""A reply, or what makes one of the request."""


@dataclasses.dataclass
class Bedrock:
    """What a test sees of the server. Replies of `script` are given one by one, then `otherwise` for good."""

    url: str
    otherwise: Script
    script: collections.deque[Script] = dataclasses.field(default_factory=collections.deque)
    requests: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    # Lets go of what is held back.
    released: threading.Event = dataclasses.field(default_factory=threading.Event)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    @property
    def model_ids(self) -> list[str]:
        """The models that were asked, in their order."""
        return [each["modelId"] for each in self.requests]

    @property
    def asked(self) -> list[str]:
        """The last text of each request, in their order."""
        return [each["messages"][-1]["content"][0].get("text", "") for each in self.requests]

    def reply(self, request: dict[str, Any]) -> Reply:
        with self.lock:
            self.requests.append(request)
            script = self.script.popleft() if self.script else self.otherwise
        return script if isinstance(script, Reply) else script(request)


def _message(content: list[dict[str, Any]], stop: str, tokens: tuple[int, int]) -> Reply:
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop,
        "usage": {"inputTokens": tokens[0], "outputTokens": tokens[1], "totalTokens": sum(tokens)},
        "metrics": {"latencyMs": 7},
    }
    return Reply(json.dumps(body).encode())


def says(text: str, stop: str = "end_turn", tokens: tuple[int, int] = (600, 80)) -> Reply:
    """The model says something."""
    return _message([{"text": text}], stop, tokens)


def words(message: str) -> Reply:
    """The model words an offer, as it is told to."""
    return says(json.dumps({"message": message}))


def looks_up(*names: str, arguments: dict[str, Any] | None = None, tokens: tuple[int, int] = (900, 40)) -> Reply:
    """The model wants to look something up."""
    uses = [
        {"toolUse": {"toolUseId": f"use-{i}", "name": name, "input": arguments or {}}} for i, name in enumerate(names)
    ]
    return _message([{"text": "Let me see."}, *uses], "tool_use", tokens)


def fails(status: int, error: str, message: str = "no") -> Reply:
    """Bedrock refuses."""
    return Reply(json.dumps({"message": message}).encode(), status, error)


THROTTLED = fails(429, "ThrottlingException", "Too many tokens, please wait before trying again.")
EXPIRED = fails(403, "ExpiredTokenException", "The security token included in the request is expired")
HELD = dataclasses.replace(says("too late"), is_held=True)
DRIPPING = dataclasses.replace(says("too late"), is_dripping=True)
CUT = dataclasses.replace(says("the end is missing"), is_cut=True)


@contextlib.contextmanager
def serving(otherwise: Script) -> Iterator[Bedrock]:
    """A server on a free port until the block ends; what is held back then is let go."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Wire)
    server.daemon_threads = True
    bedrock = Bedrock(f"http://127.0.0.1:{server.server_address[1]}", otherwise)
    server.RequestHandlerClass = type("_BoundWire", (_Wire,), {"bedrock": bedrock})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield bedrock
    finally:
        bedrock.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def have_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives boto3 credentials that are no real ones, whatever the machine is set up for."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


class _Wire(BaseHTTPRequestHandler):
    """POST /model/{modelId}/converse, as the service model of `bedrock-runtime` has it."""

    protocol_version = "HTTP/1.1"
    bedrock: Bedrock

    def do_POST(self) -> None:
        path = urllib.parse.unquote(self.path).split("/")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert path[:2] == ["", "model"]
        assert path[3:] == ["converse"]
        assert self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")
        reply = self.bedrock.reply({"modelId": path[2], **json.loads(body)})
        if reply.is_held:
            self.bedrock.released.wait()
        with contextlib.suppress(ConnectionError):
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply.body)))
        if reply.error:
            self.send_header("x-amzn-ErrorType", f"{reply.error}:http://internal.amazon.com/coral/com.amazon.bedrock/")
        self.end_headers()
        if reply.is_cut:
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self.close_connection = True
        elif reply.is_dripping:
            for byte in reply.body:
                self.wfile.write(bytes([byte]))
                if self.bedrock.released.wait(0.02):
                    self.close_connection = True
                    break
        else:
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library names it
        """Nothing is logged."""
