"""Jobs that a tuner claims with a lease, works on and finishes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from services.contracts.adapters import AdapterName
from services.contracts.assistants import Profile
from services.contracts.datasets import DatasetPolicy
from services.contracts.wire import Wire

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]

ROWS_FILE = "rows.jsonl"
"""The training rows' file name inside a job's input folder."""


class TrainingSpec(Wire):
    """What to train."""

    adapter: AdapterName
    """The name of the adapter; the result becomes a new version of it."""
    profile: Profile
    """The profile that the adapter will be served with."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """LoRA and optimiser knobs; the tuner refuses those that it does not know."""
    description: str = ""
    gate: DatasetPolicy = DatasetPolicy()
    """What the rows must meet before they are trained on."""


class TrainingProgress(Wire):
    """How far a training is."""

    step: int
    of: int
    loss: float | None = None
    trained_tokens: int = 0
    eta_seconds: float | None = None


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
    error: str | None = None
    cancel_requested: bool = False


class TrainingJobPage(Wire):
    """Jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[TrainingJob]
    has_more: bool = False


class JobClaim(Wire):
    """A worker asks for work."""

    worker: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$")]


class Lease(Wire):
    """A claimed job and for how long it is the worker's."""

    job: TrainingJob
    input_key: str
    """Where the rows lie in the artifact store."""
    output_key: str
    """Where the worker puts the finished adapter."""
    lease_seconds: float


class LeaseRenewal(Wire):
    """A worker says that it is still at it."""

    worker: str
    progress: TrainingProgress | None = None


class LeaseState(Wire):
    """What the gateway says to a renewal."""

    held: bool
    """False when the job is somebody else's by now: stop and throw the work away."""
    cancel_requested: bool


class JobResult(Wire):
    """How a job ended; on success the adapter lies under the lease's output key."""

    worker: str
    status: Literal["succeeded", "failed", "cancelled"]
    error: str | None = None
