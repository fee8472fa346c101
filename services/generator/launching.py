"""The engine's command line and environment."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.chassis.tracing import PROTOCOL
from services.generator.guard import KEY_VARIABLE

Device = Literal["cpu", "cuda"]

_SERVERS = {"cpu": "services.generator.cpu_engine", "cuda": "vllm.entrypoints.openai.api_server"}
_GUARD = "services.generator.guard.RouteGuard"
_DETECTION_TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """What the engine is to be started with."""

    folder: Path
    """The base."""
    served_name: str
    host: str
    port: int
    api_key: str
    cache_dir: Path
    """Where the engine keeps what makes its next start quicker."""
    device: Device
    max_loras: int
    max_cpu_loras: int
    max_lora_rank: int
    max_model_len: int
    max_num_seqs: int
    max_in_flight: int
    kv_cache_gib: int
    cpu_threads: int
    gpu_memory_utilization: float
    dtype: str = "auto"
    chat_template: Path | None = None
    trust_remote_code: bool = False
    extra_arguments: Sequence[str] = ()
    traces_endpoint: str | None = None
    """Where the engine's spans go, by HTTP."""


def command(plan: EnginePlan) -> list[str]:
    """Write the command line; secrets go by the environment, where `ps` does not show them."""
    arguments: dict[str, object] = {
        "--model": plan.folder,
        "--served-model-name": plan.served_name,
        "--host": plan.host,
        "--port": plan.port,
        "--middleware": _GUARD,
        "--dtype": plan.dtype,
        "--max-model-len": plan.max_model_len,
        "--max-num-seqs": plan.max_num_seqs,
        "--max-num-queued-reqs": plan.max_in_flight,
        "--max-loras": plan.max_loras,
        "--max-cpu-loras": plan.max_cpu_loras,
        "--max-lora-rank": plan.max_lora_rank,
        "--scheduling-policy": "priority",
    }
    switches = [
        "--enable-lora",
        "--enable-prefix-caching",
        "--enable-force-include-usage",
        "--enable-prompt-tokens-details",
        "--disable-uvicorn-access-log",
    ]
    if plan.device == "cpu":
        # One process less to start and to hold in memory; see `environment` for its threads.
        arguments["--distributed-executor-backend"] = "uni"
        switches.append("--enforce-eager")
    else:
        arguments["--gpu-memory-utilization"] = plan.gpu_memory_utilization
    if plan.chat_template:
        arguments["--chat-template"] = plan.chat_template
    if plan.trust_remote_code:
        switches.append("--trust-remote-code")
    if plan.traces_endpoint:
        arguments["--otlp-traces-endpoint"] = plan.traces_endpoint
    pairs = [str(part) for pair in arguments.items() for part in pair]
    server = _SERVERS[plan.device]
    return [sys.executable, "-m", server, *pairs, *switches, *plan.extra_arguments]


def environment(plan: EnginePlan, inherited: Mapping[str, str]) -> dict[str, str]:
    """Write the engine's environment: what is inherited, without Inkstone's own settings."""
    kept = {name: value for name, value in inherited.items() if not name.startswith("INKSTONE_")}
    own = {
        KEY_VARIABLE: plan.api_key,
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_CACHE_ROOT": str(plan.cache_dir / "vllm"),
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # The base is always a local folder by now.
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": _python_path(kept.get("PYTHONPATH")),
    }
    if plan.device == "cpu":
        own |= {
            "VLLM_TARGET_DEVICE": "cpu",
            "VLLM_CPU_KVCACHE_SPACE": str(plan.kv_cache_gib),
            # A thread bound to a core waits there while a neighbour holds it.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(plan.cpu_threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            # Otherwise the first request with log-probabilities waits for a C++ compiler.
            "TORCHDYNAMO_DISABLE": "1",
            # Without this the engine insists on a worker process of its own.
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        }
    if plan.traces_endpoint:
        # Its own default is gRPC. Its spans continue those of the request's `traceparent`.
        own |= {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": PROTOCOL}
        kept.setdefault("OTEL_SERVICE_NAME", "inkstone-engine")
    return kept | own | _bytecode(kept, plan.cache_dir)


def detect_device() -> Device:
    """Find out whether there is a CUDA device, without importing torch."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "cpu"
    try:
        found = subprocess.run(  # noqa: S603 - the path is the system's own
            [program, "-L"], capture_output=True, timeout=_DETECTION_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "cuda" if found.returncode == 0 and b"GPU" in found.stdout else "cpu"


def default_cpu_threads() -> int:
    """Leave one core to the HTTP server and the other services."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def _python_path(inherited: str | None) -> str:
    """Let the engine import the guard wherever it is started."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(part for part in (root, inherited) if part)


def _bytecode(inherited: Mapping[str, str], cache_dir: Path) -> dict[str, str]:
    """Keep compiled bytecode where nothing else does; importing from source doubles the start."""
    if not inherited.get("PYTHONDONTWRITEBYTECODE") or inherited.get("PYTHONPYCACHEPREFIX"):
        return {}
    package = importlib.util.find_spec("vllm")
    if package is None or package.origin is None:
        return {}
    if Path(importlib.util.cache_from_source(package.origin)).exists():
        return {}
    return {
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(cache_dir / "bytecode"),
    }
