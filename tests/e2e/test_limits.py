"""Limits on a running mesh with two gateways: together they let pass what one key may send, and say so."""

import contextlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.conftest import free_port
from tests.e2e.test_tenants import command
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

RATE: Final = 200
BATCH: Final = 10
SECONDS: Final = 6.0
PATIENCE_SECONDS: Final = 30.0
_numbers: Final = itertools.count()


class Sent(NamedTuple):
    """What one client sent over one gateway: events that were accepted, and the heads of what was refused."""

    accepted: list[int]
    refused: list[http.client.HTTPMessage]


@contextlib.contextmanager
def second_gateway(mesh: RunningMesh, log: Path) -> Iterator[str]:
    """One more gateway of the mesh, and its address."""
    address = f"127.0.0.1:{free_port()}"
    own = {"JOURNEYMESH_HTTP_ADDRESS": address, "JOURNEYMESH_METRICS_LISTEN": ""}
    environment = mesh.process("gateway").environ() | own
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "gateway"], env=environment, stdout=output, stderr=output)
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(30)


def track(url: str, key: str, sent: Sent) -> int:
    """Sends a batch; returns the status, 0 if nobody answers."""
    parts = urlsplit(url)
    events = [{"eventId": f"l-{next(_numbers)}", "userId": f"u-{n}", "eventType": "click"} for n in range(BATCH)]
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with contextlib.closing(connection):
        try:
            connection.request("POST", "/api/events/track", json.dumps({"events": events}), headers)
            answer = connection.getresponse()
        except OSError:
            return 0
        if answer.status == 202:
            sent.accepted.append(json.load(answer)["accepted"])
        elif answer.status == 429:
            sent.refused.append(answer.headers)
        return answer.status


def offer(url: str, key: str, until: float, sent: Sent) -> None:
    while time.monotonic() < until:
        assert track(url, key, sent) in {202, 429}


def test_two_gateways_keep_one_limit(tmp_path: Path) -> None:
    with (
        running_mesh(tmp_path, JOURNEYMESH_KEYS="required") as mesh,
        second_gateway(mesh, tmp_path / "gateway.log") as other,
    ):
        arguments = ("--kind", "secret", "--name", "server", "--rate", str(RATE), "--burst", str(RATE))
        made = command(mesh, "keys", "create", *arguments)
        assert made["rate"] == {"perSecond": RATE, "burst": RATE}
        for url in (mesh.url, other):
            deadline = time.monotonic() + PATIENCE_SECONDS
            while track(url, made["text"], Sent([], [])) != 202:
                assert time.monotonic() < deadline, (tmp_path / "gateway.log").read_text()
                time.sleep(0.05)
        sents = [Sent([], []), Sent([], [])]
        began = time.monotonic()
        clients = [
            threading.Thread(target=offer, args=(url, made["text"], began + SECONDS, sent))
            for url, sent in zip((mesh.url, other), sents, strict=True)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        seconds = time.monotonic() - began
        counted = mesh.metrics("gateway")['journeymesh_rate_limited_requests_total{limit="key"}']
    assert counted == len(sents[0].refused)
    assert all(sent.accepted and sent.refused for sent in sents)
    accepted = sum(sum(sent.accepted) for sent in sents)
    # What each gateway lets pass before it has heard of the other, and a last batch of each, come on top.
    assert accepted <= RATE * (1 + seconds) + RATE * 0.1 + 2 * BATCH
    assert accepted >= RATE * seconds * 0.9
    for head in itertools.chain.from_iterable(sent.refused for sent in sents):
        assert int(head["retry-after"]) >= 1
        assert head["ratelimit-policy"] == f'"key";q={RATE};w=1'
        assert re.fullmatch(r'"key";r=[0-9]{1,2};t=[1-9]', head["ratelimit"])
