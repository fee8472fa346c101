"""Training jobs as the gateway sees them: rows in, an adapter version out."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Literal

import structlog

from services.chassis.artifacts import ArtifactStore
from services.chassis.errors import InvalidRequest, NotFound, ServiceError
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.fine_tuning import JobEvaluation
from services.contracts.jobs import (
    CASES_FILE,
    ROWS_FILE,
    JobClaim,
    JobResult,
    Lease,
    LeaseRenewal,
    LeaseState,
    TrainedCheckpoint,
    TrainingJob,
    TrainingSpec,
)
from services.domain.evaluation.cases import CasesError, read_cases
from services.gateway.adapters.examination import Labels
from services.gateway.adapters.importing import copy_adapter
from services.gateway.adapters.intake import AdapterIntake
from services.gateway.evaluation.trainings import TrainingJudge
from services.gateway.knowledge.files import content_key
from services.gateway.registry import (
    evaluation_sets,
    files,
    idempotency,
    training_jobs,
    training_leases,
)
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.files import NewFile
from services.gateway.registry.idempotency import Attempt
from services.gateway.registry.training_jobs import JobLimits, Made
from services.gateway.registry.versions import Expected

_MOST_CASES = 10_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingDesk:
    """Takes training jobs in and their adapters over."""

    registry: Registry
    artifacts: ArtifactStore
    intake: AdapterIntake
    judge: TrainingJudge
    limits: JobLimits
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

        Raises:
            EvaluationSetNotFound: the set that the job names is not there.
            TooManyJobs: the tenant has as many jobs as it may.
        """
        if spec.evaluation is not None:
            await self._write_cases(actor, spec.evaluation, folder / CASES_FILE)
        job_id = training_jobs.new_job_id()
        await self.artifacts.put_folder(training_jobs.input_folder(job_id), folder)
        what = f"train {digest} {spec.model_dump_json()}"
        queued = None
        try:
            async with self.registry.change(actor) as change:
                act = partial(training_jobs.queue, change, job_id, spec, self.limits)
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

            what = f"{action} {job_id}"
            job = await idempotency.once(change, attempt, what, act, TrainingJob)
        if training_jobs.is_over(job.status):
            await self._forget(job_id)
        return job

    async def claim(self, actor: Actor, wish: JobClaim) -> Lease | None:
        """Give a worker a job, or nothing."""
        lease, hopeless = await training_leases.claim(self.registry, actor, wish, self.limits)
        for job_id in hopeless:
            await self._forget(job_id)
        return lease

    async def renew(self, actor: Actor, job_id: str, renewal: LeaseRenewal) -> LeaseState:
        """Prolong a worker's lease."""
        return await training_leases.renew(self.registry, actor, job_id, renewal, self.limits)

    async def finish(self, actor: Actor, job_id: str, result: JobResult) -> None:
        """Write how a job ended; an adapter that it made is examined like any other.

        One that may not be registered fails the job, with the reason. One that may is compared with
        what was there before.

        Raises:
            Conflict: when the job is not the worker's any more.
        """
        job = await training_leases.held_by(self.registry, job_id, result.worker)
        made, cases = Made(), list[EvaluationCase]()
        if result.status == "succeeded":
            if job.status != "running":
                return await self._heard_before(job, result)
            try:
                made, cases = await self._take_over(job, result)
            except ServiceError as error:
                if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                again = await training_leases.held_by(self.registry, job_id, result.worker)
                if again.status != "running":
                    return await self._heard_before(again, result)
                refused = {"status": "failed", "error": error.message, "code": error.code}
                result = result.model_copy(update=refused)

        async def judged(change: Change) -> JobEvaluation | None:
            return await self.judge.begin(change, job, str(made.adapter_version), cases)

        status = await training_jobs.finish(self.registry, actor, job, result, made, judged)
        if training_jobs.is_over(status):
            await self._forget(job_id)
        return None

    async def _heard_before(self, job: TrainingJob, result: JobResult) -> None:
        """Take a result that is told again, of a job whose files may be gone by now."""
        if job.status != result.status:
            raise training_jobs.lost(job.id)
        await self._forget(job.id)

    async def _forget(self, job_id: str) -> None:
        """Remove what a job that has ended left in the store: its rows, and what was taken over."""
        try:
            await self.artifacts.delete_folder(training_jobs.folder(job_id))
        except OSError:
            _log.exception("training.files_left", job=job_id)

    async def _take_over(
        self, job: TrainingJob, result: JobResult
    ) -> tuple[Made, list[EvaluationCase]]:
        kept = []
        for one in result.checkpoints:
            key = f"{training_jobs.output_folder(job)}-{one.step}"
            version = await self._registered(job, key)
            kept.append(one.model_copy(update={"adapter_version": version}))
        version = await self._registered(job, training_jobs.output_folder(job))
        result_files, cases = await self._report(job)
        return Made(version, _distinct(kept, version), result_files), cases

    async def _registered(self, job: TrainingJob, key: str) -> str:
        with self.folder() as folder:
            made = Path(folder) / "adapter"
            await self.artifacts.fetch_folder(key, made)
            labels = Labels(job.spec.adapter, job.spec.description or None)

            def fill(target: Path) -> None:
                copy_adapter(str(made), target, roots=[made], limits=self.intake.limits)

            version, _ = await self.intake.register(_owner(job), fill, labels, None)
        return version.id

    async def _report(self, job: TrainingJob) -> tuple[list[str], list[EvaluationCase]]:
        """Keep the losses as files of the tenant, and read the cases made of held-out rows."""
        with self.folder() as folder:
            report = Path(folder) / "report"
            try:
                await self.artifacts.fetch_folder(training_jobs.report_folder(job), report)
            except NotFound:
                return [], []
            told = sorted(path for path in report.iterdir() if path.name != CASES_FILE)
            kept = [await self._keep(job, path) for path in told]
            return kept, await asyncio.to_thread(_cases_in, report / CASES_FILE)

    async def _keep(self, job: TrainingJob, path: Path) -> str:
        # Named by the job, so that a result that is told twice is kept once.
        digest = hashlib.sha256(f"{job.id} {job.attempts} {path.name}".encode()).hexdigest()
        file_id = f"file-{digest[:24]}"
        with path.open("rb") as source:
            await self.artifacts.put_file(content_key(file_id), source)
            size = source.tell()
        new = NewFile(f"{job.id}-{path.name}", "fine-tune-results", size, None)
        async with self.registry.change(_owner(job)) as change:
            await files.keep_result(change, file_id, new)
        return file_id

    async def _write_cases(self, actor: Actor, name: str, target: Path) -> None:
        async with self.registry.database.read() as connection:
            found = await evaluation_sets.find(connection, actor.tenant, name)
            cases = await evaluation_sets.cases_of(
                connection, actor.tenant, name, found.dataset_hash
            )
        lines = [case.model_dump_json(exclude_defaults=True) + "\n" for case in cases]
        await asyncio.to_thread(target.write_text, "".join(lines), "utf-8")

    def folder(self) -> tempfile.TemporaryDirectory[str]:
        """Open a folder for what is on its way."""
        self.staging.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=self.staging)


def _owner(job: TrainingJob) -> Actor:
    return Actor(job.tenant, job.created_by, f"made by {job.id}")


def _distinct(kept: Sequence[TrainedCheckpoint], version: str) -> list[TrainedCheckpoint]:
    """Leave out checkpoints that are the finished adapter itself."""
    return [one for one in kept if one.adapter_version != version]


def _cases_in(file: Path) -> list[EvaluationCase]:
    """Read the cases that a training made; none where it made none, or something else."""
    if not file.is_file():
        return []
    try:
        return read_cases(file.read_text("utf-8"), most=_MOST_CASES)
    except (CasesError, UnicodeDecodeError):
        return []


def _write(source: BinaryIO, target: Path) -> str | None:
    """Write rows and name them by their sha256; None when there are none."""
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)
        if file.tell() == 0:
            return None
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
