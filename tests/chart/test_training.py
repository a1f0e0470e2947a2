"""The job that trains: where it may run, and what comes of it with the variables that it is given."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from journeymesh.common.v1 import event_pb2

from helm import render
from images import gather
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import Plan, hours_of
from services.scoring.adapters.model_directory import ModelDirectory, place
from tests.archive.rows import EventRow, records
from tests.buckets import new_bucket, s3
from tests.builders import NOW_US, event
from tests.chart.manifests import Manifest, committed, environment, of_kind, parsed, pods

__all__ = ["s3"]

DAY_US: Final = 86_400_000_000
USERS: Final = 60
TRAINED: Final = ("training.enabled=true", "models.url=s3://models/exit-risk", "aws.region=eu-central-1")


def job(*values: str) -> list[Manifest]:
    """What is installed with the job."""
    return parsed(render.manifests(["--set", ",".join((*TRAINED, *values))]))


def test_candidates_alone_come_of_it_once_a_month() -> None:
    manifests = committed("production-aws")
    (cron,) = of_kind(manifests, "CronJob").values()
    assert cron["spec"]["schedule"] == "0 3 1 * *"
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    set_ = environment(pods(manifests)["journeymesh-training"])
    scoring, archiver = (environment(pods(manifests)[f"journeymesh-{one}"]) for one in ("scoring", "archiver"))
    assert set_["JOURNEYMESH_MODELS"] == scoring["JOURNEYMESH_MODELS"]
    assert set_["DATA"] == archiver["JOURNEYMESH_ARCHIVE_URL"]
    assert set_["PROMOTE"] == "no"
    assert of_kind(committed("trial"), "CronJob") == {}


@pytest.mark.tools
def test_analytics_trains_only_where_that_is_said() -> None:
    usual, training = (pods(job(*values))["journeymesh-analytics"] for values in ((), ("training.onDemand=true",)))
    (was,), (now,) = (of["spec"]["containers"] for of in (usual, training))
    assert was["image"].rpartition(":")[0].endswith("/analytics")
    assert now["image"].rpartition(":")[0].endswith("/analytics-training")
    before = environment(usual)
    set_ = {name: text for name, text in environment(training).items() if name not in before}
    assert set_ == {
        "JOURNEYMESH_MODELS": "s3://models/exit-risk",
        "JOURNEYMESH_TRAINING_START": "no",
        "JOURNEYMESH_TRAINING_LABEL": "no event for 14 days, at events",
        "JOURNEYMESH_TRAINING_PROMOTE": "no",
        "MPLCONFIGDIR": "/tmp",  # noqa: S108 - of the container
    }
    started = pods(job("training.onDemand=true", "training.start=drift"))["journeymesh-analytics"]
    assert environment(started)["JOURNEYMESH_TRAINING_START"] == "drift"


@pytest.mark.tools
def test_it_reads_the_volume_of_an_archive_where_that_is_mounted() -> None:
    spec = pods(job())["journeymesh-training"]["spec"]
    assert {"name": "archive", "mountPath": "/archive", "readOnly": True} in spec["containers"][0]["volumeMounts"]
    (rule,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "archiver"
    assert "affinity" not in pods(job("archive.accessMode=ReadWriteMany"))["journeymesh-training"]["spec"]
    elsewhere = pods(job("archive.url=s3://archive/v1"))["journeymesh-training"]["spec"]
    assert [volume["name"] for volume in elsewhere["volumes"]] == ["tmp"]


@pytest.mark.tools
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("training.enabled=true", "training.enabled needs what to read and where to write"),
        (f"{','.join(TRAINED)},archive.url=", "training.enabled needs what to read and where to write"),
        ("training.onDemand=true", "training.onDemand needs what to read and where to write"),
        (f"{','.join(TRAINED)},training.start=drift", "training.start needs training.onDemand"),
        ("training.start=tea", "value must be one of 'no', 'drift', 'calibration', 'both'"),
        ("training.promote=anyway", "value must be one of 'no', 'yes'"),
        ("training.schedule=monthly", "does not match pattern"),
        ("training.resources.requests.memory=5Gi", "training.resources.requests.memory is 5Gi and so above"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: str, told: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render.manifests(["--set", values])
    assert told in str(refused.value.stderr)


async def archived(folder: Path) -> str:
    """An archive of users who come for three weeks or only once; those who fail do not come back."""
    rows: list[event_pb2.Event] = []
    for day in range(22):
        for user in range(USERS):
            fails = user % 2 == 1
            if day == user % 5 or (not fails and day > user % 5 and day % 3 == user % 3):
                now_us = NOW_US + day * DAY_US + user * 1_000_000
                kinds = ("page_view", "error", "error") if fails else ("page_view", "task_success", "page_view")
                rows += [
                    event(f"e-{len(rows)}-{at}", user_id=f"u-{user}", kind=kind, event_time_us=now_us + at * 1000)
                    for at, kind in enumerate(kinds)
                ]
    archive = ParquetArchive(folder.as_uri())
    stored = [EventRow(number, 0, each) for number, each in enumerate(rows)]
    part = await archive.pack("0", records(stored), [])
    await archive.write("0", Plan(-1, len(rows) - 1), hours_of(each.received_time_us for each in rows), [part])
    return folder.as_uri()


async def test_the_image_with_these_variables_writes_a_candidate(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, archive = new_bucket(monkeypatch, s3), await archived(tmp_path / "archive")
    gather.main("training", tmp_path / "app")
    given = environment(pods(committed("production-aws"))["journeymesh-training"])
    given |= {"DATA": archive, "JOURNEYMESH_MODELS": models, "MPLCONFIGDIR": str(tmp_path)}
    ended = trained(tmp_path / "app", given)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (version,) = place(models).names()
    assert "It is not live." in ended.stdout
    registry = ModelDirectory(place(models))
    assert registry.live().card.version != version
    assert registry.load(version).card.own_users == USERS


def trained(app: Path, given: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """The job's process, where only the image's own modules are."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name == "PATH"}
    return subprocess.run(
        [sys.executable, str(app)], env=kept | dict(given), cwd=app, text=True, capture_output=True, check=False
    )
