"""The manifests as kustomize renders them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
KUBECTL = Path(sys.executable).parent / "kubectl"

Manifest = dict[str, Any]


def rendered(folder: str) -> list[Manifest]:
    """Render one tree, as `kubectl apply -k` would."""
    command = [str(KUBECTL), "kustomize", str(KUSTOMIZE / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="session", params=["base", "overlays/dev", "overlays/shared"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] == kind}


def pod_of(deployment: Manifest) -> Manifest:
    pod: Manifest = deployment["spec"]["template"]["spec"]
    return pod


def containers(manifests: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    """Every container by deployment and name."""
    return {
        (name, container["name"]): container
        for name, deployment in of_kind(manifests, "Deployment").items()
        for container in pod_of(deployment)["containers"]
    }


def environment(manifests: list[Manifest], container: Manifest) -> dict[str, str]:
    """A container's variables; a secret or a pod field is stood in for by its name."""
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        variables |= of_kind(manifests, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    for entry in container.get("env", []):
        if "value" in entry:
            variables[entry["name"]] = entry["value"]
        else:
            ((_, reference),) = entry["valueFrom"].items()
            variables[entry["name"]] = reference.get("key") or reference["fieldPath"]
    return variables
