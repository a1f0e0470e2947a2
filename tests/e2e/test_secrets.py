"""Secrets go through a whole mesh in every way there is; afterwards they are only where they must be.

`MAY_HOLD` says where that is. Marks that are no secret show that each place was searched.
"""

import contextlib
import hashlib
import hmac
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
import httpx
import pyarrow.parquet as pq
import pytest
import redis
from joserfc import jwt
from joserfc.jwk import OctKey
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gateway.access.people import sessions
from mesh import keys as texts
from tests.conftest import free_port
from tests.e2e.channels import at_any_hour
from tests.e2e.following import be_welcomed_by, receiving, until
from tests.e2e.journeys import journey
from tests.e2e.test_keys import await_answer, keys
from tests.gateway.openid import provider
from tests.intervention.receiver import Received, Receiver
from tests.processes import TELLERS, RunningMesh, running_mesh

pytestmark = pytest.mark.processes

PASSWORD: Final = "marked-hunter2"  # noqa: S105 - what a client lets slip
SEEN: Final = "seen-everywhere"
"""What is no secret, and so must be found wherever a search looks."""
CLIENT_SECRET: Final = "marked-client-secret"  # noqa: S105
SESSION_SECRET: Final = "marked-session-secret-0123456789abcdef"  # noqa: S105
WEBHOOK_SECRET: Final = "marked-webhook-secret"  # noqa: S105
IMPORTED: Final = texts.new_text(texts.Kind.ADMIN, os.urandom)
MAY_HOLD: Final = {
    # Gateways check with it who a page's user is, so it cannot be a hash.
    "identity secret": ("store jm:{access}:keys", "file .aof", "file .rdb"),
    # What the file is for; it is readable by its owner alone.
    "store password": ("file store-password", "file store.conf"),
    "audit key": ("file audit-key.pem",),
}
"""Which secret may be where, and nowhere else."""


class Spans(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector that keeps what it gets."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def Export(self, request: Any, _: object) -> trace_service_pb2.ExportTraceServiceResponse:
        """Keeps spans."""
        self.requests.append(request.SerializeToString())
        return trace_service_pb2.ExportTraceServiceResponse()


@contextlib.contextmanager
def collecting() -> Iterator[tuple[str, Spans]]:
    """The address of a collector, and what it has got."""
    spans = Spans()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(spans, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", spans
    finally:
        server.stop(None)


class World(NamedTuple):
    """A mesh that requires keys, its folder, what it tells a collector, and who gets its chat messages."""

    mesh: RunningMesh
    folder: Path
    spans: Spans
    chat: Receiver


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, given = tmp_path_factory.mktemp("secrets"), tmp_path_factory.mktemp("given")
    files = {"client": CLIENT_SECRET, "session": SESSION_SECRET, "webhook": WEBHOOK_SECRET}
    for name, content in files.items():
        (given / name).write_text(content)
    (given / "keys").mkdir()
    (given / "keys" / "operator").write_text(IMPORTED)
    address = f"127.0.0.1:{free_port()}"
    (given / "policy.yaml").write_text(at_any_hour("default.yaml"))
    with (
        collecting() as (endpoint, spans),
        provider({"otto": ("ops",), "eve": ()}) as issuer,
        receiving() as chat,
    ):
        settings = {
            "JOURNEYMESH_KEYS": "required",
            "JOURNEYMESH_HTTP_ADDRESS": address,
            "JOURNEYMESH_PUBLIC_URL": f"http://{address}",
            "JOURNEYMESH_OIDC_ISSUER": issuer,
            "JOURNEYMESH_OIDC_CLIENT_ID": "mesh",
            "JOURNEYMESH_OIDC_CLIENT_SECRET_FILE": str(given / "client"),
            "JOURNEYMESH_OIDC_ROLES": "admin=ops",
            "JOURNEYMESH_SESSION_SECRET_FILE": str(given / "session"),
            "JOURNEYMESH_KEYS_FOLDER": str(given / "keys"),
            "JOURNEYMESH_CHAT": "webhook",
            "JOURNEYMESH_CHAT_URL": chat.url,
            "JOURNEYMESH_POLICY": str(given / "policy.yaml"),
            "JOURNEYMESH_WEBHOOK_SECRET_FILE": str(given / "webhook"),
            "JOURNEYMESH_OTLP_ENDPOINT": endpoint,
            "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5",
            "JOURNEYMESH_LOG_LEVEL": "debug",
        }
        with running_mesh(folder, **settings) as mesh:
            yield World(mesh, folder, spans, chat)


def token_of(user_id: str, identity_secret: str) -> str:
    claims = {"sub": user_id, "exp": int(time.time()) + 600}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(identity_secret))


class Traffic:
    """Sends what clients and people send, right and wrong, and keeps the secrets they send and the answers they get."""

    def __init__(self, mesh: RunningMesh) -> None:
        self.mesh = mesh
        self.client = httpx.Client(base_url=mesh.url, timeout=20)
        self.secrets: dict[str, str] = {
            "password of a user": PASSWORD,
            "client secret": CLIENT_SECRET,
            "session secret": SESSION_SECRET,
            "webhook secret": WEBHOOK_SECRET,
            "store password": mesh.store_password or "",
            "audit key": (mesh.log.parent / "var" / "audit-key.pem").read_text().splitlines()[1],
        }
        self.answers: list[str] = []

    def send(self, method: str, path: str, status: int, **given: Any) -> httpx.Response:
        """Sends one request, which must be answered so; its answer must hold no secret."""
        answer = self.client.request(method, path, **given)
        assert answer.status_code == status, (method, path, answer.text)
        self.answers.append(f"{answer.headers}\n{answer.text}")
        return answer

    def with_keys(self) -> None:
        """Creates keys of every kind, uses them in every way, and wrongly; ends some."""
        made = {
            kind: keys(self.mesh, "create", "--kind", kind, "--name", kind) for kind in ("public", "secret", "admin")
        }
        made["rotated"] = keys(self.mesh, "rotate", made["secret"]["keyId"], "--grace", "1h")
        made["revoked"] = keys(self.mesh, "create", "--kind", "secret", "--name", "revoked")
        await_answer(self.mesh, made["revoked"]["text"], (202, ""), 5)
        keys(self.mesh, "revoke", made["revoked"]["keyId"])
        await_answer(self.mesh, made["revoked"]["text"], (401, "KEY_REVOKED"), 5)
        # The checksum is not secret, but the same secret with a typing mistake is.
        self.secrets |= {f"{name} key": one["text"].rpartition("_")[2][:40] for name, one in made.items()}
        self.secrets["imported key"] = IMPORTED.rpartition("_")[2][:40]
        self.secrets["identity secret"] = made["public"]["identitySecret"]
        page = {"authorization": f"Bearer {made['public']['text']}"}
        server = {"authorization": f"Bearer {made['secret']['text']}"}
        admin = {"authorization": f"Bearer {made['admin']['text']}"}
        token = token_of("ada", made["public"]["identitySecret"])
        self.secrets["user's token"] = token.rpartition(".")[2]
        proven = page | {"x-journeymesh-user-token": token}

        be_welcomed_by(journey(self.mesh._replace(key=made["secret"]["text"])), "chat")
        self.events(page, server, proven)
        self.help(page, proven, made["public"]["text"], token)
        for path in ("/api/users/ada", "/api/users/ada/events", "/api/users/ada/profile", "/api/decisions?userId=ada"):
            self.send("GET", path, 200, headers=server)
        for path in ("/api/failed-events", "/api/audit", "/api/pipeline", "/api/policies", "/api/lift"):
            self.send("GET", path, 200, headers=admin)
        self.send("GET", "/api/lift", 200, headers={"authorization": f"Bearer {IMPORTED}"})
        erasure = self.send("POST", "/api/privacy/erasures", 202, headers=admin, json={"userId": "bob"})
        assert erasure.json()["id"]
        self.wrong(made["admin"]["text"], token)

    def events(self, page: Mapping[str, str], server: Mapping[str, str], proven: Mapping[str, str]) -> None:
        """Events in every format, some with a password, some that cannot be read."""
        slip = {"page": f"/p?token={PASSWORD}&{SEEN}", "password": PASSWORD, "note": SEEN}
        view = {"eventId": "s-1", "userId": "ada", "eventType": "page_view", "properties": slip}
        struggle = {"userId": "ada", "eventType": "struggle_signal", "properties": {"page": "/p", "attempts": 3}}
        wrong = {"eventType": 7, "userId": "ada", "properties": slip}
        events = {"events": [view, struggle, wrong]}
        self.send("POST", "/api/events/track", 202, headers=page, json=events)
        self.send("POST", "/api/events/track", 400, headers=page, content=f'{{"password": "{PASSWORD}", ')
        identify = {"userId": "ada", "eventType": "identify", "properties": {"email": "ada@example.org"}}
        self.send("POST", "/api/events/track", 202, headers=proven, json=identify)
        self.send("POST", "/api/events/track", 401, headers=page, json=identify)
        key = server["authorization"].removeprefix("Bearer ")
        batch = [{"type": "page", "messageId": "s-2", "userId": "ada", "properties": slip}]
        self.send("POST", "/v1/batch", 200, auth=(key, ""), json={"batch": batch})
        self.send("POST", "/v1/batch", 200, json={"batch": batch, "writeKey": page["authorization"][7:]})
        cloud = {"specversion": "1.0", "source": "/s", "subject": "ada", "id": "s-3", "type": "x", "data": slip}
        kind = {"content-type": "application/cloudevents+json"}
        self.send("POST", "/api/events/track", 202, headers={**server, **kind}, json=cloud)
        until(lambda: self.client.get("/api/events/s-1", headers=dict(server)).status_code == 200, "not applied")

    def help(self, page: Mapping[str, str], proven: Mapping[str, str], key: str, token: str) -> None:
        """Reads and answers help by poll, stream and socket."""
        pending = "/api/interventions/ada/pending"
        until(lambda: self.client.get(pending, headers=dict(proven)).json()["intervention"], "no help")
        self.send("GET", pending, 401, headers=page)
        help_id = self.send("GET", pending, 200, headers=proven).json()["intervention"]["id"]
        ticket = self.client.post("/api/interventions/ada/ticket", headers=dict(proven)).json()["ticket"]
        self.secrets["ticket"] = ticket.rpartition(".")[2]
        with self.client.stream("GET", f"/api/interventions/ada/stream?ticket={ticket}") as stream:
            assert stream.status_code == 200
            assert next(stream.iter_lines())
        self.send("GET", f"/api/interventions/eve/stream?ticket={ticket}", 401)
        socket = f"{self.mesh.url.replace('http', 'ws')}/api/interventions/ada/socket"
        offered: list[Any] = ["journeymesh", f"key.{key}", f"user.{token}"]
        with connect(socket, subprotocols=offered) as opened:
            assert json.loads(opened.recv(10))
        with pytest.raises(InvalidStatus) as refused:
            connect(socket.replace("ada", "eve"), subprotocols=offered)
        self.answers.append(f"{refused.value.response.headers}\n{refused.value.response.body!r}")
        self.send("POST", f"/api/interventions/{help_id}/outcome", 202, headers=proven, json={"outcome": "accepted"})

    def wrong(self, key: str, token: str) -> None:
        """Sends keys and tokens where they do not belong, or with a letter changed."""
        for sent in (key[:-1] + ("0" if key[-1] != "0" else "1"), key + "x", key[:-8]):
            self.send("GET", "/api/lift", 401, headers={"authorization": f"Bearer {sent}"})
        self.send("GET", f"/v1/projects/{key}/settings", 403)
        self.send("GET", f"/api/lift?key={key}", 400)
        self.send("GET", f"/api/{key}", 404)
        self.send("GET", "/api/lift", 401, headers={"x-api-key": key})
        self.send("POST", "/api/events/track", 401, json={"key": key, "token": token})

    def by_people(self) -> None:
        """Signs in, looks around and signs out; and once without a role."""
        for name, status in (("otto", 302), ("eve", 403)):
            begun = self.client.get("/auth/sign-in")
            attempt = begun.headers["set-cookie"].partition(";")[0]
            location = httpx.post(begun.headers["location"], data={"sub": name}).headers["location"]
            self.secrets[f"attempt of {name}"] = attempt.rpartition(".")[2]
            (code,) = re.findall(r"code=([^&]+)", location)
            self.secrets[f"code of {name}"] = code
            ended = self.client.get(location.removeprefix(self.mesh.url), headers={"cookie": attempt})
            assert ended.status_code == status
            self.client.cookies.clear()
            if status != 302:
                continue
            (cookie,) = [each for each in ended.headers.get_list("set-cookie") if each.startswith(sessions.SESSION)]
            own = {"cookie": cookie.partition(";")[0]}
            self.secrets["session"] = own["cookie"].rpartition(".")[2]
            csrf = self.client.get("/auth/session", headers=own).json()["csrfToken"]
            self.secrets["csrf token"] = csrf
            self.send("GET", "/api/users/ada", 200, headers=own)
            self.send("POST", "/auth/sign-out", 403, headers=own)
            self.send("POST", "/auth/sign-out", 204, headers=own | {"x-journeymesh-csrf": csrf})


def places(world: World, traffic: Traffic) -> Iterator[tuple[str, bytes]]:
    """Every place where a secret could be found, and what is there."""
    mesh = world.mesh
    yield from ((f"span {number}", raw) for number, raw in enumerate(world.spans.requests))
    yield from ((f"answer {number}", text.encode()) for number, text in enumerate(traffic.answers))
    for number, post in enumerate(world.chat.received):
        yield f"post {number}", f"{post.path}\n{post.headers}\n".encode() + post.body
    for name in TELLERS:
        with urllib.request.urlopen(mesh.metrics_url(name), timeout=10) as response:
            yield f"metrics {name}", response.read()
    for process in mesh.processes():
        root = Path(f"/proc/{process.pid}")
        yield f"command line of {process.name()} {process.pid}", (root / "cmdline").read_bytes()
        yield f"environment of {process.name()} {process.pid}", (root / "environ").read_bytes()
    with redis.Redis(port=mesh.store_port, password=mesh.store_password) as store:
        for key in store.scan_iter(count=1000):
            yield f"store {key.decode()}", key + (store.dump(key) or b"")
    for path in sorted(world.folder.rglob("*")):
        if path.suffix == ".parquet":
            rows = pq.read_table(path, partitioning=None).to_pylist()
            yield "archive", json.dumps(rows, default=str).encode()
        elif path.is_file():
            held = path.suffix if path.suffix in {".aof", ".rdb"} else path.name
            yield f"file {held}", path.read_bytes()


def signature(post: Received) -> str:
    """What a post that is signed with the secret says so with."""
    signed = post.headers["x-journeymesh-timestamp"].encode() + b"." + post.body
    return f"v1={hmac.new(WEBHOOK_SECRET.encode(), signed, hashlib.sha256).hexdigest()}"


def test_a_marked_secret_is_nowhere_but_where_it_must_be(world: World) -> None:
    traffic = Traffic(world.mesh)
    with traffic.client:
        traffic.with_keys()
        traffic.by_people()
    until(lambda: world.mesh.metrics("archiver").get("journeymesh_archived_events_total", 0) >= 3, "not archived")
    post, *_ = until(lambda: world.chat.received, "no chat message")
    assert post.headers["x-journeymesh-signature"] == signature(post)
    until(lambda: any(b"GET /api/decisions" in each for each in world.spans.requests), "no spans")
    assert all(len(secret) >= 12 for secret in traffic.secrets.values()), traffic.secrets.keys()

    found = [
        (name, place)
        for place, content in places(world, traffic)
        for name, secret in traffic.secrets.items()
        if secret.encode() in content and place not in MAY_HOLD.get(name, ())
    ]
    assert found == [], found


def test_the_search_finds_what_is_there(world: World) -> None:
    traffic = Traffic(world.mesh)
    public = keys(world.mesh, "create", "--kind", "public", "--name", "found")
    searched = {
        "archive": SEEN,
        "file .aof": SEEN,
        "file mesh.observability.log": public["keyId"],
        "store jm:{access}:keys": public["identitySecret"],
        "file store-password": world.mesh.store_password or "?",
        "file audit-key.pem": "PRIVATE KEY",
    }
    held: dict[str, bytes] = {}
    for place, content in places(world, traffic):
        held[place] = held.get(place, b"") + content
    assert [place for place, mark in searched.items() if mark.encode() not in held[place]] == []
    starts = {place.partition(" ")[0] for place in held}
    assert {"span", "post", "metrics", "command", "environment", "store", "archive", "file"} <= starts
    assert any(b"JOURNEYMESH_SESSION_SECRET_FILE" in content for place, content in held.items() if "environ" in place)


def test_no_process_leaves_its_memory_behind_when_it_crashes(world: World) -> None:
    for process in world.mesh.processes():
        (line,) = re.findall(
            r"^Max core file size +(\d+) +(\d+)", Path(f"/proc/{process.pid}/limits").read_text(), re.MULTILINE
        )
        assert max(map(int, line)) <= 1, process.cmdline()
