"""The ledger is kept for as long as is said, and no longer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from services.gateway.registry import leases, ledger, tables
from services.gateway.registry.ledger import LedgerRow
from services.gateway.registry.retention import LEASE, Retention
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test

pytestmark = pytest.mark.anyio

DAY = 86_400.0
OLD = 10


@pytest.fixture
async def gateway(tmp_path: Path, database_url: str | None) -> AsyncIterator[GatewayUnderTest]:
    async with gateway_under_test(tmp_path, database_url=database_url) as made:
        await record(made, "default", days=40, number=OLD)
        await record(made, "default", days=1, number=3)
        await record(made, "neighbour", days=40, number=1)
        yield made


def retention(gateway: GatewayUnderTest) -> Retention:
    """Keep thirty days; a batch is smaller than what is old."""
    return Retention(gateway.resources.registry, 30 * DAY, batch_rows=3, lease_seconds=60)


async def record(gateway: GatewayUnderTest, tenant: str, *, days: float, number: int) -> None:
    """Put answers of so many days ago on record, each with what a reader thought."""
    at = time.time() - days * DAY
    rows = [
        LedgerRow(at=at, tenant=tenant, key_id="k", request_id=f"{days} {n}", status=200)
        for n in range(number)
    ]
    scores = [
        {
            "tenant": row.tenant,
            "key_id": row.key_id,
            "request_id": row.request_id,
            "score": 1.0,
            "arm": row.arm,
            "overridden": False,
            "asked_at": row.at,
            "created_at": int(row.at),
        }
        for row in rows
    ]
    database = gateway.resources.registry.database
    await ledger.append(database, rows)
    async with database.append() as connection:
        await connection.execute(insert(tables.feedback), scores)


async def left(gateway: GatewayUnderTest, tenant: str) -> tuple[int, int]:
    """Count a tenant's rows of the ledger and of feedback."""
    async with gateway.resources.registry.database.read() as connection:
        counts = [
            await connection.scalar(
                select(func.count()).select_from(table).where(table.c.tenant == tenant)
            )
            for table in (tables.ledger, tables.feedback)
        ]
    return int(counts[0] or 0), int(counts[1] or 0)


async def test_what_is_older_than_it_is_kept_goes_and_the_audit_log_says_so(
    gateway: GatewayUnderTest,
) -> None:
    await retention(gateway).sweep()
    assert await left(gateway, "default") == (3, 3)
    assert await left(gateway, "neighbour") == (0, 0)
    for client, rows in ((gateway.admin, OLD), (gateway.neighbour, 1)):
        told = [e for e in (await client.get("/admin/audit")).body["data"] if e["actor"] == LEASE]
        assert [(e["action"], e["detail"]["rows"]) for e in told] == [("ledger.forgotten", rows)]
    await retention(gateway).sweep()
    events = (await gateway.admin.get("/admin/audit")).body["data"]
    assert sum(event["action"] == "ledger.forgotten" for event in events) == 1


async def test_what_a_rollout_under_way_rests_on_is_kept_with_it(gateway: GatewayUnderTest) -> None:
    path = "/admin/assistants/support"
    assert (await gateway.admin.put(path, json={})).status == 200
    body = {"bundle": {"profile": {"system": "x"}}, "steps": [{"weight": 5}]}
    rollout = (await gateway.admin.post(f"{path}/rollouts", json=body)).body["id"]
    later = time.time() + 90 * DAY
    registry = replace(gateway.resources.registry, clock=lambda: later)
    sweeping = replace(retention(gateway), registry=registry)
    await record(gateway, "default", days=-1, number=2)
    await sweeping.sweep()
    # Older than the rollout: gone. As young as it: kept, though ninety days have passed.
    assert await left(gateway, "default") == (2, 2)
    assert (await gateway.admin.post(f"{path}/rollouts/{rollout}/abort")).status == 200
    await sweeping.sweep()
    assert await left(gateway, "default") == (0, 0)


async def test_one_gateway_forgets_for_all(gateway: GatewayUnderTest) -> None:
    assert await leases.hold(gateway.resources.registry, LEASE, "another gateway", seconds=60)
    await retention(gateway).sweep()
    assert await left(gateway, "default") == (OLD + 3, OLD + 3)
