"""Fixtures that every floor of tests shares."""

import pytest
from hypothesis import settings

# A busy machine is no finding, and a run of the tests is repeatable.
settings.register_profile("inkstone", deadline=None, derandomize=True)
settings.load_profile("inkstone")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
