"""One mesh for all end-to-end tests; each test uses users of its own. And one that sends messages.

They end with the last of these tests: two idle meshes in each worker would slow down all tests that follow.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.channels import Channels, Doubt, helping, leave_in_doubt
from tests.processes import RunningMesh, running_mesh


@pytest.fixture(scope="package")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("mesh")) as running:
        yield running


@pytest.fixture(scope="package")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channels]:
    with helping(tmp_path_factory.mktemp("channels")) as running:
        yield running


@pytest.fixture(scope="package")
def doubt(channels: Channels) -> Doubt:
    """Left as early as possible and looked at as late: what is in doubt is left alone for a minute."""
    return leave_in_doubt(channels)
