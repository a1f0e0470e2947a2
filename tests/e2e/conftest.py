"""One mesh for all end-to-end tests; each test uses users of its own."""

from collections.abc import Iterator

import pytest

from tests.processes import RunningMesh, running_mesh


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("mesh")) as running:
        yield running
