"""The manifests keep the rules that no schema knows, and each rule can fail."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from tests.unit.deploy.conftest import JOBS, SYSTEMS, Manifest, of_kind, pod_of, rendered
from tests.unit.deploy.faults import faults


def test_every_tree_is_looked_at() -> None:
    assert {"bulk", "overlays/prod-bulk", "weights"} <= set(JOBS)


@pytest.mark.parametrize("tree", [*SYSTEMS, *JOBS])
def test_no_manifest_has_a_fault(tree: str) -> None:
    assert faults(rendered(tree)) == []


def test_no_optional_component_brings_a_fault() -> None:
    assert faults(rendered("overlays/prod", "ingress", "weights-by-pod")) == []


def first(prod: list[Manifest]) -> Manifest:
    found: Manifest = pod_of(of_kind(prod, "Deployment")["gateway"])["containers"][0]
    return found


def set_labels(prod: list[Manifest]) -> None:
    template = of_kind(prod, "Deployment")["gateway"]["spec"]["template"]
    template["metadata"]["labels"] = {"app.kubernetes.io/name": "gatewya"}


def set_root(prod: list[Manifest]) -> None:
    pod_of(of_kind(prod, "Deployment")["gateway"])["securityContext"]["runAsUser"] = 0


def set_version(prod: list[Manifest]) -> None:
    of_kind(prod, "HorizontalPodAutoscaler")["gateway"]["apiVersion"] = "autoscaling/v2beta2"


BREAKS: dict[str, Callable[[list[Manifest]], object]] = {
    "the selector does not match": set_labels,
    "is no quantity": lambda m: first(m)["resources"]["limits"].update(memory="256MB"),
    "requests more memory": lambda m: first(m)["resources"]["requests"].update(memory="2Gi"),
    "70000 is no port": lambda m: first(m)["ports"].append({"containerPort": 70000}),
    "is malformed": lambda m: of_kind(m, "Service")["gateway"]["metadata"].update(name="Gate_way"),
    "above maxReplicas": lambda m: of_kind(m, "HorizontalPodAutoscaler")["gateway"]["spec"].update(
        minReplicas=99
    ),
    "longer than 15": lambda m: first(m)["ports"][0].update(name="a-name-of-sixteen"),
    "more than one way": lambda m: first(m)["readinessProbe"].update(tcpSocket={"port": 1}),
    "which is no volume": lambda m: first(m)["volumeMounts"].append({"name": "cache"}),
    "was removed": set_version,
    "may run as root": set_root,
    "and not both": lambda m: of_kind(m, "PodDisruptionBudget")["gateway"]["spec"].update(
        minAvailable=1
    ),
    "names no variable": lambda m: first(m)["env"].append({"name": "MY-KEY", "value": "x"}),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_manifest_is_found(prod: list[Manifest], fault: str) -> None:
    broken = copy.deepcopy(prod)
    BREAKS[fault](broken)
    (found,) = faults(broken)
    assert fault in found
