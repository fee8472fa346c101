"""The tuner's settings, read from `INKSTONE_TUNER_*`."""

from __future__ import annotations

import socket
from pathlib import Path

from pydantic import Field, SecretStr

from services.chassis.serving import Listening
from services.chassis.settings import ServiceSettings, settings_config


class Settings(ServiceSettings):
    """Everything that can be set."""

    model_config = settings_config("INKSTONE_TUNER_")

    listening: Listening = Listening(port=8003)
    """Where health and metrics are served."""
    gateway_url: str
    """The gateway's base URL."""
    api_key: SecretStr
    """A key with the `internal` scope."""
    artifacts_url: str
    """The artifact store that the gateway uses too."""
    data_dir: Path
    """Where trainings keep their checkpoints; a restarted worker goes on from there."""
    models_dir: Path | None = None
    """Where the packaged base was prepared."""
    base_model: str = "gemma-3-270m"
    """The base to train on: the packaged one, or a local folder."""
    base_name: str | None = None
    """The base as a person knows it, for manifests; its folder's name when unset."""
    base_license: str | None = None
    """The base's licence, for manifests; what its folder says when unset."""
    end_of_turn: str = "<end_of_turn>"
    """The token that the base's chat template writes after an answer."""
    worker: str = Field(default_factory=lambda: socket.gethostname().split(".")[0] or "tuner")
    """The worker's name in leases."""
    poll_seconds: float = Field(default=5.0, gt=0)
    """How long to wait between two looks for work."""
    report_seconds: float = Field(default=2.0, gt=0)
    """How often a running training's events and progress are told."""
    threads: int = Field(default=1, ge=1)
    """Threads of a training on the CPU."""
    max_rows: int = Field(default=100_000, ge=1)
    """Rows of one training file; a file with more fails its job."""
    max_training_seconds: float = Field(default=86_400.0, gt=0)
    """A training that is predicted to take longer fails before its first step."""
    max_memory_bytes: int | None = Field(default=None, ge=1)
    """What a training may hold; 80 % of the machine's, or of its container's, when unset."""
    memory_look_seconds: float = Field(default=0.25, gt=0)
    """How often that is looked at."""
    min_free_bytes: int = Field(default=1024 * 1024 * 1024, ge=0)
    """Where less room is left in `data_dir`, a job fails before it begins."""
    deliver_seconds: float = Field(default=600.0, gt=0)
    """How long a finished adapter waits for a gateway that is away."""
    claim_seconds: float = Field(default=180.0, ge=0)
    """How long `--once` waits for its job, which a killed worker may still hold."""
    stop_seconds: float = Field(default=20.0, gt=0)
    """How long a cancelled training may take to end before it is killed."""
