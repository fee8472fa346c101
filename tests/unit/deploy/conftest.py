"""The manifests as kustomize renders them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.generator import launching
from services.generator.launching import Device, EnginePlan

ROOT = Path(__file__).parents[3]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
KUBECTL = Path(sys.executable).parent / "kubectl"

SYSTEMS = ["base", "overlays/dev", "overlays/shared", "overlays/prod"]
"""Trees that hold the whole system."""

JOBS = sorted(
    str(file.parent.relative_to(KUSTOMIZE))
    for file in KUSTOMIZE.rglob("kustomization.yaml")
    if "kind: Kustomization\n" in file.read_text()
    and str(file.parent.relative_to(KUSTOMIZE)) not in SYSTEMS
)
"""All other trees: Jobs beside one."""

Manifest = dict[str, Any]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The quick one, where libyaml is there."""


def rendered(folder: str, *components: str) -> list[Manifest]:
    """Render one tree, as `kubectl apply -k` would, with further components where wanted."""
    return [manifest for manifest in yaml.load_all(_text(folder, *components), _LOADER) if manifest]


@cache
def _text(folder: str, *components: str) -> str:
    if not components:
        return _built(KUSTOMIZE / folder)
    # Not among the manifests, whose folder other tests walk through at the same time.
    with tempfile.TemporaryDirectory() as made:
        place = Path(made).resolve()
        wanted = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "inkstone",
            "resources": [os.path.relpath(KUSTOMIZE / folder, place)],
            "components": [
                os.path.relpath(KUSTOMIZE / "components" / c, place) for c in components
            ],
        }
        (place / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
        return _built(place)


def _built(folder: Path) -> str:
    command = [str(KUBECTL), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session", params=SYSTEMS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


@pytest.fixture(scope="session")
def prod() -> list[Manifest]:
    return rendered("overlays/prod")


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] == kind}


ENGINE_PORT = 8100
"""Where an engine listens in every way of deploying one."""


def engine_plan(folder: Path, device: Device) -> EnginePlan:
    """What an agent would start the deployed engine with."""
    return EnginePlan(
        folder=folder,
        served_name="base",
        host="0.0.0.0",
        port=ENGINE_PORT,
        api_key="key",
        cache_dir=folder,
        device=device,
        max_loras=4,
        max_cpu_loras=8,
        max_lora_rank=32,
        max_model_len=4096,
        max_num_seqs=64,
        max_in_flight=256,
        kv_cache_gib=1,
        cpu_threads=1,
        gpu_memory_utilization=0.9,
    )


def engine_variables(plan: EnginePlan) -> dict[str, str]:
    """An engine's variables but for what is its container's own: key, paths, cores."""
    own = {"VLLM_API_KEY", "VLLM_CACHE_ROOT", "PYTHONPATH", "OMP_NUM_THREADS"}
    own |= {"DO_NOT_TRACK", "TOKENIZERS_PARALLELISM"}
    return {name: v for name, v in launching.environment(plan, {}).items() if name not in own}


WORKLOADS = ("Deployment", "StatefulSet", "Job")


def workloads(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Everything that makes pods, by name."""
    return {name: m for kind in WORKLOADS for name, m in of_kind(manifests, kind).items()}


def pod_of(workload: Manifest) -> Manifest:
    pod: Manifest = workload["spec"]["template"]["spec"]
    return pod


def labels_of(workload: Manifest) -> dict[str, str]:
    """The labels of a workload's pods."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def containers(manifests: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    """Every container of our own services, by deployment and name."""
    return {
        (name, container["name"]): container
        for name, deployment in of_kind(manifests, "Deployment").items()
        for container in pod_of(deployment)["containers"]
    }


def environment(manifests: list[Manifest], container: Manifest) -> dict[str, str]:
    """A container's variables; a secret or a pod field is stood in for by its name."""
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            variables |= of_kind(manifests, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    for entry in container.get("env", []):
        if "value" in entry:
            variables[entry["name"]] = entry["value"]
        else:
            ((_, reference),) = entry["valueFrom"].items()
            variables[entry["name"]] = reference.get("key") or reference["fieldPath"]
    return variables
