"""The archive in a directory and in a bucket."""

from pathlib import Path

import pytest

from services.ingest.archive.adapters.files import ParquetArchive
from tests.buckets import new_bucket, s3

__all__ = ["s3"]


@pytest.fixture(params=["directory", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where an empty archive is to be."""
    if request.param == "directory":
        return f"file://{tmp_path}/archive"
    return new_bucket(monkeypatch, request.getfixturevalue("s3"))


@pytest.fixture
def archive(url: str) -> ParquetArchive:
    """An empty archive."""
    return ParquetArchive(url)
