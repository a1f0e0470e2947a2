"""`journeymesh privacy check`, over a store, an archive and files."""

import argparse
from pathlib import Path

import pytest

from cli import privacy
from mesh.store import redis
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import Plan
from tests.archive.rows import EventRow, records
from tests.archive.test_files import HOUR, decision
from tests.builders import NOW_US, event


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    privacy.add_arguments(parser)
    return parser.parse_args(["check", *given])


async def test_an_id_is_found_in_keys_and_values_of_every_type(valkey: redis.Client) -> None:
    await valkey.set("jm:a:ada", b"1")
    await valkey.set("string", b"\x92\xa3ada")
    await valkey.hset("hash", "ada", b"1")
    await valkey.hset("hash of values", "1", b"ada")
    await valkey.sadd("set", b"ada")
    await valkey.zadd("zset", {"ada": 1})
    await valkey.rpush("list", b"ada")
    await valkey.xadd("stream", {"event": b"ada"})
    await valkey.set("jm:a:bob", b"ad")
    found = {key async for key in privacy.keys_naming(valkey, [b"ada", b"e-1"])}
    assert found == {"jm:a:ada", "string", "hash", "hash of values", "set", "zset", "list", "stream"}


async def test_an_id_is_found_in_the_archive(tmp_path: Path) -> None:
    archive = ParquetArchive(tmp_path.as_uri())
    for sequence, user in enumerate(("ada", "bob"), 1):
        rows = [EventRow(sequence, 0, event(f"e-{sequence}", user_id=user, received_time_us=NOW_US))]
        part = await archive.pack("0", records(rows), [decision(each) for each in rows])
        await archive.write("0", Plan(sequence - 1, sequence), {HOUR}, [part])
    assert len([*privacy.files_naming(archive, ["ada"])]) == 2
    assert len([*privacy.files_naming(archive, ["bob", "e-1"])]) == 4
    assert [*privacy.files_naming(archive, ["eve"])] == []


async def test_an_id_is_found_across_the_pieces_a_file_is_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(privacy, "_READ_BYTES", 5)
    path = tmp_path / "appendonly.aof"
    path.write_bytes(b"xxxxada\n")
    assert await privacy.main(arguments("--no-store", "--id", "ada", str(path))) == 1
    assert "1 places name an id." in capsys.readouterr().out
    assert await privacy.main(arguments("--no-store", "--id", "eve", str(path))) == 0
    assert await privacy.main(arguments("--no-store", "--id", "", str(path))) == 1
    assert await privacy.main(arguments("--no-store", "--id", "ada", str(tmp_path / "missing"))) == 1
