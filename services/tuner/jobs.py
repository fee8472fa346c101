"""The worker's loop: claim a job, train in a child process, hand over what it made."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import ValidationError

from services.chassis.artifacts import ArtifactStore
from services.chassis.errors import ServiceError, Unavailable, UpstreamFailed, UpstreamTimeout
from services.chassis.tracing import span
from services.contracts.fine_tuning import TrainingFailure
from services.contracts.jobs import JobResult, Lease, LeaseRenewal, LeaseState
from services.tuner.children import Trainee
from services.tuner.finished import finished_in
from services.tuner.gateway import JobQueue
from services.tuner.shortages import MORE_ROOM, is_full_disk
from services.tuner.watching import Status, Watch
from services.tuner.workshop import DiskFull, Place, Workshop, command_of

RELEASE_SECONDS = 10.0
"""How long a worker that is stopped tries to give its job back."""

TIDY_SECONDS = 600.0
"""How often a worker looks for files of jobs that have ended without it."""

MOST_ASKED = 1000
"""Jobs that are asked after at a time."""

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
    """Works on one job at a time; a killed worker's job is claimed again and goes on.

    A worker that is stopped gives its job back.
    """

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
        tidied = -TIDY_SECONDS
        while True:
            try:
                if time.monotonic() - tidied >= TIDY_SECONDS:
                    tidied = time.monotonic()
                    await self._tidy()
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
        await self._tidy()
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

    async def _tidy(self) -> None:
        """Remove the files of jobs that have ended without this worker, or are not known."""
        folder = self.shop.data_dir / "jobs"
        left = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
        for first in range(0, len(left), MOST_ASKED):
            asked = left[first : first + MOST_ASKED]
            try:
                over = await self.queue.over(asked)
            except ServiceError as error:
                _log.warning("jobs.tidying_failed", code=error.code, reason=error.message)
                return
            for job in sorted({*asked} & {*over}):
                await asyncio.to_thread(shutil.rmtree, folder / job, ignore_errors=True)
                _log.info("job.files_removed", job=job)

    async def _work(self, lease: Lease) -> None:
        job = lease.job
        place = Place(self.shop.data_dir / "jobs" / job.id)
        watch, result = Watch(clock=time.time), None
        _log.info("job.started", job=job.id, attempt=job.attempts)
        self.metrics.running.set(1)
        try:
            with span("train", attributes={"inkstone.job": job.id}) as made:
                result = await self._trained(lease, place, watch)
                made.note({"inkstone.job.status": result.status, "error.type": result.code})
                async with self._holding(lease, watch):
                    await self._deliver(job.id, result)
            self.metrics.finished.labels(result.status).inc()
            _log.info("job.finished", job=job.id, status=result.status, error=result.error)
        except asyncio.CancelledError:
            await self._release(job.id, watch, result)
            raise
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

    async def _release(self, job: str, watch: Watch, result: JobResult | None) -> None:
        """Give a job back, so that another worker has it at once and goes on with what is kept.

        Args:
            result: how the job ended, if it had.
        """
        if result is None:
            watch.say("info", "The worker was stopped; the job waits for another")
            watch.stop("paused", "the worker was stopped")
            result = watch.result(self.name)
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self.queue.finish(job, result)
        except (ServiceError, TimeoutError):
            _log.warning("job.release_failed", job=job)
        else:
            _log.info("job.released", job=job, status=result.status)

    async def _trained(self, lease: Lease, place: Place, watch: Watch) -> JobResult:
        """Make the adapter beside the lease's renewals; the first to end decides."""
        making = asyncio.create_task(self._made(lease, place, watch))
        hearing = asyncio.create_task(self._told_to_stop(lease, watch))
        try:
            await asyncio.wait({making, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if not making.done():
                watch.stop(*hearing.result())
            elif making.result():
                watch.status = "succeeded"
        finally:
            await _ended(making, hearing)
        return watch.result(self.name)

    async def _made(self, lease: Lease, place: Place, watch: Watch) -> bool:
        """Train and store, and tell whether there is an adapter; the watch has heard why not."""
        try:
            return await self._finished(lease, place, watch)
        except ValidationError as error:
            watch.fail(TrainingFailure.RECIPE_INVALID, _sentence(error))
        except DiskFull as error:
            watch.fail(TrainingFailure.DISK_FULL, str(error))
        except OSError as error:
            if not is_full_disk(error):
                raise
            watch.fail(TrainingFailure.DISK_FULL, f"The disk is full; {MORE_ROOM}.")
        return False

    async def _finished(self, lease: Lease, place: Place, watch: Watch) -> bool:
        """Train and store; what was trained to its end before is only stored."""
        before = finished_in(place.adapter, place.report, place.kept, lease.job.progress)
        if before is not None:
            watch.progress, watch.kept = before.progress, before.kept
            watch.say("info", "The training had come to its end; its adapter is handed over")
        else:
            self.shop.check_room()
            if not place.inputs.exists():
                await self.store.fetch_folder(lease.input_key, place.inputs)
            command = command_of(lease, place, self.shop)
            if not await Trainee(self.shop, watch).train(command):
                return False
        await self._store(lease, place, watch)
        return True

    async def _store(self, lease: Lease, place: Place, watch: Watch) -> None:
        for one in watch.kept:
            folder = place.kept / str(one.step)
            await self.store.put_folder(f"{lease.output_key}-{one.step}", folder)
        await self.store.put_folder(lease.report_key, place.report)
        await self.store.put_folder(lease.output_key, place.adapter)

    async def _told_to_stop(self, lease: Lease, watch: Watch) -> tuple[Status, str]:
        """Renew until the job is cancelled, paused or somebody else's, and say which."""
        while True:
            state = await self._renewed(lease, watch)
            if state is None:
                continue
            if not state.held:
                return "cancelled", "the lease was lost"
            if state.cancel_requested:
                return "cancelled", "cancelled on request"
            if state.pause_requested:
                return "paused", "paused on request"

    @contextlib.asynccontextmanager
    async def _holding(self, lease: Lease, watch: Watch) -> AsyncIterator[None]:
        """Keep the lease while a result is on its way, whatever is asked meanwhile."""

        async def renew() -> None:
            while (state := await self._renewed(lease, watch)) is None or state.held:
                pass

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            await _ended(renewing)

    async def _renewed(self, lease: Lease, watch: Watch) -> LeaseState | None:
        """Renew at a third of the lease, and hear what the gateway says, if it can be asked."""
        await asyncio.sleep(min(lease.lease_seconds / 3, self.report_seconds))
        news = watch.news()
        renewal = LeaseRenewal(worker=self.name, progress=watch.progress, events=news)
        if watch.progress and watch.progress.loss is not None:
            self.metrics.loss.set(watch.progress.loss)
        try:
            state = await self.queue.renew(lease.job.id, renewal)
        except ServiceError as error:
            _log.warning("job.renewal_failed", job=lease.job.id, code=error.code)
            return None
        watch.heard(news)
        return state


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and wait until they have come to their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"`{name}` is no knob of the recipe; docs/tuning.md lists them."
    return f"The recipe's `{name}`: {first['msg']}; docs/tuning.md lists the knobs."
