"""The gateway under test, on SQLite and, where there is a server, on Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import postgres
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test

POSTGRES_EVERY_TIME = (
    "test_content",
    "test_file_claims",
    "test_idempotency",
    "test_keys",
    "test_outage",
    "test_registry",
    "test_rollouts",
)
"""Tests whose statements cover the registry; the others run on Postgres in the long campaigns."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the quick run quick: a second database doubles every test of the gateway."""
    postgres.leave_to_the_campaigns(items, Path(__file__).parent, POSTGRES_EVERY_TIME)


@pytest.fixture(params=["sqlite", "postgres"] if postgres.AVAILABLE else ["sqlite"])
async def database_url(request: pytest.FixtureRequest) -> AsyncIterator[str | None]:
    """The registry's URL: None stands for the embedded SQLite."""
    if request.param == "sqlite":
        yield None
        return
    async with postgres.fresh_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture
async def gateway(tmp_path: Path, database_url: str | None) -> AsyncIterator[GatewayUnderTest]:
    """A fresh gateway."""
    async with gateway_under_test(tmp_path, database_url=database_url) as under_test:
        yield under_test
