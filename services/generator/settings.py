"""The agent's settings: `INKSTONE_GENERATOR_...`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from services.chassis.serving import Listening
from services.chassis.settings import ServiceSettings, SettingsGroup, settings_config
from services.generator.packaged_base import NAME


class EngineSettings(SettingsGroup):
    """How the engine is started; nothing of this is used when `engine_url` names a running one."""

    host: str = "127.0.0.1"
    """The address that the engine listens on; a pod sets 0.0.0.0 behind a NetworkPolicy."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """The port that the engine listens on; any free one when 0."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the engine computes; `auto` takes the GPU when there is one."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """The numbers that the engine computes in."""
    max_model_len: Annotated[int, Field(ge=128)] = 2048
    """The longest prompt with its answer, in tokens."""
    max_num_seqs: Annotated[int, Field(ge=1)] = 32
    """How many answers are generated at once."""
    max_in_flight: Annotated[int, Field(ge=1)] = 256
    """How many requests the engine holds, running and waiting, before it says that it is busy."""
    kv_cache_gib: Annotated[int, Field(ge=1)] = 1
    """Memory for the key-value cache on a CPU, in GiB."""
    cpu_threads: Annotated[int | None, Field(ge=1)] = None
    """Threads that compute on a CPU; all cores but one when not set."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The share of a GPU's memory that the engine takes."""
    chat_template: Path | None = None
    """A chat template for a base that has none of its own."""
    trust_remote_code: bool = False
    """Run Python code that comes with the base; only for a source that you trust."""
    extra_arguments: tuple[str, ...] = ()
    """Further arguments for vLLM's own command line."""
    start_timeout_seconds: Annotated[float, Field(gt=0)] = 1800
    """How long the engine may take to start before it is started again."""
    stop_timeout_seconds: Annotated[float, Field(gt=0)] = 15
    """How long the engine may take to end before it is killed."""
    restart_delay_seconds: Annotated[float, Field(gt=0)] = 1
    """The pause before the engine is started again; doubled after each failure in a row."""
    max_restart_delay_seconds: Annotated[float, Field(gt=0)] = 60
    """The longest pause before the engine is started again."""


class AdapterSettings(SettingsGroup):
    """How adapter versions are loaded, proven and let go."""

    canary_threshold: Annotated[float, Field(ge=0)] = 0.02
    """The least mean shift of log-probabilities from the base by which an adapter has an effect."""
    load_timeout_seconds: Annotated[float, Field(gt=0)] = 120
    """How long the engine may take to load one adapter."""
    retry_delay_seconds: Annotated[float, Field(gt=0)] = 1
    """The pause after a load that failed for want of a connection; doubled each time."""
    max_retry_delay_seconds: Annotated[float, Field(gt=0)] = 30
    """The longest pause between two attempts."""
    drain_grace_seconds: Annotated[float, Field(ge=0)] = 60
    """How long a version stays loaded after it is no longer wanted."""
    file_grace_seconds: Annotated[float, Field(ge=0)] = 600
    """How long a version's files stay on disk after it was unloaded."""
    reconcile_seconds: Annotated[float, Field(gt=0)] = 1
    """The pause between two comparisons of what is wanted with what the engine holds."""


class Settings(ServiceSettings):
    """Everything that the agent can be told."""

    model_config = settings_config("INKSTONE_GENERATOR_")

    listening: Listening = Listening(port=8002)
    """Where the agent answers probes and scrapes."""
    gateway_url: str = "http://127.0.0.1:8000"
    """The gateway that heartbeats go to."""
    api_key: SecretStr
    """The agent's key for the gateway; it needs the scope `internal`."""
    engine_api_key: SecretStr
    """The key that the engine demands; the gateway holds the same."""
    engine_url: str | None = None
    """An engine that runs already, beside the agent; one is started when not set."""
    advertised_engine_url: str | None = None
    """The engine's URL as the gateway reaches it; the agent's own view of it when not set."""
    engine: EngineSettings = EngineSettings()
    """How the engine is started."""
    adapters: AdapterSettings = AdapterSettings()
    """How adapter versions are loaded, proven and let go."""
    base_model: str = NAME
    """The packaged base, a local folder, or a hub id."""
    models_dir: Path = Path(".inkstone/models")
    """Where prepared bases are kept."""
    data_dir: Path = Path(".inkstone/generator")
    """Where the agent keeps adapter files, the engine's log and caches."""
    artifacts_url: str = "file://.inkstone/artifacts"
    """The artifact store that adapters come from."""
    replica: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$")] = Field(
        default_factory=socket.gethostname
    )
    """This replica's name; unique among the gateway's replicas."""
    pool: str = "default"
    """The pool of replicas that this one belongs to."""
    max_loras: Annotated[int, Field(ge=1)] = 4
    """How many distinct adapters the engine serves at the same moment."""
    max_cpu_loras: Annotated[int, Field(ge=1)] = 8
    """How many adapters the engine keeps in memory."""
    max_lora_rank: Annotated[
        Literal[1, 8, 16, 32, 64, 128, 256, 320, 512], BeforeValidator(int)
    ] = 32
    """The highest rank of an adapter that the engine loads."""
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 1
    """The pause between two heartbeats until the gateway names another."""
    heartbeat_timeout_seconds: Annotated[float, Field(gt=0)] = 5
    """How long the gateway may take to answer a heartbeat."""

    @model_validator(mode="after")
    def _slots_fit_memory(self) -> Settings:
        if self.max_cpu_loras < self.max_loras:
            raise ValueError(
                "INKSTONE_GENERATOR_MAX_CPU_LORAS must not be smaller than "
                "INKSTONE_GENERATOR_MAX_LORAS"
            )
        return self
