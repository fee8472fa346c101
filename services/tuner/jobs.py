"""The worker's loop: claim a job, train in a child process, hand the adapter over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from services.chassis.artifacts import ArtifactStore
from services.chassis.errors import ServiceError
from services.chassis.processes import die_with_parent
from services.chassis.tracing import span
from services.contracts.jobs import (
    ROWS_FILE,
    VALIDATION_FILE,
    JobResult,
    Lease,
    LeaseRenewal,
)
from services.tuner.gateway import JobQueue
from services.tuner.recipe import Recipe
from services.tuner.watching import Status, Watch

RECIPE_INVALID = "recipe_invalid"
"""The code of a job whose knobs are not known or out of range."""

_log = structlog.get_logger(__name__)


class JobMetrics:
    """What the worker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.finished = Counter(
            "inkstone_training_jobs",
            "Training jobs by how they ended",
            ["status"],
            registry=registry,
        )
        # A counter that begins at 1 hides its first failure from `increase()`.
        for status in get_args(Status):
            self.finished.labels(status)
        self.loss = Gauge(
            "inkstone_training_loss", "Loss of the training that runs", registry=registry
        )
        self.running = Gauge(
            "inkstone_training_running", "Whether a training runs", registry=registry
        )


@dataclass(frozen=True, slots=True)
class Worker:
    """Works on one job at a time; a killed worker's job is claimed again and goes on."""

    name: str
    queue: JobQueue
    store: ArtifactStore
    base: Path
    end_of_turn: str
    data_dir: Path
    metrics: JobMetrics
    threads: int
    poll_seconds: float
    report_seconds: float
    stop_seconds: float

    async def run(self) -> None:
        """Claim and work until cancelled."""
        while True:
            try:
                lease = await self.queue.claim(self.name)
                if lease is not None:
                    await self._work(lease)
                    continue
            except ServiceError as error:
                _log.warning("jobs.queue_failed", code=error.code, reason=error.message)
            except Exception:  # noqa: BLE001  # the loop survives whatever one job does
                _log.exception("jobs.loop_failed")
            await asyncio.sleep(self.poll_seconds)

    async def _work(self, lease: Lease) -> None:
        job = lease.job
        folder = self.data_dir / "jobs" / job.id
        _log.info("job.started", job=job.id, attempt=job.attempts)
        self.metrics.running.set(1)
        try:
            with span("train", attributes={"inkstone.job": job.id}) as made:
                result = await self._train(lease, folder)
                made.note({"inkstone.job.status": result.status, "error.type": result.code})
                await self.queue.finish(job.id, result)
            self.metrics.finished.labels(result.status).inc()
            _log.info("job.finished", job=job.id, status=result.status, error=result.error)
        finally:
            self.metrics.running.set(0)
        # A paused job goes on from its checkpoints.
        if result.status != "paused":
            shutil.rmtree(folder, ignore_errors=True)

    async def _train(self, lease: Lease, folder: Path) -> JobResult:
        """Run the training child beside the lease's renewals; the first to end decides."""
        inputs, output = folder / "input", folder / "adapter"
        if not inputs.exists():
            await self.store.fetch_folder(lease.input_key, inputs)
        try:
            command = self._command(lease, inputs, output)
        except ValueError as error:
            return JobResult(
                worker=self.name, status="failed", error=str(error), code=RECIPE_INVALID
            )
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": str(self.threads)},
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        watch = Watch(clock=time.time)
        reading = asyncio.gather(watch.progress_of(process), watch.errors_of(process))
        renewing = asyncio.create_task(self._renew_until_lost(lease, watch))
        ending = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({renewing, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                return watch.result(self.name, watch.stopped, error=watch.stop_reason)
            await reading
            if process.returncode != 0:
                return watch.result(self.name, "failed", error=watch.complaint())
            await self.store.put_folder(lease.output_key, output)
            return watch.result(self.name, "succeeded")
        finally:
            renewing.cancel()
            await self._end(process)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(reading, renewing, return_exceptions=True)

    async def _renew_until_lost(self, lease: Lease, watch: Watch) -> None:
        """Renew at a third of the lease; return when the job is cancelled or somebody else's."""
        while True:
            await asyncio.sleep(min(lease.lease_seconds / 3, self.report_seconds))
            news = watch.news()
            renewal = LeaseRenewal(worker=self.name, progress=watch.progress, events=news)
            if watch.progress and watch.progress.loss is not None:
                self.metrics.loss.set(watch.progress.loss)
            try:
                state = await self.queue.renew(lease.job.id, renewal)
            except ServiceError as error:
                _log.warning("job.renewal_failed", job=lease.job.id, code=error.code)
                continue
            watch.heard(news)
            if state.cancel_requested or not state.held:
                watch.stop_reason = "cancelled on request" if state.held else "the lease was lost"
                return
            if state.pause_requested:
                watch.stopped, watch.stop_reason = "paused", "paused on request"
                return

    def _command(self, lease: Lease, inputs: Path, output: Path) -> list[str]:
        spec = lease.job.spec
        recipe = Recipe.model_validate({"threads": self.threads, **spec.recipe})
        known = list[str]()
        if spec.profile is not None:
            profile = inputs / "profile.json"
            profile.write_text(spec.profile.model_dump_json(), encoding="utf-8")
            known += ["--profile", str(profile)]
        if (inputs / VALIDATION_FILE).is_file():
            known += ["--validation", str(inputs / VALIDATION_FILE)]
        return [
            sys.executable, "-m", "services.tuner.training",
            "--base", str(self.base), "--rows", str(inputs / ROWS_FILE),
            *known, "--name", spec.adapter, "--out", str(output),
            "--description", spec.description, "--end-of-turn", self.end_of_turn,
            "--rank", str(recipe.rank), "--alpha", str(recipe.alpha),
            "--epochs", str(recipe.epochs), "--lr", str(recipe.learning_rate),
            "--batch", str(recipe.batch), "--max-length", str(recipe.max_length),
            "--precision", recipe.precision, "--seed", str(recipe.seed),
            "--checkpoint-steps", str(recipe.checkpoint_steps),
            "--threads", str(recipe.threads), "--gate", spec.gate.model_dump_json(), "--resume",
        ]  # fmt: skip

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Stop the child and everything that it started."""
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.stop_seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
