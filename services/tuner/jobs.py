"""The worker's loop: claim a job, train in a child process, hand over what it made."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass
from typing import get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import ValidationError

from services.chassis.artifacts import ArtifactStore
from services.chassis.errors import ServiceError, Unavailable, UpstreamFailed, UpstreamTimeout
from services.chassis.tracing import span
from services.contracts.fine_tuning import TrainingFailure
from services.contracts.jobs import JobResult, Lease, LeaseRenewal
from services.tuner.children import Trainee
from services.tuner.gateway import JobQueue
from services.tuner.shortages import MORE_ROOM, is_full_disk
from services.tuner.watching import Status, Watch
from services.tuner.workshop import DiskFull, Place, Workshop, command_of

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
    shop: Workshop
    metrics: JobMetrics
    poll_seconds: float
    report_seconds: float
    deliver_seconds: float
    """How long a result may wait for the gateway."""

    async def run(self) -> None:
        """Claim and work until cancelled."""
        while True:
            try:
                if await self._worked():
                    continue
            except ServiceError as error:
                _log.warning("jobs.queue_failed", code=error.code, reason=error.message)
            except Exception:  # noqa: BLE001  # the loop survives whatever one job does
                _log.exception("jobs.loop_failed")
            await asyncio.sleep(self.poll_seconds)

    async def once(self, job: str | None, wait_seconds: float) -> bool:
        """Work on one job, and tell whether there was one within the time.

        Args:
            job: the only one that will do; any when None. A job whose worker was killed is free
                once its lease is over, so the wait is longer than a lease.
        """
        until = time.monotonic() + wait_seconds
        while True:
            with contextlib.suppress(Unavailable, UpstreamFailed, UpstreamTimeout):
                if await self._worked(job):
                    return True
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(self.poll_seconds)

    async def _worked(self, job: str | None = None) -> bool:
        lease = await self.queue.claim(self.name, job)
        if lease is not None:
            await self._work(lease)
        return lease is not None

    async def _work(self, lease: Lease) -> None:
        job = lease.job
        place = Place(self.shop.data_dir / "jobs" / job.id)
        _log.info("job.started", job=job.id, attempt=job.attempts)
        self.metrics.running.set(1)
        try:
            with span("train", attributes={"inkstone.job": job.id}) as made:
                result = await self._trained(lease, place)
                made.note({"inkstone.job.status": result.status, "error.type": result.code})
                await self._deliver(job.id, result)
            self.metrics.finished.labels(result.status).inc()
            _log.info("job.finished", job=job.id, status=result.status, error=result.error)
        finally:
            self.metrics.running.set(0)
        # A paused job goes on from its checkpoints.
        if result.status != "paused":
            shutil.rmtree(place.folder, ignore_errors=True)

    async def _deliver(self, job: str, result: JobResult) -> None:
        """Say how a job ended; a gateway that is away for a while is waited for."""
        until = time.monotonic() + self.deliver_seconds
        while True:
            try:
                await self.queue.finish(job, result)
            except (Unavailable, UpstreamFailed, UpstreamTimeout) as error:
                _log.warning("job.delivery_failed", job=job, code=error.code)
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(self.report_seconds)
            else:
                return

    async def _trained(self, lease: Lease, place: Place) -> JobResult:
        watch = Watch(clock=time.time)
        try:
            self.shop.check_room()
            if not place.inputs.exists():
                await self.store.fetch_folder(lease.input_key, place.inputs)
            command = command_of(lease, place, self.shop)
            if await self._train(lease, command, watch):
                await self._store(lease, place, watch)
        except ValidationError as error:
            watch.fail(TrainingFailure.RECIPE_INVALID, _sentence(error))
        except DiskFull as error:
            watch.fail(TrainingFailure.DISK_FULL, str(error))
        except OSError as error:
            if not is_full_disk(error):
                raise
            watch.fail(TrainingFailure.DISK_FULL, f"The disk is full; {MORE_ROOM}.")
        return watch.result(self.name)

    async def _train(self, lease: Lease, command: list[str], watch: Watch) -> bool:
        """Train beside the lease's renewals; the first to end decides."""
        training = asyncio.create_task(Trainee(self.shop, watch).train(command))
        renewing = asyncio.create_task(self._renew_until_lost(lease, watch))
        try:
            await asyncio.wait({renewing, training}, return_when=asyncio.FIRST_COMPLETED)
            return training.done() and training.result()
        finally:
            for task in (training, renewing):
                task.cancel()
            await asyncio.gather(training, renewing, return_exceptions=True)

    async def _store(self, lease: Lease, place: Place, watch: Watch) -> None:
        for one in watch.kept:
            folder = place.kept / str(one.step)
            await self.store.put_folder(f"{lease.output_key}-{one.step}", folder)
        await self.store.put_folder(lease.report_key, place.report)
        await self.store.put_folder(lease.output_key, place.adapter)
        watch.status = "succeeded"

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
                why = "cancelled on request" if state.held else "the lease was lost"
                watch.stop("cancelled", why)
                return
            if state.pause_requested:
                watch.stop("paused", "paused on request")
                return


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"`{name}` is no knob of the recipe; docs/tuning.md lists them."
    return f"The recipe's `{name}`: {first['msg']}; docs/tuning.md lists the knobs."
