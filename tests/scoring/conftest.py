"""Fixtures of the tests of scoring."""

import pytest

from services.scoring.adapters.model_directory import ModelDirectory
from tests.buckets import s3
from tests.scoring.builders import MODELS

__all__ = ["models", "s3"]


@pytest.fixture(scope="session")
def models() -> ModelDirectory:
    """The models of this repository."""
    return ModelDirectory(MODELS)
