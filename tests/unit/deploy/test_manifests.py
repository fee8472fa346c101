"""The manifests: valid by schema, and right where a schema does not look."""

from __future__ import annotations

import re
from pathlib import Path

import kubernetes_validate
import pytest

from tests.unit.deploy.conftest import (
    ROOT,
    Manifest,
    containers,
    of_kind,
    pod_of,
    rendered,
)

KUBERNETES = "1.37.0"
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
SCALE = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
SCALE |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def amount(quantity: object) -> float:
    match = QUANTITY.fullmatch(str(quantity))
    assert match, f"{quantity!r} is no Kubernetes quantity"
    return float(match[1]) * SCALE.get(match[2] or "", 1.0)


def test_every_document_passes_its_schema(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "broken",
    [
        {"apiVersion": "apps/v1", "kind": "Deploymnet", "metadata": {"name": "x"}},
        {"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler"},
    ],
)
def test_an_unknown_kind_or_a_removed_version_would_fail(broken: Manifest) -> None:
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_an_unknown_field_would_fail() -> None:
    service = next(m for m in rendered("base") if m["kind"] == "Service")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**service, "sepc": {}}, KUBERNETES, strict=True)


def test_the_four_services_are_there(manifests: list[Manifest]) -> None:
    names = {"gateway", "retriever", "generator", "tuner"}
    assert set(of_kind(manifests, "Deployment")) == names
    assert set(of_kind(manifests, "Service")) == names


def test_names_are_unique_and_well_formed_and_in_one_namespace(manifests: list[Manifest]) -> None:
    keys = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(keys) == len(set(keys))
    for manifest in manifests:
        assert NAME.fullmatch(manifest["metadata"]["name"])
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "inkstone"


def test_selectors_match_the_pods_that_they_are_meant_for(manifests: list[Manifest]) -> None:
    labels = {
        name: deployment["spec"]["template"]["metadata"]["labels"]
        for name, deployment in of_kind(manifests, "Deployment").items()
    }

    def matched(selector: dict[str, str]) -> set[str]:
        return {name for name, have in labels.items() if selector.items() <= have.items()}

    for name, deployment in of_kind(manifests, "Deployment").items():
        assert matched(deployment["spec"]["selector"]["matchLabels"]) == {name}
    for name, service in of_kind(manifests, "Service").items():
        assert matched(service["spec"]["selector"]) == {name}
    for name, budget in of_kind(manifests, "PodDisruptionBudget").items():
        assert matched(budget["spec"]["selector"]["matchLabels"]) == {name}
        assert len({"minAvailable", "maxUnavailable"} & set(budget["spec"])) == 1


def test_volumes_claims_and_config_maps_exist(manifests: list[Manifest]) -> None:
    claims = of_kind(manifests, "PersistentVolumeClaim")
    used = set()
    for deployment in of_kind(manifests, "Deployment").values():
        pod = pod_of(deployment)
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounted == set(volumes)
        used |= {
            v["persistentVolumeClaim"]["claimName"]
            for v in volumes.values()
            if "persistentVolumeClaim" in v
        }
        assert pod["serviceAccountName"] in of_kind(manifests, "ServiceAccount")
    assert used == set(claims)
    for container in containers(manifests).values():
        for source in container["envFrom"]:
            assert source["configMapRef"]["name"] in of_kind(manifests, "ConfigMap")


def test_a_deployment_on_a_single_writers_claim_does_not_surge(manifests: list[Manifest]) -> None:
    claims = of_kind(manifests, "PersistentVolumeClaim")
    for name, deployment in of_kind(manifests, "Deployment").items():
        owned = [
            v["persistentVolumeClaim"]["claimName"]
            for v in pod_of(deployment)["volumes"]
            if v["name"] == "data" and "persistentVolumeClaim" in v
        ]
        for claim in owned:
            assert claims[claim]["spec"]["accessModes"] == ["ReadWriteOnce"]
            assert deployment["spec"]["strategy"] == {"type": "Recreate"}, name
            assert deployment["spec"]["replicas"] == 1, name


def test_secrets_stand_by_reference_only_and_are_documented(manifests: list[Manifest]) -> None:
    assert not of_kind(manifests, "Secret")
    readme = (ROOT / "deploy" / "README.md").read_text()
    wanted = {
        (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for container in containers(manifests).values()
        for entry in container.get("env", [])
        if "secretKeyRef" in entry.get("valueFrom", {})
    }
    assert wanted
    for name, key in wanted:
        assert f"secret generic {name}" in readme
        assert f"{key}=" in readme
    for config in of_kind(manifests, "ConfigMap").values():
        assert not [key for key in config["data"] if key.endswith(("_KEY", "_URL_WITH_PASSWORD"))]


def test_every_container_is_restricted(manifests: list[Manifest]) -> None:
    for (deployment, name), container in containers(manifests).items():
        pod = pod_of(of_kind(manifests, "Deployment")[deployment])
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_images_are_pinned_by_tag(manifests: list[Manifest]) -> None:
    for container in containers(manifests).values():
        image, _, tag = container["image"].rpartition(":")
        assert image.startswith("inkstone/")
        assert tag
        assert tag != "latest"


def test_requests_stay_within_limits_and_memory_is_bounded(manifests: list[Manifest]) -> None:
    for container in containers(manifests).values():
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"])
        assert "memory" in resources["limits"]
        for key, limit in resources["limits"].items():
            assert amount(resources["requests"].get(key, 0)) <= amount(limit)


def test_every_container_has_probes_with_one_way_of_asking(manifests: list[Manifest]) -> None:
    for (_, name), container in containers(manifests).items():
        # An engine that is busy loading is still ready: its agent says what it holds.
        wanted = {"startupProbe", "livenessProbe"}
        if name != "engine":
            wanted.add("readinessProbe")
        assert wanted == {key for key in container if key.endswith("Probe")}
        for probe in wanted:
            handlers = {"httpGet", "tcpSocket", "exec", "grpc"} & set(container[probe])
            assert handlers == {"httpGet"}, (name, probe)


def test_a_pod_is_given_longer_than_it_may_drain(manifests: list[Manifest]) -> None:
    drain = 20
    for name, deployment in of_kind(manifests, "Deployment").items():
        assert pod_of(deployment)["terminationGracePeriodSeconds"] > drain + 5, name


def test_no_variable_comes_from_service_links(manifests: list[Manifest]) -> None:
    for deployment in of_kind(manifests, "Deployment").values():
        assert pod_of(deployment)["enableServiceLinks"] is False


def test_booleans_in_disguise_are_quoted() -> None:
    disguised = re.compile(r":\s*(?:y|n|yes|no|on|off)\s*$", re.IGNORECASE)
    for file in Path(ROOT / "deploy" / "kustomize").rglob("*.yaml"):
        for line in file.read_text().splitlines():
            assert not disguised.search(line), f"{file.name}: {line}"
