"""A running mesh whose ingest and archiver are killed during an erasure: nothing of the person is left anywhere."""

import contextlib
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import redis

from tests.e2e.journeys import Journey, journey
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes


def stored(store: Any) -> Iterator[tuple[bytes, bytes]]:
    """Every key with its value, as it is."""
    readers: dict[bytes, Any] = {
        b"string": store.get,
        b"hash": store.hgetall,
        b"set": store.smembers,
        b"zset": lambda key: store.zrange(key, 0, -1, withscores=True),
        b"stream": store.xrange,
        b"list": lambda key: store.lrange(key, 0, -1),
    }
    for key in store.scan_iter(count=1_000):
        kind = store.type(key)
        if kind == b"none":  # it expired meanwhile
            continue
        value = readers[kind](key)
        yield key, value if isinstance(value, bytes) else b"".join(_pieces(value))


def _pieces(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        yield from _pieces([*value, *value.values()])
    elif isinstance(value, (list, tuple, set)):
        for each in value:
            yield from _pieces(each)


def naming(mesh: RunningMesh, archive: Path, user_id: str) -> list[str]:
    """The keys and the files of the archive in which an id stands."""
    with redis.Redis(port=mesh.store_port, password=mesh.store_password) as store:
        keys = [key.decode() for key, value in stored(store) if user_id.encode() in key + value]
    files = [
        str(path)
        for path in archive.rglob("*.parquet")
        if user_id in json.dumps(pq.read_table(path).to_pylist(), default=str)
    ]
    return keys + files


def helped(mesh: RunningMesh) -> Journey:
    """Somebody who watched, struggled and was helped."""
    somebody = journey(mesh, minutes=1.0)
    identified = somebody.event(0, "identify") | {"anonymousId": f"{somebody.user_id}-browser"}
    played = somebody.event(1, "video_playback", videoId="v1", action="play", position=0)
    struggles = [somebody.event(2 + number, "struggle_signal", page="/calculator", attempts=3) for number in range(8)]
    # Ids of events pass by themselves, so they must not be made of the user's.
    somebody.send(*(each | {"eventId": str(uuid.uuid4())} for each in (identified, played, *struggles)))
    assert somebody.pending() is not None
    return somebody


def _await(condition: Callable[[], bool]) -> None:
    """Returns once a condition holds, within 30 seconds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def erasure(mesh: RunningMesh, erasure_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        try:
            answer = mesh.get(f"/api/privacy/erasures/{erasure_id}")
        except OSError:
            continue
        if answer.status == 200 and answer.body["state"] == "erased":
            return dict(answer.body)
        time.sleep(0.1)


# What passes by itself, or says when and not what: the stream, ids of events, leases, exports and who is suppressed.
_PASSING = re.compile(r"jm:(stream|seen|duplicates|leases|receipts?|applied|archive|exports?|erasures|suppressed)\b")
_STORES = {
    r"jm:features:\{\d+\}:s:": "features.users",
    r"jm:features:\{\d+\}:\d:": "features.events",
    r"jm:scoring:": "scoring.journals",
    r"jm:video:\{\d+\}:user:": "video.viewers",
    r"jm:intervention:\{\d+\}:user:": "intervention.users",
    r"jm:intervention:\{\d+\}:contact:": "intervention.contacts",
    r"jm:intervention:\{\d+\}:undelivered:": "intervention.undelivered",
    r"jm:intervention:\{\d+\}:made:": "intervention.made",
    r"jm:intervention:\{\d+\}:outbox": "intervention.outbox",
    r"jm:intervention:\{[^}]*\}:(page|names)": "intervention.ledger",
    r"jm:link:": "ingest.links",
    r"jm:skew:": "ingest.clocks",
    r"jm:failed:": "ingest.failedEvents",
    r".*/events/v1/": "archive.events",
    r".*/decisions/v1/": "archive.decisions",
}
"""The store of an export for each place where a scan finds a person."""


def exported(mesh: RunningMesh, user_id: str) -> dict[str, Any]:
    """The stores of an export of a person, while ingest and the archiver are killed and started again."""
    begun = mesh.post("/api/privacy/exports", {"userId": user_id})
    assert begun.status == 202, begun
    for name in ("ingest", "archiver"):
        mesh.process(name).kill()
    path = f"/api/privacy/exports/{begun.body['id']}"
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        with contextlib.suppress(OSError):
            if mesh.get(path).body.get("state") == "ready":
                return dict(mesh.get(f"{path}/data").body["stores"])
        time.sleep(0.1)


def test_all_that_a_scan_finds_of_a_person_is_in_the_export_though_processes_are_killed(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    settings = {"JOURNEYMESH_ARCHIVE_URL": archive.as_uri(), "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5"}
    with running_mesh(tmp_path, **settings) as mesh:
        ada, bob = helped(mesh), helped(mesh)
        _await(lambda: any(path.endswith(".parquet") for path in naming(mesh, archive, ada.user_id)))
        found = [place for place in naming(mesh, archive, ada.user_id) if not _PASSING.match(place)]
        stores = exported(mesh, ada.user_id)
        where = {place: next((its for key, its in _STORES.items() if re.match(key, place)), "") for place in found}
        assert {place: its for place, its in where.items() if its not in stores} == {}
        assert {*where.values()} >= {"features.users", "intervention.ledger", "archive.events", "archive.decisions"}
        assert bob.user_id not in json.dumps(stores)
        assert f"{ada.user_id}-browser" in {each["id"] for each in stores["ids"]}


def test_nothing_is_left_of_a_person_though_processes_are_killed(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    settings = {"JOURNEYMESH_ARCHIVE_URL": archive.as_uri(), "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5"}
    with running_mesh(tmp_path, **settings) as mesh:
        ada, bob = helped(mesh), helped(mesh)
        _await(lambda: any(each.endswith(".parquet") for each in naming(mesh, archive, ada.user_id)))
        _await(lambda: any(each.endswith(".parquet") for each in naming(mesh, archive, bob.user_id)))
        begun = mesh.post("/api/privacy/erasures", {"userId": ada.user_id})
        assert begun.status == 202, begun
        for name in ("ingest", "archiver"):
            mesh.process(name).kill()
        done = erasure(mesh, begun.body["id"])

        receipt = json.loads(done["receipt"])
        assert receipt["archive"]
        assert {each["after"] for each in receipt["stores"]} == {0}
        assert naming(mesh, archive, ada.user_id) == []
        assert any(key.startswith("jm:features:") for key in naming(mesh, archive, bob.user_id))
        assert any(key.endswith(".parquet") for key in naming(mesh, archive, bob.user_id))
        assert mesh.get(f"/api/users/{ada.user_id}/profile").status == 404
        assert mesh.get(f"/api/users/{bob.user_id}/profile").status == 200
        assert bob.pending() is not None
        refused = mesh.track(ada.event(30, "page_view", page="/home"))
        assert refused.body["rejected"][0]["reason"] == "USER_ERASED"
