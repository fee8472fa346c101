"""The worker where its machine or its gateway fails it."""

from __future__ import annotations

import asyncio
import signal
import time
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
from tests.fakes.agent import eventually
from tests.fakes.loopback import running
from tests.service.tuner.kills import trainees
from tests.service.tuner.process import Tuner
from tests.service.tuner.worker import workshop
from tests.unit.tuner.conftest import row, write_lines

pytestmark = pytest.mark.anyio

JOB = "job_0123456789abcdef"
LEASE_SECONDS, SLOW_SECONDS, PATIENCE = 3.0, 4.0, 120.0


@dataclass
class Gateway:
    """Hands out one job, and fails to take its result for a while."""

    failures: int = 0
    lease_seconds: float = 60.0
    answer_seconds: float = 0.0
    """How long it takes a result over."""
    cancelled: bool = False
    over: list[str] = field(default_factory=list)
    """Jobs that have ended."""
    held_until: float = 0.0
    lapses: int = 0
    """How often it heard of a job whose lease was over."""
    refused: list[dict[str, Any]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    finishes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/internal/jobs/claim")
        async def claim(body: dict[str, Any]) -> Any:
            self.claims.append(body)
            wanted = body["job"] in (None, JOB) and len(self.finishes) == 0
            self._hold()
            return _lease(self.lease_seconds).model_dump(mode="json") if wanted else None

        @app.post("/internal/jobs/{job}/renew")
        async def renew(job: str) -> Any:
            self._look()
            self._hold()
            return {"held": True, "cancel_requested": self.cancelled, "pause_requested": False}

        @app.post("/internal/jobs/over")
        async def over(body: dict[str, Any]) -> Any:
            return {"jobs": [job for job in body["jobs"] if job in self.over]}

        @app.post("/internal/jobs/{job}/finish")
        async def finish(job: str, body: dict[str, Any]) -> Response:
            await asyncio.sleep(self.answer_seconds)
            self._look()
            if self.failures:
                self.failures -= 1
                self.refused.append(body)
                return Response(status_code=503)
            self.finishes.append({"job": job, **body})
            return Response(status_code=204)

        return app

    def _hold(self) -> None:
        self.held_until = time.monotonic() + self.lease_seconds

    def _look(self) -> None:
        self.lapses += time.monotonic() > self.held_until


def _lease(seconds: float) -> Lease:
    recipe = {"rank": 4, "alpha": 8, "precision": "float32", "batch": 1, "epochs": 2, "keep": 1}
    gate = DatasetPolicy(accepted=["too_few_rows", "one_answer_only"])
    spec = TrainingSpec(adapter="tiny", profile=None, recipe=recipe, gate=gate, holdout=0.0)
    job = TrainingJob(
        id=JOB, status="running", spec=spec, created_at=1, created_by="k", tenant="default"
    )
    return Lease(
        job=job, input_key="in", output_key="out", report_key="report", lease_seconds=seconds
    )


async def store_of(
    folder: Path, rows: list[dict[str, Any]], kind: type[ArtifactStore] = ArtifactStore
) -> ArtifactStore:
    """Make a store that holds a job's rows."""
    store = kind(folder.as_uri())
    (inputs := folder / "rows").mkdir(parents=True)
    write_lines(inputs / ROWS_FILE, rows)
    await store.put_folder("in", inputs)
    return store


@asynccontextmanager
async def worker_of(
    gateway: Gateway,
    base: Path,
    folder: Path,
    kind: type[ArtifactStore] = ArtifactStore,
    **limits: Any,
) -> AsyncIterator[Worker]:
    store = await store_of(folder, [{"messages": [{"role": "user", "content": "?"}]}], kind)
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


@asynccontextmanager
async def process_of(
    gateway: Gateway, base: Path, folder: Path, *arguments: str
) -> AsyncIterator[Tuner]:
    """Run a worker as a process of its own, on rows that can be trained on."""
    await store_of(folder, [row(f"질문 {n}?", "1904년입니다.") for n in range(6)])
    async with running(gateway.app) as url:
        artifacts = folder.as_uri()
        tuner = Tuner(base, folder / "work", *arguments, url=url, key="key", artifacts=artifacts)
        try:
            yield tuner
        finally:
            await asyncio.to_thread(tuner.stop)


class SlowStore(ArtifactStore):
    """Takes longer than a lease for everything."""

    async def fetch_folder(self, key: str, folder: Path) -> None:
        await asyncio.sleep(SLOW_SECONDS)
        await super().fetch_folder(key, folder)


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


async def test_a_delivery_that_takes_longer_than_the_lease_keeps_it(
    base: Path, tmp_path: Path
) -> None:
    gateway = Gateway(failures=1, lease_seconds=LEASE_SECONDS, answer_seconds=SLOW_SECONDS)
    await ended(gateway, base, tmp_path, min_free_bytes=1 << 60)
    assert (gateway.lapses, len(gateway.claims)) == (0, 1)


async def test_rows_that_take_longer_than_the_lease_to_come_keep_it(
    base: Path, tmp_path: Path
) -> None:
    gateway = Gateway(lease_seconds=LEASE_SECONDS)
    async with worker_of(gateway, base, tmp_path, SlowStore) as worker:
        assert await worker.once(None, 0.0)
    assert (gateway.lapses, len(gateway.claims)) == (0, 1)


async def test_a_job_that_is_cancelled_before_its_training_begins_is_not_trained(
    base: Path, tmp_path: Path
) -> None:
    gateway = Gateway(cancelled=True)
    async with worker_of(gateway, base, tmp_path, SlowStore) as worker:
        assert await worker.once(None, 0.0)
    assert [result["status"] for result in gateway.finishes] == ["cancelled"]


async def test_a_worker_killed_before_it_delivered_does_not_train_again(
    base: Path, tmp_path: Path
) -> None:
    gateway = Gateway(failures=1 << 30)
    async with process_of(gateway, base, tmp_path) as tuner:
        await eventually(lambda: bool(gateway.refused), seconds=PATIENCE)
        first = gateway.refused[0]
        gateway.failures = 0
        await asyncio.to_thread(tuner.kill)
        await eventually(lambda: bool(gateway.finishes), seconds=PATIENCE)
    (second,) = gateway.finishes
    assert (first["status"], second["status"]) == ("succeeded", "succeeded")
    assert [event["message"] for event in second["events"]] == [
        "The training had come to its end; its adapter is handed over"
    ]
    for known in ("step", "of", "loss"):
        assert second["progress"][known] == first["progress"][known]
    (kept,), (again,) = first["checkpoints"], second["checkpoints"]
    assert again == {**kept, "train_loss": pytest.approx(kept["train_loss"], rel=1e-5)}
    assert not (tmp_path / "work" / "jobs" / JOB).exists()


@pytest.mark.parametrize("arguments", [(), ("--once",)])
async def test_a_worker_that_is_stopped_gives_its_job_back(
    base: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    gateway = Gateway()
    async with process_of(gateway, base, tmp_path, *arguments) as tuner:
        await eventually(lambda: bool(trainees(tuner.process.pid)), seconds=PATIENCE)
        assert await asyncio.to_thread(tuner.stop) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    (result,) = gateway.finishes
    assert (result["status"], result["error"]) == ("paused", "the worker was stopped")
    assert (tmp_path / "work" / "jobs" / JOB / "input").is_dir()


async def test_files_of_jobs_that_have_ended_without_the_worker_go(
    base: Path, tmp_path: Path
) -> None:
    gateway = Gateway(over=["job_over"])
    jobs = tmp_path / "work" / "jobs"
    for name in ("job_over", "job_paused"):
        (jobs / name / "input").mkdir(parents=True)
    async with worker_of(gateway, base, tmp_path) as worker:
        assert not await worker.once("job_of_another", 0.0)
    assert [one.name for one in jobs.iterdir()] == ["job_paused"]
