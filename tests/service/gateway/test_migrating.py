"""The schema goes back one version and forward again while a gateway answers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.registry.schema import migrate, revision_of
from tests.service.gateway.chat_stack import ChatStack, chat_stack, until

pytestmark = pytest.mark.anyio

MORE = 5
"""Answers that must come in each version before it is changed."""


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    # A machine that is busy for seconds must not seem to have lost its engine.
    async with chat_stack(tmp_path, database_url=database_url, replica_timeout_seconds=120) as made:
        yield made


async def going_back(stack: ChatStack) -> str:
    """Run the command as an operator does, beside the gateway."""
    settings = stack.gateway.settings
    environment = {
        **os.environ,
        "INKSTONE_GATEWAY_DATA_DIR": str(settings.data_dir),
        "INKSTONE_GATEWAY_RETRIEVER_API_KEY": "unused",
    }
    if settings.database_url is not None:
        environment["INKSTONE_GATEWAY_DATABASE_URL"] = settings.database_url.get_secret_value()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.gateway.going_back"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    return said.strip().splitlines()[-1]


async def test_nobody_notices_a_version_back_and_forward(stack: ChatStack) -> None:
    await stack.bind()
    database = stack.gateway.resources.registry.database
    statuses: list[int] = []

    enough = asyncio.Event()

    async def keep_asking() -> None:
        while not enough.is_set():
            statuses.append((await stack.ask("How long?")).status)

    async def some_more() -> None:
        reached = len(statuses) + MORE
        await until(lambda: len(statuses) >= reached)

    asking = asyncio.create_task(keep_asking())
    try:
        await some_more()
        newest = await revision_of(database)
        before, after = (await going_back(stack)).split(" -> ")
        assert (before, after) == (newest, await revision_of(database))
        assert after < before
        await some_more()
        await migrate(database)
        assert await revision_of(database) == newest
        await some_more()
    finally:
        enough.set()
        await asking
    assert set(statuses) == {200}
    assert {row["status"] for row in await stack.ledger(len(statuses))} == {200}
