"""The worker where its machine or its gateway fails it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry

from services.chassis.artifacts import ArtifactStore
from services.chassis.http import Peer, open_session
from services.contracts.datasets import DatasetPolicy
from services.contracts.jobs import ROWS_FILE, Lease, TrainingJob, TrainingSpec
from services.tuner.gateway import JobQueue
from services.tuner.jobs import JobMetrics, Worker
from tests.fakes.loopback import running
from tests.service.tuner.worker import workshop

pytestmark = pytest.mark.anyio

JOB = "job_0123456789abcdef"


@dataclass
class Gateway:
    """Hands out one job, and fails to take its result for a while."""

    failures: int = 0
    claims: list[dict[str, Any]] = field(default_factory=list)
    finishes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/internal/jobs/claim")
        async def claim(body: dict[str, Any]) -> Any:
            self.claims.append(body)
            wanted = body["job"] in (None, JOB) and len(self.finishes) == 0
            return _lease().model_dump(mode="json") if wanted else None

        @app.post("/internal/jobs/{job}/renew")
        async def renew(job: str) -> Any:
            return {"held": True, "cancel_requested": False, "pause_requested": False}

        @app.post("/internal/jobs/{job}/finish")
        async def finish(job: str, body: dict[str, Any]) -> Response:
            if self.failures:
                self.failures -= 1
                return Response(status_code=503)
            self.finishes.append({"job": job, **body})
            return Response(status_code=204)

        return app


def _lease() -> Lease:
    spec = TrainingSpec(adapter="tiny", profile=None, gate=DatasetPolicy())
    job = TrainingJob(
        id=JOB, status="running", spec=spec, created_at=1, created_by="k", tenant="default"
    )
    return Lease(job=job, input_key="in", output_key="out", report_key="report", lease_seconds=60.0)


@asynccontextmanager
async def worker_of(
    gateway: Gateway, base: Path, folder: Path, **limits: Any
) -> AsyncIterator[Worker]:
    (rows := folder / "rows").mkdir(parents=True)
    (rows / ROWS_FILE).write_text('{"messages": [{"role": "user", "content": "?"}]}\n')
    store = ArtifactStore(folder.as_uri())
    await store.put_folder("in", rows)
    async with running(gateway.app) as url, open_session() as session:
        yield Worker(
            name="w1",
            queue=JobQueue(Peer("gateway", url, session, "key")),
            store=store,
            shop=workshop(base, folder / "work", **limits),
            metrics=JobMetrics(CollectorRegistry()),
            poll_seconds=0.02,
            report_seconds=0.02,
            deliver_seconds=60.0,
        )


async def ended(gateway: Gateway, base: Path, folder: Path, **limits: Any) -> dict[str, Any]:
    async with worker_of(gateway, base, folder, **limits) as worker:
        assert await worker.once(None, 0.0)
    (result,) = gateway.finishes
    return result


async def test_a_result_waits_for_a_gateway_that_is_away(base: Path, tmp_path: Path) -> None:
    result = await ended(Gateway(failures=3), base, tmp_path, min_free_bytes=1 << 60)
    assert result["job"] == JOB


async def test_a_training_does_not_begin_on_a_full_disk(base: Path, tmp_path: Path) -> None:
    result = await ended(Gateway(), base, tmp_path, min_free_bytes=1 << 60)
    assert (result["status"], result["code"]) == ("failed", "disk_full")
    assert "make room" in result["error"]


async def test_a_training_that_takes_too_much_memory_is_ended(base: Path, tmp_path: Path) -> None:
    result = await ended(Gateway(), base, tmp_path, max_memory_bytes=1 << 20)
    assert (result["status"], result["code"]) == ("failed", "out_of_memory")
    assert "lower `batch`" in result["error"]


async def test_a_worker_that_takes_one_job_says_whether_there_was_one(
    base: Path, tmp_path: Path
) -> None:
    gateway = Gateway()
    async with worker_of(gateway, base, tmp_path, min_free_bytes=1 << 60) as worker:
        assert not await worker.once("job_of_another", 0.1)
        assert await worker.once(JOB, 0.1)
        assert not await worker.once(JOB, 0.1)
    assert {claim["job"] for claim in gateway.claims} == {"job_of_another", JOB}
    assert len(gateway.finishes) == 1
