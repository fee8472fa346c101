"""While gateways are replaced, one of the version before reads what a newer one has written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select, update

from services.gateway.registry import tables
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.rollout_calls import begun, comes_to, seen, two_versions

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    quick = {"look_seconds": 0.02}
    async with chat_stack(tmp_path, database_url=database_url, rollouts=quick) as made:
        yield made


async def with_something_new(stack: ChatStack, table: Table, column: str) -> None:
    """Let every row's object have a field that this version does not know."""
    database = stack.gateway.resources.registry.database
    async with database.write() as connection:
        kept: Any = await connection.scalar(select(table.c[column]))
        await connection.execute(update(table).values({column: {**kept, "of_a_later_version": 1}}))


async def test_releases_adapters_and_rollouts_with_unknown_fields_still_serve(
    stack: ChatStack,
) -> None:
    _, new = await two_versions(stack)
    rollout = await begun(stack, new, 50.0, analysis={"min_samples": 1_000})
    await comes_to(stack, rollout, "canary")
    for table, column in (
        (tables.releases, "profile"),
        (tables.adapters, "manifest"),
        (tables.rollouts, "analysis"),
    ):
        await with_something_new(stack, table, column)
    # A change of each part of the snapshot has all of them read anew.
    await stack.adapter("another")
    await stack.bind("other")
    assert (await stack.gateway.admin.get("/admin/adapters")).status == 200
    assert (await stack.gateway.admin.get("/admin/assistants")).status == 200
    assert (await seen(stack, rollout))["state"] == "canary"
    assert (await stack.ask()).status == 200
