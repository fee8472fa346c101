"""OpenAI's fine-tuning jobs, carried by training jobs."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from services.chassis.errors import InvalidRequest, NotFound
from services.contracts.fine_tuning import (
    Asked,
    CheckpointMetrics,
    FineTuningCheckpoint,
    FineTuningEvent,
    FineTuningJob,
    FineTuningJobCreate,
    Hyperparameters,
    JobError,
    Method,
    Supervised,
    TrainingFailure,
)
from services.contracts.jobs import (
    DEFAULT_SEED,
    LEARNING_RATE,
    ROWS_FILE,
    VALIDATION_FILE,
    TrainedCheckpoint,
    TrainingJob,
    TrainingSpec,
)
from services.gateway.knowledge.files import content_key
from services.gateway.registry import files, tables, training_events, training_jobs
from services.gateway.registry.changes import Actor
from services.gateway.registry.idempotency import Attempt
from services.gateway.registry.paging import Page
from services.gateway.resolution import ModelNotFound, bases
from services.gateway.training import TrainingDesk

PURPOSE = "fine-tune"

_FOREIGN = re.compile(r"[^a-z0-9._-]+")


class WrongPurpose(InvalidRequest):
    """The file was not uploaded to be trained on."""

    code = "wrong_purpose"


@dataclass(frozen=True, slots=True)
class FineTuningDesk:
    """Translates between OpenAI's jobs and ours."""

    training: TrainingDesk

    async def create(
        self, actor: Actor, write: FineTuningJobCreate, attempt: Attempt | None
    ) -> FineTuningJob:
        """Queue a job on an uploaded file.

        Raises:
            ModelNotFound: the model is neither the base nor an assistant.
            UnknownFile: the tenant has no such file.
            WrongPurpose: the file is for something else.
        """
        spec = self._spec(actor, write)
        with self.training.folder() as name:
            digest = hashlib.sha256()
            for param, file, target in (
                ("training_file", write.training_file, ROWS_FILE),
                ("validation_file", write.validation_file, VALIDATION_FILE),
            ):
                if file is not None:
                    digest.update(f"{param} {file}\n".encode())
                    await self._fetch(actor, param, file, Path(name) / target)
            job = await self.training.queue_folder(
                actor, spec, Path(name), digest.hexdigest(), attempt
            )
        return job_of(job, self._now)

    async def steer(
        self,
        actor: Actor,
        job_id: str,
        action: Literal["cancel", "pause", "resume"],
        attempt: Attempt | None,
    ) -> FineTuningJob:
        """Cancel, pause or resume a job."""
        return job_of(await self.training.steer(actor, job_id, action, attempt), self._now)

    async def one(self, tenant: str, job_id: str) -> FineTuningJob:
        """Describe a job.

        Raises:
            NotFound: the tenant has no such job.
        """
        job = await training_jobs.one(self.training.registry, tenant, job_id)
        return job_of(job, self._now)

    async def listed(
        self, tenant: str, page: Page, metadata: Mapping[str, str] | None
    ) -> tuple[Sequence[FineTuningJob], bool]:
        """List jobs, newest first, and whether there are more.

        Args:
            metadata: pairs that a job must carry; None for all jobs.
        """
        kept = tables.training_jobs.c.spec["asked"]["metadata"]
        wanted = [kept[key].as_string() == value for key, value in (metadata or {}).items()]
        jobs, more = await training_jobs.listed(self.training.registry, tenant, page, *wanted)
        return [job_of(job, self._now) for job in jobs], more

    async def events(
        self, tenant: str, job_id: str, page: Page
    ) -> tuple[Sequence[FineTuningEvent], bool]:
        """List what happened to a job, newest first, and whether there is more."""
        await training_jobs.one(self.training.registry, tenant, job_id)
        return await training_events.listed(self.training.registry, job_id, page)

    async def checkpoints(self, tenant: str, job_id: str) -> list[FineTuningCheckpoint]:
        """List the models that a job left behind: the finished one, then earlier ones."""
        job = await training_jobs.one(self.training.registry, tenant, job_id)
        if job.adapter_version is None:
            return []
        at = job.progress
        last = TrainedCheckpoint(
            step=at.step if at else 0,
            train_loss=at.loss if at else None,
            valid_loss=at.valid_loss if at else None,
            adapter_version=job.adapter_version,
        )
        return [_checkpoint_of(job, one) for one in (last, *reversed(job.checkpoints))]

    @property
    def _now(self) -> float:
        return self.training.registry.clock()

    def _spec(self, actor: Actor, write: FineTuningJobCreate) -> TrainingSpec:
        snapshot = self.training.registry.keeper.current
        assistant = snapshot.assistants.get((actor.tenant, write.model))
        if assistant is None and write.model not in bases(snapshot):
            raise ModelNotFound(write.model)
        knobs = write.method.supervised.hyperparameters if write.method else write.hyperparameters
        knobs = knobs or Hyperparameters()
        return TrainingSpec(
            adapter=_adapter_name(write.suffix or write.model),
            profile=assistant.stable.profile if assistant else None,
            recipe={**_recipe(knobs, write.seed), **write.recipe},
            gate=write.gate,
            assistant=write.model if assistant else None,
            grounded=bool(assistant and assistant.stable.retrieval),
            evaluation=write.evaluation,
            holdout=write.holdout,
            asked=Asked(
                model=write.model,
                assistant=write.model if assistant else None,
                training_file=write.training_file,
                validation_file=write.validation_file,
                suffix=write.suffix,
                metadata=write.metadata,
                hyperparameters=knobs,
            ),
        )

    async def _fetch(self, actor: Actor, param: str, file_id: str, target: Path) -> None:
        try:
            file = await files.one(self.training.registry, actor.tenant, file_id)
        except NotFound as error:
            raise InvalidRequest(error.message, code="file_not_found", param=param) from error
        if file.purpose != PURPOSE:
            raise WrongPurpose(
                f"The file {file_id!r} was uploaded for {file.purpose!r}; upload it again with "
                f"purpose={PURPOSE!r}.",
                param=param,
            )
        with target.open("wb") as out:
            async for block in self.training.artifacts.blocks(content_key(file_id)):
                await asyncio.to_thread(out.write, block)


def job_of(job: TrainingJob, now: float) -> FineTuningJob:
    """Show a training job in OpenAI's shape."""
    asked, at = job.spec.asked, job.progress
    knobs = asked.hyperparameters if asked else Hyperparameters()
    running = job.status == "running"
    finish = None
    if running and at is not None and at.eta_seconds is not None:
        finish = int(now + at.eta_seconds)
    return FineTuningJob(
        id=job.id,
        created_at=job.created_at,
        finished_at=job.finished_at,
        model=asked.model if asked else job.spec.adapter,
        fine_tuned_model=job.adapter_version,
        organization_id=job.tenant,
        status="validating_files" if running and at is None else job.status,
        training_file=asked.training_file if asked else "",
        validation_file=asked.validation_file if asked else None,
        hyperparameters=knobs,
        method=Method(supervised=Supervised(hyperparameters=knobs)),
        seed=_seed_of(job.spec.recipe),
        trained_tokens=at.trained_tokens if at and job.status == "succeeded" else None,
        error=_error_of(job),
        metadata=asked.metadata if asked else None,
        estimated_finish=finish,
        result_files=job.result_files,
        inkstone=job.evaluation,
    )


def _seed_of(recipe: Mapping[str, Any]) -> int:
    """Read the seed of a recipe that no tuner has looked at yet; what is none fails the job."""
    try:
        return int(recipe.get("seed", DEFAULT_SEED))
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_SEED


def _checkpoint_of(job: TrainingJob, one: TrainedCheckpoint) -> FineTuningCheckpoint:
    name = job.id.removeprefix("job_")
    assert one.adapter_version is not None
    return FineTuningCheckpoint(
        id=f"ftckpt_{name}_{one.step}",
        created_at=job.finished_at or job.created_at,
        fine_tuned_model_checkpoint=one.adapter_version,
        fine_tuning_job_id=job.id,
        step_number=one.step,
        metrics=CheckpointMetrics(
            step=one.step, train_loss=one.train_loss, full_valid_loss=one.valid_loss
        ),
    )


_PARAMS: Mapping[str, str | None] = {
    TrainingFailure.VALIDATION_FILE: "validation_file",
    TrainingFailure.RECIPE_INVALID: "recipe",
    TrainingFailure.RECIPE_UNAVAILABLE: "recipe",
    TrainingFailure.TOO_LONG: "hyperparameters",
    TrainingFailure.OUT_OF_MEMORY: "recipe",
    TrainingFailure.DISK_FULL: None,
    TrainingFailure.WORKERS_LOST: None,
    TrainingFailure.FAILED: None,
}
"""What a failure is about; any other code is the gate's or the examination's."""


def _error_of(job: TrainingJob) -> JobError | None:
    if job.status != "failed":
        return None
    code = job.error_code or TrainingFailure.FAILED
    about = None if code.startswith("adapter_") else _PARAMS.get(code, "training_file")
    return JobError(code=code, message=job.error or "The training failed.", param=about)


def _recipe(knobs: Hyperparameters, seed: int | None) -> dict[str, Any]:
    recipe: dict[str, Any] = {} if seed is None else {"seed": seed}
    if knobs.n_epochs != "auto":
        recipe["epochs"] = knobs.n_epochs
    if knobs.batch_size != "auto":
        recipe["batch"] = knobs.batch_size
    if knobs.learning_rate_multiplier != "auto":
        recipe["learning_rate"] = LEARNING_RATE * knobs.learning_rate_multiplier
    return recipe


def _adapter_name(wanted: str) -> str:
    """Make an adapter's name of a suffix in any script."""
    name = _FOREIGN.sub("-", wanted.lower()).strip("-._")[:63]
    return name or f"ft-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
