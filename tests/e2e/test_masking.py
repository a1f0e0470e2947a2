"""Personal data that was sent by accident, in every format, is nowhere on a running mesh."""

import base64
import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import pytest

from tests.e2e.following import until
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

MAIL: Final = "marked.person@example.org"
CARD: Final = "4242 4242 4242 4242"
SECRET: Final = "marked-hunter2"  # noqa: S105 - what a client lets slip
MARKED: Final = (b"marked", b"4242")
SEEN: Final = b"seen-everywhere"
"""What is not personal, and so must be found wherever a search looks."""
PAGE: Final = f"https://shop.example/{SEEN.decode()}?email={MAIL}&token={SECRET}"
NOTES: Final = {"note": f"{MAIL} paid with {CARD}", "deep": [{"password": SECRET}], MAIL: SEEN.decode()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masking")


@pytest.fixture(scope="module")
def mesh(folder: Path) -> Iterator[RunningMesh]:
    with running_mesh(folder, JOURNEYMESH_ARCHIVE_PERIOD_SECONDS="0.5") as running:
        yield running


def send(mesh: RunningMesh, path: str, body: object, content_type: str = "application/json", key: str = "") -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": content_type}
    if key:
        headers["authorization"] = f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"
    request = urllib.request.Request(mesh.url + path, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def send_in_every_format(mesh: RunningMesh) -> list[str]:
    """Sends it in pages, labels, properties and names, and as what is refused, unreadable or cut off.

    Returns the ids of what is accepted, as they stand in paths.
    """
    native = {"eventId": "m-1", "userId": "masked", "eventType": "page_view", "properties": {"page": PAGE, **NOTES}}
    labels = {"feature": f"call {MAIL}", "errorCode": CARD, "page": "/p"}
    error = {"eventId": "m-2", "userId": "masked", "eventType": "error", "properties": labels}
    unreadable = {"eventType": 7, "userId": "masked", "properties": NOTES}
    refused = {"eventId": "m-3", "userId": "x" * 200, "eventType": "error", "properties": {"page": PAGE, **NOTES}}
    answer = send(mesh, "/api/events/track", {"events": [native, error, unreadable, refused]})
    assert answer["accepted"] == 2
    assert {(one["eventId"], one["member"]) for one in answer["warnings"]} == {
        ("m-1", "page"),
        ("m-1", "properties"),
        ("m-2", "target"),
        ("m-2", "errorCode"),
        ("m-2", "properties"),
    }
    context = {"page": {"url": PAGE, "title": MAIL, "referrer": PAGE}}
    segment: list[dict[str, Any]] = [
        {"type": "page", "messageId": "m-4", "userId": "masked", "properties": {"url": PAGE, **NOTES}},
        {"type": "track", "event": f"Wrote to {MAIL}", "messageId": "m-5", "userId": "masked", "properties": NOTES},
        {"type": "track", "event": "Odd", "messageId": "m-6", "userId": "masked", "timestamp": MAIL},
    ]
    answer = send(mesh, "/v1/batch", {"batch": [{**each, "context": context} for each in segment]}, key="any")
    assert answer["accepted"] == 2, answer
    event: dict[str, Any] = {"specversion": "1.0", "source": "/shop", "subject": "masked"}
    answer = send(
        mesh,
        "/api/events/track",
        {**event, "id": "m-7", "type": f"org.{MAIL}", "data": {"page": PAGE, **NOTES}},
        "application/cloudevents+json",
    )
    assert answer["accepted"] == 1, answer
    broken = f'{{"events": [{{"eventType": "error", "userId": "masked", "properties": {{"a": "{MAIL}, {CARD}", '
    send(mesh, "/api/events/track", broken.encode())
    return ["m-1", "m-2", "m-4", "m-5", urllib.parse.quote(answer["eventIds"][0], safe="")]


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the mesh that does not go meanwhile.

    The store's, which has all that was ever written, the archive's, what analytics keeps, and the log.
    """
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            if path.suffix == ".parquet":
                yield path.name, json.dumps(pq.read_table(path, partitioning=None).to_pylist(), default=str).encode()
            elif path.is_file() and not path.is_socket():
                yield path.name, path.read_bytes()


def test_what_was_sent_by_accident_is_nowhere(mesh: RunningMesh, folder: Path) -> None:
    for event_id in send_in_every_format(mesh):
        mesh.await_applied(event_id)
    until(lambda: mesh.metrics("archiver").get("journeymesh_archived_events_total", 0) >= 5, "not archived")
    failed = mesh.get("/api/failed-events").body
    assert len(failed["failedEvents"]) >= 3
    assert not [mark for mark in MARKED if mark in json.dumps(failed).encode()]
    held = dict(files(folder))
    assert [name for name, content in held.items() if any(mark in content for mark in MARKED)] == []
    where = [name for name, content in held.items() if SEEN in content]
    assert any(name.endswith(".aof") for name in where), held.keys()
    assert any(name.endswith(".parquet") for name in where), held.keys()


def test_what_was_masked_is_counted_by_kind(mesh: RunningMesh) -> None:
    counted = mesh.metrics("ingest")
    for kind in ("email", "card", "token", "secret"):
        assert counted[f'journeymesh_masked_values_total{{kind="{kind}"}}'] > 0


def test_the_contact_of_an_identify_stays(mesh: RunningMesh) -> None:
    properties = {"email": "reached@example.org", "backup": MAIL}
    mesh.track({"eventId": "m-9", "userId": "masked-9", "eventType": "identify", "properties": properties})
    mesh.await_applied("m-9")
    (event,) = mesh.get("/api/users/masked-9/events").body["events"]
    assert event["properties"] == {"email": "reached@example.org", "backup": "[email]"}
