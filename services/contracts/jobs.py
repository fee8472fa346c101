"""Jobs that a tuner claims with a lease, works on and finishes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from services.contracts.adapters import AdapterName
from services.contracts.assistants import AssistantName, Profile
from services.contracts.datasets import DatasetPolicy
from services.contracts.evaluations import SetName
from services.contracts.fine_tuning import Asked, Holdout, JobEvaluation
from services.contracts.wire import Report, Wire

JobStatus = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]

LEARNING_RATE = 2e-4
"""Of a recipe that does not say; what OpenAI's multiplier multiplies."""

DEFAULT_SEED = 1
"""Of a recipe that does not say."""

ROWS_FILE = "rows.jsonl"
"""The training rows' file name inside a job's input folder."""

VALIDATION_FILE = "validation.jsonl"
"""The name of the rows that are only measured, where there are any."""


CASES_FILE = "cases.jsonl"
"""The name of the cases of an evaluation: given by its set, or made of held-out rows."""


class TrainingSpec(Wire):
    """What to train."""

    adapter: AdapterName
    """The name of the adapter; the result becomes a new version of it."""
    profile: Profile | None
    """The profile that the adapter will be served with; None when only the rows know."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """LoRA and optimiser knobs; the tuner refuses those that it does not know."""
    description: str = ""
    gate: DatasetPolicy = DatasetPolicy()
    """What the rows must meet before they are trained on."""
    assistant: AssistantName | None = None
    """The assistant whose stable release it is compared with; the plain base when unset."""
    grounded: bool = False
    """Whether it will be served with retrieved passages."""
    evaluation: SetName | None = None
    """The set of cases that it is judged by; held-out rows when unset."""
    holdout: Holdout | None = None
    asked: Asked | None = None
    """How it was asked for through OpenAI's surface."""


class TrainingProgress(Report):
    """How far a training is."""

    step: int
    of: int
    loss: float | None = None
    trained_tokens: int = 0
    eta_seconds: float | None = None
    valid_loss: float | None = None
    """Of the rows that are only measured, as last measured."""


class TrainingEvent(Report):
    """Something that happened while a worker had a job."""

    number: int
    """Counted from 1 in each attempt; saying it again changes nothing."""
    at: float
    """Seconds since the epoch."""
    level: Literal["info", "warn", "error"] = "info"
    message: str
    data: dict[str, Any] | None = None
    """Measured figures."""


class TrainedCheckpoint(Report):
    """An adapter as it was at a step of the training."""

    step: int
    train_loss: float | None = None
    valid_loss: float | None = None
    adapter_version: str | None = None
    """Known once it is registered."""


class TrainingJob(Wire):
    """One training job."""

    id: str
    object: Literal["training.job"] = "training.job"
    status: JobStatus
    spec: TrainingSpec
    created_at: int
    created_by: str
    tenant: str
    finished_at: int | None = None
    worker: str | None = None
    attempts: int = 0
    """How often a worker has claimed it; a killed worker's job is claimed again."""
    progress: TrainingProgress | None = None
    adapter_version: str | None = None
    """The version that it made."""
    checkpoints: list[TrainedCheckpoint] = Field(default_factory=list)
    """Earlier ones that were kept, by step."""
    result_files: list[str] = Field(default_factory=list)
    """Ids of files: the losses as a table, and their picture."""
    evaluation: JobEvaluation | None = None
    """The comparison with what was there before."""
    error: str | None = None
    error_code: str | None = None
    cancel_requested: bool = False
    pause_requested: bool = False
    version: int = 1
    """Grows with every change but its progress; send it back as `If-Match` to move what you saw."""


class TrainingJobPage(Wire):
    """Jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[TrainingJob]
    has_more: bool = False


class JobClaim(Report):
    """A worker asks for work."""

    worker: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$")]
    job: Annotated[str | None, Field(max_length=32)] = None
    """The only job that it takes; any when unset."""


class Lease(Wire):
    """A claimed job and for how long it is the worker's."""

    job: TrainingJob
    input_key: str
    """Where the rows lie in the artifact store."""
    output_key: str
    """Where the worker puts the finished adapter; `<output_key>-<step>` is for a kept one."""
    report_key: str
    """Where the worker puts the losses and the cases made of held-out rows."""
    lease_seconds: float


class LeaseRenewal(Report):
    """A worker says that it is still at it."""

    worker: str
    progress: TrainingProgress | None = None
    events: list[TrainingEvent] = Field(default_factory=list)
    """What has happened since the last renewal that was heard."""


class LeaseState(Wire):
    """What the gateway says to a renewal."""

    held: bool
    """False when the job is somebody else's by now: stop and throw the work away."""
    cancel_requested: bool
    pause_requested: bool = False


class JobResult(Report):
    """How a job ended; on success the adapter lies under the lease's output key."""

    worker: str
    status: Literal["succeeded", "failed", "cancelled", "paused"]
    error: str | None = None
    code: str | None = None
    """What kind of failure it was."""
    progress: TrainingProgress | None = None
    checkpoints: list[TrainedCheckpoint] = Field(default_factory=list)
    """Those that were kept, without the finished adapter."""
    events: list[TrainingEvent] = Field(default_factory=list)


class JobsAsked(Report):
    """A worker names the jobs whose files it still has."""

    jobs: Annotated[list[Annotated[str, Field(max_length=255)]], Field(max_length=1000)]


class JobsOver(Wire):
    """Those of the jobs that have ended or are not known: their files are of no use any more."""

    jobs: list[str]
