"""Training jobs over HTTP: a real gateway, a real worker, a real training of a tiny base."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import update

from services.chassis.artifacts import ArtifactStore
from services.chassis.http import Peer, open_session
from services.gateway.registry import tables
from services.tuner.gateway import JobQueue
from services.tuner.jobs import JobMetrics, Worker
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test
from tests.unit.tuner.conftest import row, write_lines

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 240
RECIPE = {
    "rank": 4, "alpha": 8, "epochs": 1, "batch": 2, "precision": "float32", "threads": 1,
}  # fmt: skip


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayUnderTest]:
    async with gateway_under_test(tmp_path / "gateway") as running:
        yield running


@asynccontextmanager
async def working(gateway: GatewayUnderTest, base: Path, folder: Path) -> AsyncIterator[Worker]:
    """Run a worker against the gateway until the block ends."""
    async with open_session() as session:
        worker = Worker(
            name="w1",
            queue=JobQueue(Peer("gateway", gateway.base_url, session, gateway.secrets["tuner"])),
            store=ArtifactStore(gateway.settings.artifact_store_url),
            base=base,
            end_of_turn="<end_of_turn>",
            data_dir=folder,
            metrics=JobMetrics(CollectorRegistry()),
            threads=1,
            poll_seconds=0.1,
            stop_seconds=5,
        )
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def queue(gateway: GatewayUnderTest, rows: bytes, **recipe: Any) -> dict[str, Any]:
    """Queue a job as an operator."""
    form = aiohttp.FormData()
    form.add_field("file", rows, filename="rows.jsonl")
    gate = {"accepted": ["too_few_rows", "one_answer_only"]}
    spec = {"adapter": "tiny-voice", "profile": {}, "recipe": recipe, "gate": gate}
    form.add_field("spec", json.dumps(spec))
    reply = await gateway.admin.post("/admin/training-jobs", data=form)
    assert reply.status == 201, reply.body
    job: dict[str, Any] = reply.body
    return job


async def ended(gateway: GatewayUnderTest, job: str) -> dict[str, Any]:
    """Wait until a job has ended."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            body: dict[str, Any] = (await gateway.admin.get(f"/admin/training-jobs/{job}")).body
            if body["status"] not in ("queued", "running"):
                return body
            await asyncio.sleep(0.2)


def rows_of(tmp_path: Path, count: int = 6) -> bytes:
    return write_lines(
        tmp_path / "rows.jsonl", [row(f"질문 {n}?", "네, 1904년입니다 [1].") for n in range(count)]
    ).read_bytes()


async def test_a_queued_job_becomes_a_registered_adapter_version(
    gateway: GatewayUnderTest, base: Path, tmp_path: Path
) -> None:
    job = await queue(gateway, rows_of(tmp_path), **RECIPE)
    async with working(gateway, base, tmp_path / "work"):
        done = await ended(gateway, job["id"])
    assert (done["status"], done["error"]) == ("succeeded", None)
    version = (await gateway.admin.get(f"/admin/adapters/{done['adapter_version']}")).body
    assert version["name"] == "tiny-voice"
    assert version["rank"] == 4
    assert version["manifest"]["training"]["recipe"]["rank"] == 4
    assert not any((tmp_path / "work" / "jobs").iterdir())


async def test_rows_that_cannot_be_trained_on_fail_the_job_with_the_reason(
    gateway: GatewayUnderTest, base: Path, tmp_path: Path
) -> None:
    job = await queue(gateway, b'{"prompt": "not a list"}\n', **RECIPE)
    async with working(gateway, base, tmp_path / "work"):
        done = await ended(gateway, job["id"])
    assert done["status"] == "failed"
    assert "Line 1" in done["error"]
    assert "row_shape" in done["error"]
    assert done["adapter_version"] is None


async def test_a_recipe_with_an_unknown_knob_fails_the_job(
    gateway: GatewayUnderTest, base: Path, tmp_path: Path
) -> None:
    job = await queue(gateway, rows_of(tmp_path), ranks=4)
    async with working(gateway, base, tmp_path / "work"):
        done = await ended(gateway, job["id"])
    assert done["status"] == "failed"
    assert "ranks" in done["error"]


async def test_a_cancelled_queued_job_is_never_claimed(
    gateway: GatewayUnderTest, base: Path, tmp_path: Path
) -> None:
    job = await queue(gateway, rows_of(tmp_path), **RECIPE)
    cancelled = await gateway.admin.post(f"/admin/training-jobs/{job['id']}/cancel")
    assert cancelled.body["status"] == "cancelled"
    again = await gateway.admin.post(f"/admin/training-jobs/{job['id']}/cancel")
    assert (again.status, again.code) == (409, "job_ended")
    claim = await gateway.client(gateway.secrets["tuner"]).post(
        "/internal/jobs/claim", json={"worker": "w1"}
    )
    assert (claim.status, claim.body) == (200, None)


async def test_a_job_whose_worker_fell_silent_goes_to_another_and_the_first_is_told(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    job = await queue(gateway, rows_of(tmp_path), **RECIPE)
    tuner = gateway.client(gateway.secrets["tuner"])
    first = (await tuner.post("/internal/jobs/claim", json={"worker": "w1"})).body
    assert (await tuner.post("/internal/jobs/claim", json={"worker": "w2"})).body is None
    async with gateway.resources.registry.database.write() as connection:
        await connection.execute(update(tables.training_jobs).values(lease_until=0.0))
    second = (await tuner.post("/internal/jobs/claim", json={"worker": "w2"})).body
    assert (first["job"]["attempts"], second["job"]["attempts"]) == (1, 2)
    assert first["output_key"] != second["output_key"]
    renewal = await tuner.post(f"/internal/jobs/{job['id']}/renew", json={"worker": "w1"})
    assert renewal.body["held"] is False
    result = {"worker": "w1", "status": "succeeded"}
    refused = await tuner.post(f"/internal/jobs/{job['id']}/finish", json=result)
    assert (refused.status, refused.code) == (409, "lease_lost")


async def test_only_internal_keys_claim_and_only_operators_queue(
    gateway: GatewayUnderTest,
) -> None:
    for client in (gateway.admin, gateway.application):
        reply = await client.post("/internal/jobs/claim", json={"worker": "w1"})
        assert reply.status == 403
    reply = await gateway.application.get("/admin/training-jobs")
    assert reply.status == 403
