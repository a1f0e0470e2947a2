"""A real OpenID provider, in a process of its own, that knows some people."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import httpx
import msgspec

from tests.conftest import free_port


@contextlib.contextmanager
def provider(people: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The URL of a provider that knows these people, by name with their groups, within the block."""
    port = free_port()
    users = [
        ("--user-claims", msgspec.json.encode({"sub": name, "name": name.title(), "groups": groups}).decode())
        for name, groups in people.items()
    ]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "-p", str(port), *sum(users, ())]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"{url}/.well-known/openid-configuration").raise_for_status()
                    break
                assert time.monotonic() < deadline
            yield url
        finally:
            process.terminate()
