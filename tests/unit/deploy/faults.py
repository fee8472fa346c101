"""What a cluster refuses, or takes and then does wrongly, and what no JSON schema looks for.

Thirteen rules. Each was missed by schema validation of manifests that a real API server refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.unit.deploy.conftest import WORKLOADS, Manifest, pod_of

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
SCALE = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
SCALE |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
HANDLERS = {"httpGet", "tcpSocket", "exec", "grpc"}
REMOVED = {
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler"),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler"),
    ("batch/v1beta1", "CronJob"),
    ("extensions/v1beta1", "Ingress"),
    ("networking.k8s.io/v1beta1", "Ingress"),
    ("policy/v1beta1", "PodDisruptionBudget"),
    ("policy/v1beta1", "PodSecurityPolicy"),
}


def amount(quantity: object) -> float:
    """Read a Kubernetes quantity.

    Raises:
        ValueError: when it is none.
    """
    match = QUANTITY.fullmatch(str(quantity))
    if not match:
        raise ValueError(f"{quantity!r} is no quantity")
    return float(match[1]) * SCALE.get(match[2] or "", 1.0)


def faults(manifests: list[Manifest]) -> list[str]:
    """List what is wrong, one sentence each; empty when nothing is."""
    found = []
    for manifest in manifests:
        where = f"{manifest['kind']}/{manifest['metadata']['name']}"
        found += [f"{where}: {fault}" for fault in _of_document(manifest)]
        if manifest["kind"] in WORKLOADS:
            found += [f"{where}: {fault}" for fault in _of_workload(manifest)]
    return found


def _of_document(manifest: Manifest) -> Iterator[str]:
    kind, spec = manifest["kind"], manifest.get("spec", {})
    name = manifest["metadata"]["name"]
    if not (LABEL if kind == "Service" else NAME).fullmatch(name) or len(name) > 253:
        yield f"the name {name!r} is malformed"
    if (manifest["apiVersion"], kind) in REMOVED:
        yield f"{manifest['apiVersion']} was removed"
    if kind == "HorizontalPodAutoscaler" and spec.get("minReplicas", 1) > spec["maxReplicas"]:
        yield "minReplicas is above maxReplicas"
    if kind == "PodDisruptionBudget" and len({"minAvailable", "maxUnavailable"} & set(spec)) != 1:
        yield "a budget says minAvailable or maxUnavailable, and not both"
    if kind == "Service":
        for port in spec["ports"]:
            yield from _of_port(port.get("name", "x"), port["port"])


def _of_workload(manifest: Manifest) -> Iterator[str]:
    pod, spec = pod_of(manifest), manifest["spec"]
    selector = spec.get("selector", {}).get("matchLabels", {})
    if not selector.items() <= spec["template"]["metadata"]["labels"].items():
        yield "the selector does not match the pods' labels"
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        for fault in _of_container(container, pod, volumes):
            yield f"{container['name']}: {fault}"


def _of_container(container: Manifest, pod: Manifest, volumes: set[str]) -> Iterator[str]:
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            yield f"it mounts {mount['name']!r}, which is no volume"
    for variable in container.get("env", []):
        if not VARIABLE.fullmatch(str(variable["name"])):
            yield f"{variable['name']!r} names no variable"
    for port in container.get("ports", []):
        yield from _of_port(port.get("name", "x"), port["containerPort"])
    for probe in (key for key in container if key.endswith("Probe")):
        if len(HANDLERS & set(container[probe])) != 1:
            yield f"the {probe} asks in more than one way, or in none"
    security = pod.get("securityContext", {}) | container.get("securityContext", {})
    if security.get("runAsUser", 0) == 0 or not security.get("runAsNonRoot"):
        yield "it may run as root"
    yield from _of_resources(container.get("resources", {}))


def _of_port(name: str, number: Any) -> Iterator[str]:
    if not isinstance(number, int) or not 0 < number < 65536:
        yield f"{number} is no port"
    if len(name) > 15:
        yield f"the port's name {name!r} is longer than 15 characters"


def _of_resources(resources: Manifest) -> Iterator[str]:
    values: dict[tuple[str, str], float] = {}
    for side in ("requests", "limits"):
        for key, quantity in resources.get(side, {}).items():
            try:
                values[side, key] = amount(quantity)
            except ValueError as error:
                yield str(error)
    for (side, key), value in values.items():
        if side == "requests" and value > values.get(("limits", key), value):
            yield f"it requests more {key} than its limit"
