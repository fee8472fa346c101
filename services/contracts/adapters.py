"""Adapter versions, what replicas should hold, and what they prove to hold."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from services.contracts.datasets import Finding
from services.contracts.wire import Report, Wire

AdapterName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""An adapter's name; its versions are `name@<12 hex of sha256>`."""

AdapterVersionId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}@[0-9a-f]{12}$")]
"""An immutable, content-addressed adapter version."""

MANIFEST_FILE = "inkstone.json"
"""The manifest's file name inside an adapter directory."""

CONFIG_FILE = "adapter_config.json"
"""PEFT's own configuration file."""

WEIGHTS_FILE = "adapter_model.safetensors"
"""PEFT's own weights file."""


class TrainingRecord(Wire):
    """How an adapter came to be, as far as it is known."""

    system_prompt_hash: str | None = None
    """12 hex of the sha256 of the system text it was trained with."""
    chat_template_hash: str | None = None
    base_fingerprint: str | None = None
    """12 hex that name the base's weights and tokenizer."""
    dataset_hash: str | None = None
    recipe: dict[str, Any] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    command: str | None = None
    """The exact command that retrains it."""
    metrics: dict[str, float] = Field(default_factory=dict)
    findings: list[Finding] = Field(default_factory=list)
    """What the data set gate warned of."""


class AdapterManifest(Wire):
    """What an adapter directory says of itself in `inkstone.json`."""

    name: AdapterName
    description: str = ""
    base_model: str
    """The base as a person knows it, for example `google/gemma-3-270m`."""
    license: str = "unknown"
    training: TrainingRecord = TrainingRecord()


class AdapterEvidence(Wire):
    """What an evaluation said of an adapter version."""

    evaluation: str
    """The evaluation's id."""
    assistant: str
    """The assistant, or the job, under whose prompt it was asked."""
    cases: str
    """The set."""
    verdict: Literal["adopt", "reject", "insufficient"]
    reason: str
    finished_at: int


class AdapterVersion(Wire):
    """One registered, immutable adapter version."""

    id: AdapterVersionId
    object: Literal["adapter.version"] = "adapter.version"
    name: AdapterName
    content_hash: str
    """sha256 over the configuration's and the weights' own sha256."""
    rank: int
    target_modules: list[str]
    bytes: int
    state: Literal["registered", "retired"]
    created_at: int
    created_by: str
    manifest: AdapterManifest
    version: int = 1
    """Grows when it is retired or restored; send it back as `If-Match` to change what you saw."""
    files: Literal["kept", "removing", "removed"] = "kept"
    """Those of one that was retired for long are removed; registering it stores them again."""
    replicas: dict[str, ReplicaAdapter] = Field(default_factory=dict)
    """By replica id: what each replica last proved of this version."""
    evidence: list[AdapterEvidence] = Field(default_factory=list)
    """Only when one version is read: what evaluations said of it, newest first."""


class AdapterImport(Wire):
    """The JSON body of `POST /admin/adapters`: an adapter that lies in an import folder."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    """The adapter's directory on the gateway's machine, inside an allowed import folder."""
    name: AdapterName | None = None
    """The name to register it under; its manifest's name when left out."""
    description: Annotated[str | None, Field(max_length=1024)] = None


class AdapterVersionPage(Wire):
    """Adapter versions, newest first."""

    object: Literal["list"] = "list"
    data: list[AdapterVersion]
    has_more: bool = False


class ReplicaAdapterState(StrEnum):
    """Where one adapter version stands on one replica."""

    PENDING = "pending"
    LOADING = "loading"
    PROVEN = "proven"
    FAILED = "failed"
    UNLOADING = "unloading"


class ReplicaAdapter(Report):
    """One adapter version on one replica."""

    state: ReplicaAdapterState
    reason: str | None = None
    """Why it failed, in one sentence."""
    load_seconds: float | None = None
    canary_shift: float | None = None
    """Mean absolute log-probability difference from the base over the probe prompts."""


class DesiredAdapter(Wire):
    """One adapter version that every replica of the pool should hold."""

    id: AdapterVersionId
    content_hash: str
    pinned: bool
    """True when a stable release serves it: a replica without it is not ready."""


class ReplicaReport(Report):
    """A replica's heartbeat to the gateway."""

    replica: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$")]
    pool: str = "default"
    endpoint: str
    """The engine's base URL, reachable from the gateway."""
    engine: Literal["starting", "ready", "down"]
    engine_started_at: float | None
    base_model: str
    """The name under which the engine serves its base."""
    base_fingerprint: str
    chat_template_hash: str
    max_model_len: int
    max_loras: int
    max_cpu_loras: int
    max_lora_rank: int
    adapters: dict[str, ReplicaAdapter]
    """By adapter version id."""


class ReplicaOrders(Wire):
    """The gateway's answer to a heartbeat."""

    desired: list[DesiredAdapter]
    heartbeat_seconds: float


class Replica(ReplicaReport):
    """A replica as an operator sees it."""

    object: Literal["replica"] = "replica"
    last_heartbeat_at: float
    live: bool
    ready: bool
    in_flight: int


class ReplicaPage(Wire):
    """Every replica that has reported."""

    object: Literal["list"] = "list"
    data: list[Replica]
    has_more: bool = False


AdapterVersion.model_rebuild()
