"""The gateway under test, on SQLite and, where a server is given, on Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.gateway.gateway import (
    POSTGRES_URL,
    GatewayUnderTest,
    empty_postgres,
    gateway_under_test,
)


@pytest.fixture(params=["sqlite"] if POSTGRES_URL is None else ["sqlite", "postgres"])
async def database_url(request: pytest.FixtureRequest) -> AsyncIterator[str | None]:
    """The registry's URL: None stands for the embedded SQLite."""
    if request.param == "sqlite":
        yield None
        return
    async with empty_postgres() as url:
        yield url


@pytest.fixture
async def gateway(tmp_path: Path, database_url: str | None) -> AsyncIterator[GatewayUnderTest]:
    """A fresh gateway."""
    async with gateway_under_test(tmp_path, database_url=database_url) as under_test:
        yield under_test
