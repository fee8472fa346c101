"""The engine's command line and environment."""

import dataclasses
from pathlib import Path

import pytest

from services.generator.launching import (
    EnginePlan,
    command,
    default_cpu_threads,
    detect_device,
    environment,
)

PLAN = EnginePlan(
    folder=Path("/models/base"),
    served_name="base",
    host="127.0.0.1",
    port=9000,
    api_key="s3cret",
    cache_dir=Path("/cache"),
    device="cpu",
    max_loras=2,
    max_cpu_loras=5,
    max_lora_rank=16,
    max_model_len=1024,
    max_num_seqs=7,
    max_in_flight=9,
    kv_cache_gib=3,
    cpu_threads=4,
    gpu_memory_utilization=0.8,
)
GPU = dataclasses.replace(PLAN, device="cuda")


def option(plan: EnginePlan, name: str) -> str:
    line = command(plan)
    return line[line.index(name) + 1]


@pytest.mark.parametrize("plan", [PLAN, GPU])
def test_the_key_stands_in_the_environment_and_never_in_the_command_line(plan: EnginePlan) -> None:
    assert "s3cret" not in " ".join(command(plan))
    assert environment(plan, {})["VLLM_API_KEY"] == "s3cret"


@pytest.mark.parametrize("plan", [PLAN, GPU])
def test_the_guard_stands_before_the_engine(plan: EnginePlan) -> None:
    assert option(plan, "--middleware") == "services.generator.guard.RouteGuard"
    root = environment(plan, {"PYTHONPATH": "/elsewhere"})["PYTHONPATH"].split(":")
    assert (Path(root[0]) / "services/generator/guard.py").is_file()
    assert root[1] == "/elsewhere"


def test_the_limits_reach_the_engine() -> None:
    assert option(PLAN, "--max-loras") == "2"
    assert option(PLAN, "--max-cpu-loras") == "5"
    assert option(PLAN, "--max-lora-rank") == "16"
    assert option(PLAN, "--max-model-len") == "1024"
    assert option(PLAN, "--max-num-seqs") == "7"
    assert option(PLAN, "--max-num-queued-reqs") == "9"
    assert environment(PLAN, {})["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert environment(PLAN, {})["OMP_NUM_THREADS"] == "4"
    assert option(GPU, "--gpu-memory-utilization") == "0.8"


def test_adapters_can_change_at_run_time_and_nothing_is_told_to_anybody() -> None:
    assert "--enable-lora" in command(PLAN)
    given = environment(PLAN, {})
    assert given["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert (given["VLLM_NO_USAGE_STATS"], given["DO_NOT_TRACK"]) == ("1", "1")
    assert given["HF_HUB_OFFLINE"] == "1"


def test_a_gpu_engine_is_not_started_as_a_cpu_engine_is() -> None:
    assert option(PLAN, "-m") == "services.generator.cpu_engine"
    assert option(GPU, "-m") == "vllm.entrypoints.openai.api_server"
    assert "--enforce-eager" in command(PLAN)
    assert "--enforce-eager" not in command(GPU)
    assert "VLLM_TARGET_DEVICE" not in environment(GPU, {})
    assert "OMP_NUM_THREADS" not in environment(GPU, {})


def test_the_engine_sees_no_setting_of_the_agent() -> None:
    inherited = {"INKSTONE_GENERATOR_API_KEY": "x", "INKSTONE_HOME": "/home", "PATH": "/bin"}
    given = environment(PLAN, inherited)
    assert given["PATH"] == "/bin"
    assert not [name for name in given if name.startswith("INKSTONE_")]


def test_remote_code_and_a_template_are_passed_only_when_set() -> None:
    assert "--trust-remote-code" not in command(PLAN)
    assert "--chat-template" not in command(PLAN)
    chosen = dataclasses.replace(PLAN, trust_remote_code=True, chat_template=Path("/t.jinja"))
    assert "--trust-remote-code" in command(chosen)
    assert option(chosen, "--chat-template") == "/t.jinja"


def test_further_arguments_come_last_so_that_they_win() -> None:
    chosen = dataclasses.replace(PLAN, extra_arguments=("--max-num-seqs", "1"))
    assert command(chosen)[-2:] == ["--max-num-seqs", "1"]


def test_bytecode_goes_to_the_cache_only_where_it_would_not_be_written_otherwise() -> None:
    assert "PYTHONPYCACHEPREFIX" not in environment(PLAN, {})
    own = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/mine"}
    assert environment(PLAN, own)["PYTHONPYCACHEPREFIX"] == "/mine"


@pytest.mark.parametrize(
    ("script", "device"),
    [
        ("echo 'GPU 0: NVIDIA H100'", "cuda"),
        ("echo 'No devices were found'", "cpu"),
        ("exit 9", "cpu"),
    ],
)
def test_a_gpu_is_found_by_asking_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, device: str
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert detect_device() == device


def test_without_a_driver_the_engine_computes_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert detect_device() == "cpu"
    assert default_cpu_threads() >= 1


def test_traces_go_where_the_agents_own_go_and_by_http() -> None:
    traced = dataclasses.replace(PLAN, traces_endpoint="http://collector:4318/v1/traces")
    assert option(traced, "--otlp-traces-endpoint") == "http://collector:4318/v1/traces"
    assert environment(traced, {})["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"
    assert environment(traced, {})["OTEL_SERVICE_NAME"] == "inkstone-engine"
    assert "--otlp-traces-endpoint" not in command(PLAN)
