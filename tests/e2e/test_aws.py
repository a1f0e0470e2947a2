"""The mesh as it runs on AWS: the stream on Kinesis, the archive on S3, both of one emulator."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tests.e2e.journeys import journey
from tests.kinesis import moto_url
from tests.processes import RunningMesh, running_mesh

__all__ = ["moto_url"]

pytestmark = pytest.mark.processes

STREAM, BUCKET = "journeys", "journeymesh-archive"


@pytest.fixture
def aws(moto_url: str) -> dict[str, str]:
    """The environment that leads every AWS client to the emulator, which has the stream and the bucket."""
    environment = {
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    clients: dict[str, Any] = {
        name: botocore.session.get_session().create_client(
            name,
            region_name="eu-central-1",
            endpoint_url=moto_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the emulator takes any
        )
        for name in ("kinesis", "s3")
    }
    clients["kinesis"].create_stream(StreamName=STREAM, ShardCount=2)
    clients["s3"].create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return environment


def test_the_calculator_s_user_is_helped_and_the_journey_is_archived(aws: dict[str, str], tmp_path: Path) -> None:
    url = f"s3://{BUCKET}/archive"
    settings = {
        "JOURNEYMESH_STREAM": "kinesis",
        "JOURNEYMESH_STREAM_NAME": STREAM,
        "JOURNEYMESH_ARCHIVE_URL": url,
        "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5",
    }
    with running_mesh(tmp_path, **aws, **settings) as mesh:
        one = journey(mesh)
        seconds = one.send(
            one.event(0, "page_view", page="/calculator"),
            one.event(15, "feature_interaction", page="/calculator", feature="loan_amount"),
            one.event(30, "struggle_signal", page="/calculator", attempts=3),
        )
        pending = one.pending()
        _await_archived(mesh)
        replay = subprocess.run(
            [sys.executable, "-m", "offline.replay", "--archive", url, "--compare", mesh.url],
            env=os.environ | aws,
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )
    assert pending is not None
    assert pending["type"] == "critical_intervention"
    assert pending["action"] == "show_live_chat_popup"
    assert seconds < 5
    assert replay.returncode == 0, replay.stdout + replay.stderr
    assert "1 of 1" in " ".join(replay.stdout.split())


def _await_archived(mesh: RunningMesh) -> None:
    deadline = time.monotonic() + 30
    while not any(
        one["reader"] == "archiver" and one["checkpoint"] for one in mesh.get("/api/pipeline").body["standings"]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
