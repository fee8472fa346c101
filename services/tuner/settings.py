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
    stop_seconds: float = Field(default=20.0, gt=0)
    """How long a cancelled training may take to end before it is killed."""
