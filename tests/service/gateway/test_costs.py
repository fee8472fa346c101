"""`GET /admin/costs`: what answers cost, added up by release, each tenant's own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio

PRICES = {"prompt": 1_000_000.0, "cached": 0.0, "completion": 2_000_000.0}


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path, database_url=database_url, prices=PRICES) as running:
        yield running


async def test_costs_are_added_up_by_release_and_are_the_tenants_own(stack: ChatStack) -> None:
    for system in ("Be brief.", "Be kind."):
        await stack.bind(profile={"system": system})
        for _ in range(2):
            assert (await stack.ask()).status == 200
    rows = await stack.ledger(4)
    page = (await stack.gateway.admin.get("/admin/costs")).body
    assert {one["release"]: one["requests"] for one in page["data"]} == {
        "support/1": 2,
        "support/2": 2,
    }
    for field in ("prompt_tokens", "completion_tokens", "cost_usd"):
        told = sum(one[field] for one in page["data"])
        assert told > 0
        assert told == pytest.approx(sum(row[field] for row in rows))
    assert page["data"] == sorted(page["data"], key=lambda one: -one["cost_usd"])
    before = await stack.gateway.admin.get(f"/admin/costs?until={time.time() - 3600}")
    assert before.body["data"] == []
    assert (await stack.gateway.neighbour.get("/admin/costs")).body["data"] == []
    assert (await stack.gateway.application.get("/admin/costs")).status == 403
