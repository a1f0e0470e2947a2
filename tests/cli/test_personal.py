"""`journeymesh privacy`, but for `check`, against a gateway that answers as the real one."""

import argparse
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from cli import personal, privacy
from services.access.audit.adapters import heads

BEGUN = {"id": "x_1", "state": "collecting", "trouble": "", "requestedAt": "2026-01-01T00:00:00Z"}
READY = {**BEGUN, "state": "ready", "recordCount": 2}
ERASED = {**BEGUN, "id": "e_1", "state": "erased", "receipt": '{"version":1}', "receiptHash": "0a"}


def parsed(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    privacy.add_arguments(parser)
    return parser.parse_args(given)


async def ran(serve: Callable[[httpx.Request], httpx.Response], *given: str) -> tuple[str, str]:
    """What the command prints, and what it says of its progress."""
    said, errors = io.StringIO(), io.StringIO()
    consoles = (Console(file=each, highlight=False, markup=False, soft_wrap=True) for each in (said, errors))
    async with httpx.AsyncClient(transport=httpx.MockTransport(serve), base_url="http://mesh") as client:
        await personal.run(client, parsed(*given), *consoles)
    return said.getvalue(), errors.getvalue()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "_POLL_SECONDS", 0)


async def test_an_export_is_followed_and_written_to_a_file_of_one_s_own(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.raw_path.decode()))
        if request.method == "POST":
            assert json.loads(request.content) == {"userId": "ada"}
            return httpx.Response(202, json=BEGUN)
        if request.url.path.endswith("/data"):
            return httpx.Response(200, content=b"PK")
        return httpx.Response(200, json=READY if len(asked) > 3 else BEGUN)

    path = tmp_path / "ada.zip"
    _, errors = await ran(serve, "export", "ada", "--to", str(path), "--format", "csv")
    assert path.read_bytes() == b"PK"
    assert path.stat().st_mode & 0o777 == 0o600
    assert asked[-1] == ("GET", "/api/privacy/exports/x_1/data?format=csv")
    assert "x_1 has begun" in errors
    assert "2 entries" in errors
    with pytest.raises(personal.RefusedError, match="already"):
        await ran(serve, "export", "ada", "--to", str(path))
    assert len(asked) == 5


async def test_an_erasure_prints_its_receipt_byte_for_byte() -> None:
    said, errors = await ran(lambda _: httpx.Response(200, json=ERASED), "erase", "ada")
    assert json.loads(said)["receipt"] == '{"version":1}'
    assert "0a" in errors


async def test_a_receipt_is_verified_without_a_gateway(tmp_path: Path) -> None:
    file = heads.opened(tmp_path / "heads", tmp_path / "key")
    signature, key = file.sign_receipt(hashlib.sha256(ERASED["receipt"].encode()).digest())
    signed = {**ERASED, "receiptSignature": signature.hex(), "receiptPublicKey": key.hex()}
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(signed))
    assert key.hex() in personal.verified(path, "")
    assert personal.verified(path, key.hex()).startswith("The receipt was signed")
    other = heads.opened(tmp_path / "heads 2", tmp_path / "key 2").sign_receipt(bytes(32))[1]
    with pytest.raises(personal.RefusedError, match="not signed with this key"):
        personal.verified(path, other.hex())
    changes = {"receipt": '{"version":2}'}, {"receiptSignature": ""}, {"receiptSignature": "0a"}, {"receipt": 1}
    for change in changes:
        path.write_text(json.dumps({**signed, **change}))
        with pytest.raises(personal.RefusedError):
            personal.verified(path, "")


@pytest.mark.parametrize(
    ("some_id", "path"), [("e_1", "/api/privacy/erasures/e_1"), ("x_1", "/api/privacy/exports/x_1")]
)
async def test_the_status_of_either_is_told(some_id: str, path: str) -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        assert request.url.path == path
        return httpx.Response(200, json={**BEGUN, "id": some_id, "trouble": "DEPENDENCY_UNAVAILABLE"})

    said, _ = await ran(serve, "status", some_id)
    assert said.startswith(f"{some_id}: collecting, kept by DEPENDENCY_UNAVAILABLE")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(403, json={"detail": "The key may not do this."}), "may not"),
        (httpx.Response(502, text="proxy"), "502"),
        (httpx.Response(202, json={**BEGUN, "state": "failed", "trouble": "EXPORT_TOO_LARGE"}), "EXPORT_TOO_LARGE"),
    ],
)
async def test_what_is_refused_or_fails_is_said_and_writes_nothing(
    tmp_path: Path, answer: httpx.Response, says: str
) -> None:
    path = tmp_path / "ada.json"
    with pytest.raises(personal.RefusedError, match=says):
        await ran(lambda _: answer, "export", "ada", "--to", str(path))
    assert not path.exists()


async def test_an_id_of_neither_is_refused() -> None:
    with pytest.raises(personal.RefusedError, match="begins with"):
        await ran(lambda _: httpx.Response(500), "status", "ada")


async def test_it_is_followed_for_so_long_only(tmp_path: Path) -> None:
    with pytest.raises(personal.RefusedError, match="goes on"):
        await ran(
            lambda _: httpx.Response(200, json=BEGUN), "export", "ada", "--to", str(tmp_path / "x"), "--patience", "0"
        )


async def test_what_retention_will_delete_is_a_table_or_the_gateways_json() -> None:
    asked: list[str] = []
    counts = {"rowCount": 1200, "byteCount": 34567, "deletedFileCount": 2, "rewrittenFileCount": 1}
    expiry = {"tenant": "", "kind": "events", "days": 30, "firstKeptDay": "2025-12-03", **counts}
    for_good = {"tenant": "acme", "kind": "events", "days": 0, "firstKeptDay": "", **dict.fromkeys(counts, 0)}
    files = {"deletedCount": 2, "deletedBytes": 40000, "rewrittenCount": 1, "rewrittenBytes": 9000}
    said = {"on": "2026-01-02", "expiries": [expiry, for_good], "files": files}

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200, json=said)

    printed, _ = await ran(serve, "retention")
    default, acme = (line.split() for line in printed.splitlines()[1:3])
    assert default == ["default", "events", "30", "days", "2025-12-03", "1,200", "34,567", "2", "1"]
    assert acme == ["acme", "events", "for", "good", "0", "0", "0", "0"]
    assert "2 files with 40,000 bytes are deleted" in printed
    printed, _ = await ran(serve, "retention", "--on", "2026-01-02", "--json")
    assert json.loads(printed) == said
    assert asked == ["/api/privacy/retention?", "/api/privacy/retention?on=2026-01-02"]
