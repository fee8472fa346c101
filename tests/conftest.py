"""Fixtures that every floor of tests shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests import postgres

# A busy machine is no finding, and a run of the tests is repeatable.
settings.register_profile("inkstone", deadline=None, derandomize=True)
settings.load_profile("inkstone")

# The default one prints every local variable, which takes a second for a long traceback.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A Postgres server on which tests make databases, where `tests.postgres.AVAILABLE`."""
    with postgres.postgres_server() as url:
        yield url
