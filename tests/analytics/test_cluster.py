"""A cluster for jobs that cannot be used here is refused when analytics starts, before it waits for its store."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import trustme

from mesh.process.lifecycle import CANNOT_RUN
from mesh.rpc.tls import Files
from mesh.settings import SettingError, read
from offline.customers.cluster import Cluster
from services.analytics.bootstrap import require_cluster
from services.analytics.settings import Settings
from tests import certificates

ADDRESS: Final = "tls://scheduler.dask.svc:8786"
# Where nothing listens: whoever got as far as the store would wait for it.
NO_STORE: Final = "redis://127.0.0.1:1/0"
# Runs the service where some libraries are not installed.
WITHOUT: Final = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))
runpy.run_module("services.analytics", run_name="__main__", alter_sys=True)
"""


def named(files: Files, address: str = ADDRESS) -> dict[str, str]:
    """What names a cluster."""
    return {
        "JOURNEYMESH_JOBS_CLUSTER": address,
        "JOURNEYMESH_JOBS_CLUSTER_CA_FILE": files.ca,
        "JOURNEYMESH_JOBS_CLUSTER_CERT_FILE": files.certificate,
        "JOURNEYMESH_JOBS_CLUSTER_KEY_FILE": files.key,
    }


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return certificates.issue(tmp_path / "tls", trustme.CA())


def refusal(named: Mapping[str, str], *without: str) -> str:
    """What analytics says when it ends at its start."""
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, *without],
        env={**os.environ, "JOURNEYMESH_REDIS_URL": NO_STORE, **named},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == CANNOT_RUN, ended.stderr
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def test_without_dask_analytics_does_not_start(files: Files) -> None:
    told = refusal(named(files), "distributed")
    assert told == "journeymesh: JOURNEYMESH_JOBS_CLUSTER needs the extra `dask`, which is not installed here.\n"


def test_with_a_file_that_is_not_there_analytics_does_not_start(files: Files) -> None:
    Path(files.key).unlink()
    told = refusal(named(files))
    assert told.startswith(f"journeymesh: JOURNEYMESH_JOBS_CLUSTER: The TLS file {files.key} cannot be read: ")


def test_with_an_address_of_no_scheduler_analytics_does_not_start(files: Files) -> None:
    assert "must be like `tls://host:8786`" in refusal(named(files, "tls://scheduler"))


def test_files_that_do_not_fit_together_are_refused(files: Files, tmp_path: Path) -> None:
    require_cluster(read(Settings, {}))
    require_cluster(read(Settings, named(files)))
    other = certificates.issue(tmp_path / "other", trustme.CA())
    with pytest.raises(SettingError, match="are not a certificate and its key"):
        require_cluster(read(Settings, named(files._replace(key=other.key))))
    with pytest.raises(SettingError, match="holds no certificates"):
        require_cluster(read(Settings, named(files._replace(ca=files.key))))


@pytest.mark.parametrize(
    "address", ["tls://a:1", "tls://a-b.c_d:65535", "tls://10.0.0.1:8786", "tls://[::1]:8786", "tls://[fd00::1]:8786"]
)
def test_what_is_taken_for_an_address_dask_takes_too(files: Files, address: str) -> None:
    Cluster(read(Settings, named(files, address)).jobs_cluster, files)


@pytest.mark.parametrize(
    "address",
    [
        *("tcp://a:8786", "a:8786", "tls://a", "tls://a:", "tls://:8786", "tls://a:port", "tls://a:0", "tls://a:65536"),
        *("tls://a:8786/", "tls://a b:8786", "tls://a:8786\n", "tls://me@a:8786", "tls://a:٨", "TLS://a:8786"),
    ],
)
def test_other_addresses_are_refused(files: Files, address: str) -> None:
    with pytest.raises(SettingError, match="must be like `tls://host:8786`"):
        read(Settings, named(files, address))


@pytest.mark.parametrize("missing", ["CA", "CERT", "KEY"])
def test_all_three_files_are_needed(files: Files, missing: str) -> None:
    some = named(files)
    del some[f"JOURNEYMESH_JOBS_CLUSTER_{missing}_FILE"]
    with pytest.raises(SettingError, match="JOURNEYMESH_JOBS_CLUSTER_CA_FILE"):
        read(Settings, some)


def test_dask_is_loaded_only_for_a_job_with_a_cluster() -> None:
    loads = "import services.analytics.__main__, offline.customers.job, offline.customers.exporting, sys\n"
    told = "print([each for each in ('dask', 'distributed', 'tornado') if each in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", loads + told], text=True) == "[]\n"
