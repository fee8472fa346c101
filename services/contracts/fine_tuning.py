"""`/v1/fine_tuning/jobs` in OpenAI's shape."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from services.contracts.assistants import AssistantName
from services.contracts.datasets import DatasetPolicy
from services.contracts.evaluations import EvaluationState, SetName, Verdict
from services.contracts.files import FileId
from services.contracts.wire import Wire

Auto = Literal["auto"]

Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(max_length=512)],
    ],
    Field(max_length=16),
]
"""Up to 16 pairs of the caller's own."""


Holdout = Annotated[float, Field(ge=0, le=0.5)]
"""The share of the training file that is held out to judge by; 0 holds nothing out."""


class Hyperparameters(Wire):
    """OpenAI's knobs; `auto` takes the recipe's default."""

    n_epochs: Auto | Annotated[int, Field(ge=1, le=50)] = "auto"
    batch_size: Auto | Annotated[int, Field(ge=1, le=256)] = "auto"
    learning_rate_multiplier: Auto | Annotated[float, Field(gt=0, le=100)] = "auto"
    """Times the recipe's learning rate."""


class Supervised(Wire):
    """The settings of supervised fine-tuning."""

    hyperparameters: Hyperparameters = Hyperparameters()


class Method(Wire):
    """How to train; only supervised fine-tuning is built."""

    type: Literal["supervised"] = "supervised"
    supervised: Supervised = Supervised()


class FineTuningJobCreate(Wire):
    """The body of `POST /v1/fine_tuning/jobs`."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    """The base, or an assistant, whose prompt the rows must then carry."""
    training_file: FileId
    validation_file: FileId | None = None
    suffix: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    """Becomes the adapter's name."""
    seed: Annotated[int | None, Field(ge=0, le=2_147_483_647)] = None
    metadata: Metadata | None = None
    method: Method | None = None
    hyperparameters: Hyperparameters | None = None
    """The older place of `method.supervised.hyperparameters`."""
    integrations: Annotated[list[dict[str, Any]] | None, Field(max_length=0)] = None
    """None are built; an empty list is taken."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """LoRA knobs by `extra_body`: rank, alpha, learning_rate, max_length and more."""
    gate: DatasetPolicy = DatasetPolicy()
    """What the training file must meet, by `extra_body`."""
    evaluation: SetName | None = None
    """The set of cases that the model is judged by, by `extra_body`; held-out rows when unset."""
    holdout: Holdout | None = None
    """By `extra_body`; one in ten, at least 20 and at most 200, of 100 or more when unset."""


class Asked(Wire):
    """What a job was asked for through OpenAI's surface, kept to be shown again."""

    model: str
    assistant: AssistantName | None = None
    training_file: FileId
    validation_file: FileId | None = None
    suffix: str | None = None
    metadata: Metadata | None = None
    hyperparameters: Hyperparameters = Hyperparameters()


class TrainingFailure(StrEnum):
    """Why a training fails where neither its rows nor its adapter are to blame."""

    VALIDATION_FILE = "validation_file_invalid"
    """A line of the validation file cannot be read; the message says which, and why."""
    RECIPE_INVALID = "recipe_invalid"
    """A knob of the recipe is unknown or out of range."""
    RECIPE_UNAVAILABLE = "recipe_unavailable"
    """The tuner's machine cannot train so; 4-bit weights need a GPU and bitsandbytes."""
    TOO_MANY_ROWS = "too_many_rows"
    """The file has more rows than a training takes."""
    TOO_LONG = "training_too_long"
    """It is predicted to take longer than a training may."""
    OUT_OF_MEMORY = "out_of_memory"
    """It needs more memory than there is, or than a training may hold."""
    DISK_FULL = "disk_full"
    """There is no room for its files."""
    WORKERS_LOST = "workers_lost"
    """Too many workers fell silent while they worked on it."""
    FAILED = "training_failed"
    """It broke off; the message is the last line that it wrote."""


class JobError(Wire):
    """Why a job failed."""

    code: str
    message: str
    param: str | None = None


class JobEvaluation(Wire):
    """The comparison of a new adapter version with what was there before it."""

    id: str | None
    """The evaluation's; none when there was nothing to ask."""
    cases: SetName | None = None
    """The set: the one that was named, or one that bears the job's id."""
    state: EvaluationState
    verdict: Verdict | None = None
    said: str
    """In plain words."""


class FineTuningJob(Wire):
    """A fine-tuning job."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None
    model: str
    fine_tuned_model: str | None
    """What to call as `model` once it has succeeded: an adapter version."""
    organization_id: str
    """The tenant."""
    status: Literal[
        "validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"
    ]
    training_file: str
    validation_file: str | None
    hyperparameters: Hyperparameters
    method: Method
    seed: int
    trained_tokens: int | None
    error: JobError | None
    result_files: list[str] = Field(default_factory=list)
    integrations: list[dict[str, Any]] = Field(default_factory=list)
    metadata: Metadata | None = None
    estimated_finish: int | None = None
    inkstone: JobEvaluation | None = None
    """Whether the new model is better than what was there, once it is known."""


class FineTuningJobPage(Wire):
    """Jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[FineTuningJob]
    has_more: bool


class FineTuningEvent(Wire):
    """Something that happened to a job."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, Any] | None = None


class FineTuningEventPage(Wire):
    """A job's events, newest first."""

    object: Literal["list"] = "list"
    data: list[FineTuningEvent]
    has_more: bool


class CheckpointMetrics(Wire):
    """What was measured at a checkpoint."""

    step: int | None = None
    train_loss: float | None = None
    full_valid_loss: float | None = None


class FineTuningCheckpoint(Wire):
    """A model that a job left behind."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    step_number: int
    metrics: CheckpointMetrics


class FineTuningCheckpointPage(Wire):
    """A job's checkpoints, newest first: the finished adapter, then earlier ones."""

    object: Literal["list"] = "list"
    data: list[FineTuningCheckpoint]
    first_id: str | None
    last_id: str | None
    has_more: bool = False
