"""Writes the Deployments of a rendered tree so that `podman play kube` runs them as a kubelet does.

    kubectl kustomize deploy/kustomize/overlays/dev | python tools/play_kube.py FOLDER

FOLDER gets one file a Deployment. What podman 4.3 leaves undone is done here beforehand: a pod's
user goes to its containers, `$(NAME)` and references to the pod's fields become values, the
liveness probe becomes a command, and an emptyDir a claim, so that user 10001 may write there.
Ports are left out: podman would open them on the host. All else (security contexts, limits, mounts,
commands, ConfigMaps, references to Secrets) stays.
"""

from __future__ import annotations

import argparse
import copy
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

NETWORK = "10.89.77"
"""The first three parts of the pods' addresses."""

ADDRESSES = {"gateway": 10, "retriever": 11, "generator": 12, "tuner": 13}
"""The last part of each pod's address."""

PYTHON = {"agent": "/opt/inkstone/bin/python", "engine": "python3"}
"""The Python of a container, where it is not `python`."""

FILES = "-files"
"""What the name of a Secret ends with that is mounted."""

REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")


def address(deployment: str) -> str:
    """Say which address a Deployment's pod is given."""
    return f"{NETWORK}.{ADDRESSES[deployment]}"


def playable(
    manifests: list[Manifest], registry: str, tag: str, settings: Mapping[str, str]
) -> dict[str, list[Manifest]]:
    """Write each Deployment with its ConfigMaps.

    Args:
        registry: where the images lie, for example `localhost`.
        tag: the images' tag.
        settings: values that take the place of those in the ConfigMaps.

    Raises:
        ValueError: when no ConfigMap has one of the settings.
    """
    configs = {
        m["metadata"]["name"]: copy.deepcopy(m) for m in manifests if m["kind"] == "ConfigMap"
    }
    for name, value in settings.items():
        having = [config for config in configs.values() if name in config["data"]]
        if not having:
            raise ValueError(f"no ConfigMap sets {name}")
        for config in having:
            config["data"][name] = value
    found = {}
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            name = manifest["metadata"]["name"]
            deployment = _deployment(copy.deepcopy(manifest), configs, registry, tag)
            found[name] = [*_used(deployment, configs), deployment]
    return found


def _deployment(
    deployment: Manifest, configs: Mapping[str, Manifest], registry: str, tag: str
) -> Manifest:
    name = deployment["metadata"]["name"]
    deployment["spec"]["replicas"] = 1
    pod = deployment["spec"]["template"]["spec"]
    user = {key: pod["securityContext"][key] for key in ("runAsUser", "runAsGroup")}
    # Podman gives each pod shared memory of its own; a claim there would be a disk.
    memory = {v["name"] for v in pod["volumes"] if v.get("emptyDir", {}).get("medium") == "Memory"}
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] not in memory]
    for volume in pod["volumes"]:
        if "emptyDir" in volume:
            volume.pop("emptyDir")
            volume["persistentVolumeClaim"] = {"claimName": f"{name}-{volume['name']}"}
        elif "secret" in volume:
            # Podman 4.3 reads a Secret in one form for variables and in another for files, and
            # looks at `optional` without asking whether it is there.
            volume["secret"]["secretName"] += FILES
            volume["secret"].setdefault("optional", False)
    for container in pod["containers"]:
        image = container["image"].partition(":")[0]
        container["image"] = f"{registry}/{image}:{tag}"
        container["imagePullPolicy"] = "Never"
        container["securityContext"] |= user
        container.pop("lifecycle", None)
        mounts = container["volumeMounts"]
        container["volumeMounts"] = [mount for mount in mounts if mount["name"] not in memory]
        _resolve(container, configs, name)
        _probe(container)
    return deployment


def _resolve(container: Manifest, configs: Mapping[str, Manifest], deployment: str) -> None:
    """Put values in the place of `$(NAME)` and of the pod's fields."""
    fields = {"status.podIP": address(deployment), "metadata.name": f"{deployment}-pod-0"}
    known: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            known |= configs[source["configMapRef"]["name"]]["data"]
    for entry in container.get("env", []):
        if reference := entry.get("valueFrom", {}).get("fieldRef"):
            entry.pop("valueFrom")
            entry["value"] = fields[reference["fieldPath"]]
        if "value" in entry:
            entry["value"] = _expanded(entry["value"], known)
            known[entry["name"]] = entry["value"]
    for key in ("command", "args"):
        if key in container:
            container[key] = [_expanded(part, known) for part in container[key]]


def _expanded(text: str, known: Mapping[str, str]) -> str:
    """Write a text as the kubelet would, which leaves what it does not know."""
    return REFERENCE.sub(lambda match: known.get(match[1], match[0]), text)


def _probe(container: Manifest) -> None:
    """Make the liveness probe a command; podman knows one check a container."""
    ports = {port["name"]: port["containerPort"] for port in container.pop("ports")}
    asked = container["livenessProbe"].pop("httpGet")
    python = PYTHON.get(container["name"], "python")
    script = ["/srv/inkstone/healthcheck.py", asked["path"]]
    if container["name"] == "engine":
        url = f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}"
        script = ["-c", f"import urllib.request as r; r.urlopen('{url}', timeout=4)"]
    # Podman hands the words to a shell, which a kubelet does not.
    command = [python, *map(shlex.quote, script)]
    container["livenessProbe"]["exec"] = {"command": command}
    container.pop("startupProbe", None)
    container.pop("readinessProbe", None)


def _used(deployment: Manifest, configs: Mapping[str, Manifest]) -> list[Manifest]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    sources = [source for one in containers for source in one.get("envFrom", [])]
    names = {source["configMapRef"]["name"] for source in sources if "configMapRef" in source}
    return [configs[name] for name in sorted(names)]


def main() -> None:
    """Read a rendered tree and write the files."""
    parser = argparse.ArgumentParser(description="Write Deployments for `podman play kube`.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--registry", default="localhost")
    parser.add_argument("--tag", default="test")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    chosen = parser.parse_args()
    settings = dict(one.split("=", 1) for one in chosen.set)
    manifests = [m for m in yaml.safe_load_all(sys.stdin) if m]
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for name, documents in playable(manifests, chosen.registry, chosen.tag, settings).items():
        text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
        (chosen.folder / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    main()
