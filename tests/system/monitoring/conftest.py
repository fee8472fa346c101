"""One installation of real processes for all tests of what operators see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import postgres
from tests.fakes.collector import Collector
from tests.fakes.loopback import running
from tests.system.monitoring.installation import Installation, installation

GATEWAY = {
    "DAILY_BUDGET_USD": "100",
    "PRICES__PROMPT": "1",
    "PRICES__COMPLETION": "3",
    "SHADOW__CALLERS_BESIDE": "64",
}


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """Let one installation serve many tests."""
    return "asyncio"


@pytest.fixture(scope="package")
async def database_url(request: pytest.FixtureRequest) -> AsyncIterator[str | None]:
    if not postgres.AVAILABLE:
        yield None
        return
    async with postgres.fresh_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture(scope="package")
def collector() -> Collector:
    """Where every process sends its spans."""
    return Collector()


@pytest.fixture(scope="package")
async def installed(
    models_dir: Path,
    database_url: str | None,
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    async with running(collector.app) as collecting:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collecting,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        async with installation(
            tmp_path_factory.mktemp("installed"),
            models_dir,
            database_url,
            gateway=GATEWAY,
            variables=variables,
        ) as made:
            yield made
