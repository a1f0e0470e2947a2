"""Fixtures of the gateway's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.running import Gateway, running


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway over recording services."""
    async with running() as one:
        yield one
