"""The manifests: valid by schema, and right where a schema does not look."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest

from services.gateway.settings import Settings as GatewaySettings
from tests.unit.deploy.conftest import (
    JOBS,
    ROOT,
    SYSTEMS,
    Manifest,
    containers,
    labels_of,
    of_kind,
    pod_of,
    rendered,
    workloads,
)
from tests.unit.deploy.custom_resources import check_custom, is_custom

KUBERNETES = "1.37.0"
CLUSTER_WIDE = {"Namespace", "PriorityClass"}


@cache
def check(document: str) -> None:
    """Validate one document, given as JSON; the trees have most of theirs in common."""
    manifest = json.loads(document)
    if is_custom(manifest):
        check_custom(manifest)
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("tree", [*SYSTEMS, *JOBS])
def test_every_document_passes_its_schema(tree: str) -> None:
    for manifest in rendered(tree):
        check(json.dumps(manifest))


def test_the_optional_components_pass_their_schemas() -> None:
    found = rendered("overlays/prod", "ingress", "weights-by-pod", "tracing")
    assert of_kind(found, "Ingress")
    for manifest in found:
        check(json.dumps(manifest))


@pytest.mark.parametrize(
    "broken",
    [
        {"apiVersion": "apps/v1", "kind": "Deploymnet", "metadata": {"name": "x"}},
        {"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler"},
        {"apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "HTTPRoute"},
    ],
)
def test_an_unknown_kind_or_a_removed_version_would_fail(broken: Manifest) -> None:
    assert not is_custom(broken)
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_an_unknown_field_would_fail(prod: list[Manifest]) -> None:
    service = of_kind(prod, "Service")["gateway"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**service, "sepc": {}}, KUBERNETES, strict=True)
    route = of_kind(prod, "HTTPRoute")["gateway"]
    with pytest.raises(ValueError, match="hostname"):
        check_custom({**route, "spec": {**route["spec"], "hostname": "inkstone.example.com"}})


def test_the_four_services_are_there(manifests: list[Manifest]) -> None:
    names = {"gateway", "retriever", "generator", "tuner"}
    assert set(of_kind(manifests, "Deployment")) == names
    assert set(of_kind(manifests, "Service")) >= names


def test_names_are_unique_and_in_one_namespace(manifests: list[Manifest]) -> None:
    keys = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(keys) == len(set(keys))
    for manifest in manifests:
        namespace = manifest["metadata"].get("namespace")
        assert namespace == (None if manifest["kind"] in CLUSTER_WIDE else "inkstone")


def test_selectors_match_the_pods_that_they_are_meant_for(manifests: list[Manifest]) -> None:
    labels = {name: labels_of(workload) for name, workload in workloads(manifests).items()}

    def matched(selector: dict[str, str]) -> set[str]:
        return {name for name, have in labels.items() if selector.items() <= have.items()}

    for name, workload in workloads(manifests).items():
        assert matched(workload["spec"]["selector"]["matchLabels"]) == {name}
    for name, service in of_kind(manifests, "Service").items():
        assert matched(service["spec"]["selector"]) == {name.removesuffix("-peers")}
    for name, budget in of_kind(manifests, "PodDisruptionBudget").items():
        assert matched(budget["spec"]["selector"]["matchLabels"]) == {name}


def test_volumes_claims_accounts_and_classes_exist(manifests: list[Manifest]) -> None:
    claims = of_kind(manifests, "PersistentVolumeClaim")
    used = set()
    for workload in workloads(manifests).values():
        pod = pod_of(workload)
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        templates = workload["spec"].get("volumeClaimTemplates", [])
        mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounted == set(volumes) | {claim["metadata"]["name"] for claim in templates}
        used |= {
            v["persistentVolumeClaim"]["claimName"]
            for v in volumes.values()
            if "persistentVolumeClaim" in v
        }
        assert pod["serviceAccountName"] in of_kind(manifests, "ServiceAccount")
        assert pod["priorityClassName"] in of_kind(manifests, "PriorityClass")
    assert used == set(claims)
    for container in containers(manifests).values():
        for source in container["envFrom"]:
            if "configMapRef" in source:
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


@pytest.mark.parametrize("tree", [*SYSTEMS, *JOBS])
def test_secrets_stand_by_reference_only_and_are_documented(tree: str) -> None:
    found = rendered(tree)
    assert not of_kind(found, "Secret")
    pages = (ROOT / "deploy" / "README.md").read_text()
    every = [c for w in workloads(found).values() for c in pod_of(w)["containers"]]
    for container in every:
        for source in container.get("envFrom", []):
            if "secretRef" in source:
                assert f"secret generic {source['secretRef']['name']}" in pages
        for entry in container.get("env", []):
            if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
                assert f"secret generic {reference['name']}" in pages
                assert f"{reference['key']}=" in pages
    for config in of_kind(found, "ConfigMap").values():
        assert not [key for key in config["data"] if key.endswith(("_KEY", "_URL_WITH_PASSWORD"))]


@pytest.mark.parametrize("tree", [*SYSTEMS, *JOBS])
def test_every_pod_is_restricted_and_bounded(tree: str) -> None:
    for name, workload in workloads(rendered(tree)).items():
        pod = pod_of(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == (1000 if name == "qdrant" else 10001)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        # Service links would add variables that our settings refuse.
        assert pod["enableServiceLinks"] is False
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            image, _, tag = container["image"].rpartition(":")
            assert image.startswith(("inkstone/", "qdrant/"))
            assert tag not in ("", "latest")


def test_the_namespace_refuses_what_is_not_restricted(manifests: list[Manifest]) -> None:
    labels = of_kind(manifests, "Namespace")["inkstone"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_nobody_has_rights_in_the_cluster(manifests: list[Manifest]) -> None:
    assert not [m for m in manifests if m["kind"].startswith(("Role", "ClusterRole"))]
    for account in of_kind(manifests, "ServiceAccount").values():
        assert account["automountServiceAccountToken"] is False


def test_jobs_wait_for_what_answers_people(prod: list[Manifest]) -> None:
    classes = of_kind(prod, "PriorityClass")
    assert classes["inkstone-jobs"]["value"] < 0 < classes["inkstone-serving"]["value"]
    assert classes["inkstone-jobs"]["preemptionPolicy"] == "Never"
    everything = [*prod, *(m for tree in JOBS for m in rendered(tree))]
    for name, workload in workloads(everything).items():
        serves = name in {"gateway", "retriever", "generator", "qdrant"}
        wanted = "inkstone-serving" if serves else "inkstone-jobs"
        assert pod_of(workload)["priorityClassName"] == wanted, name


def test_what_runs_more_than_once_is_spread_and_not_drained_at_a_stroke(
    prod: list[Manifest],
) -> None:
    for name in ("gateway", "retriever", "generator", "qdrant"):
        budget = of_kind(prod, "PodDisruptionBudget")[name]["spec"]
        assert budget["maxUnavailable"] == 1
    for name in ("gateway", "retriever", "generator"):
        pod = pod_of(of_kind(prod, "Deployment")[name])
        keys = [rule["topologyKey"] for rule in pod["topologySpreadConstraints"]]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        for rule in pod["topologySpreadConstraints"]:
            assert rule["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}


def test_every_container_is_probed(manifests: list[Manifest]) -> None:
    for (_, name), container in containers(manifests).items():
        # An engine that is busy loading is still ready: its agent says what it holds.
        wanted = {"startupProbe", "livenessProbe"}
        if name != "engine":
            wanted.add("readinessProbe")
        assert wanted == {key for key in container if key.endswith("Probe")}


def test_a_rollout_is_given_up_later_than_a_start(manifests: list[Manifest]) -> None:
    for (name, _), container in containers(manifests).items():
        probe = container["startupProbe"]
        deadline = of_kind(manifests, "Deployment")[name]["spec"].get(
            "progressDeadlineSeconds", 600
        )
        assert probe["periodSeconds"] * probe["failureThreshold"] < deadline, name


def test_a_pod_is_given_longer_than_it_may_drain(manifests: list[Manifest]) -> None:
    drain = GatewaySettings.model_fields["listening"].default.drain_timeout_seconds
    for name, deployment in of_kind(manifests, "Deployment").items():
        assert pod_of(deployment)["terminationGracePeriodSeconds"] > drain + 5, name


def test_an_engine_outlives_the_gateways_memory_of_it(manifests: list[Manifest]) -> None:
    forgotten = GatewaySettings.model_fields["replica_timeout_seconds"].default
    engine = containers(manifests)["generator", "engine"]
    pause = engine["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod_of(of_kind(manifests, "Deployment")["generator"])["terminationGracePeriodSeconds"]
    assert 2 * forgotten < pause < grace


def test_booleans_in_disguise_are_quoted() -> None:
    disguised = re.compile(r":\s*(?:y|n|yes|no|on|off)\s*$", re.IGNORECASE)
    for file in Path(ROOT / "deploy" / "kustomize").rglob("*.yaml"):
        for line in file.read_text().splitlines():
            assert not disguised.search(line), f"{file.name}: {line}"
