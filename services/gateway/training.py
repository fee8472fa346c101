"""Training jobs as the gateway sees them: rows in, an adapter version out."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Literal

from services.chassis.artifacts import ArtifactStore
from services.chassis.errors import InvalidRequest, ServiceError
from services.contracts.jobs import ROWS_FILE, JobResult, TrainingJob, TrainingSpec
from services.gateway.adapters.examination import Labels
from services.gateway.adapters.importing import copy_adapter
from services.gateway.adapters.intake import AdapterIntake
from services.gateway.registry import idempotency, training_jobs
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.idempotency import Attempt
from services.gateway.registry.versions import Expected


@dataclass(frozen=True, slots=True)
class TrainingDesk:
    """Takes training jobs in and their adapters over."""

    registry: Registry
    artifacts: ArtifactStore
    intake: AdapterIntake
    staging: Path
    """Where rows and adapters lie while they are moved."""

    async def queue(
        self, actor: Actor, spec: TrainingSpec, rows: BinaryIO, attempt: Attempt | None = None
    ) -> TrainingJob:
        """Store the rows and queue the job.

        Raises:
            InvalidRequest: `training_rows_empty` when the file holds nothing.
        """
        with self.folder() as folder:
            digest = await asyncio.to_thread(_write, rows, Path(folder) / ROWS_FILE)
            if digest is None:
                raise InvalidRequest(
                    "The file holds no rows; write one JSON object a line with `prompt` and "
                    "`completion`.",
                    code="training_rows_empty",
                    param="file",
                )
            return await self.queue_folder(actor, spec, Path(folder), digest, attempt)

    async def queue_folder(
        self, actor: Actor, spec: TrainingSpec, folder: Path, digest: str, attempt: Attempt | None
    ) -> TrainingJob:
        """Store a folder of rows and queue the job.

        Args:
            digest: what names the rows' content.
        """
        job_id = training_jobs.new_job_id()
        await self.artifacts.put_folder(training_jobs.input_folder(job_id), folder)
        what = f"train {digest} {spec.model_dump_json()}"
        queued = None
        try:
            async with self.registry.change(actor) as change:
                act = partial(training_jobs.queue, change, job_id, spec)
                queued = await idempotency.once(change, attempt, what, act, TrainingJob, status=201)
            return queued
        finally:
            if queued is None or queued.id != job_id:
                await self.artifacts.delete_folder(training_jobs.input_folder(job_id))

    async def steer(
        self,
        actor: Actor,
        job_id: str,
        action: Literal["cancel", "pause", "resume"],
        attempt: Attempt | None = None,
        expected: Expected = None,
    ) -> TrainingJob:
        """Cancel, pause or resume a job.

        Raises:
            JobChanged: it is not at the expected version.
        """
        steered = {
            "cancel": training_jobs.cancel,
            "pause": training_jobs.pause,
            "resume": training_jobs.resume,
        }
        async with self.registry.change(actor) as change:

            async def act() -> TrainingJob:
                job = await training_jobs.find(change.connection, actor.tenant, job_id)
                training_jobs.check_version(job, expected)
                return await steered[action](change, job_id)

            return await idempotency.once(change, attempt, f"{action} {job_id}", act, TrainingJob)

    async def finish(self, actor: Actor, job_id: str, result: JobResult) -> None:
        """Write how a job ended; an adapter that it made is examined like any other.

        One that may not be registered fails the job, with the reason.

        Raises:
            Conflict: when the job is not the worker's any more.
        """
        job = await training_jobs.held_by(self.registry, job_id, result.worker)
        version = None
        if result.status == "succeeded":
            try:
                version = await self._take_over(job)
            except ServiceError as error:
                if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                refused = {"status": "failed", "error": error.message, "code": error.code}
                result = result.model_copy(update=refused)
        await training_jobs.finish(self.registry, actor, job_id, result, version)

    async def _take_over(self, job: TrainingJob) -> str:
        with self.folder() as folder:
            made = Path(folder) / "adapter"
            await self.artifacts.fetch_folder(training_jobs.output_folder(job), made)
            owner = Actor(job.tenant, job.created_by, f"made by {job.id}")
            labels = Labels(job.spec.adapter, job.spec.description or None)

            def fill(target: Path) -> None:
                copy_adapter(str(made), target, roots=[made], limits=self.intake.limits)

            version, _ = await self.intake.register(owner, fill, labels, None)
        return version.id

    def folder(self) -> tempfile.TemporaryDirectory[str]:
        """Open a folder for what is on its way."""
        self.staging.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=self.staging)


def _write(source: BinaryIO, target: Path) -> str | None:
    """Write rows and name them by their sha256; None when there are none."""
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)
        if file.tell() == 0:
            return None
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
