"""Jobs find what they need in the tree that they are documented to stand beside."""

from __future__ import annotations

import pytest

from tests.unit.deploy.conftest import (
    JOBS,
    SYSTEMS,
    Manifest,
    environment,
    of_kind,
    pod_of,
    rendered,
    workloads,
)

BESIDE = {
    "bulk": ["overlays/shared"],
    "overlays/prod-bulk": ["overlays/prod"],
    "tuning": ["base", "overlays/dev", "overlays/shared"],
    "overlays/prod-tuning": ["overlays/prod"],
    "weights": [tree for tree in SYSTEMS if tree != "overlays/dev"],
    "overlays/dev-weights": ["overlays/dev"],
}

PAIRS = [(job, system) for job, systems in BESIDE.items() for system in systems]

YOURS = {"corpus"}
"""Claims that somebody fills before the Job is applied."""


def test_every_tree_of_jobs_stands_beside_one() -> None:
    assert sorted(BESIDE) == [tree for tree in JOBS if of_kind(rendered(tree), "Job")]


def _pods(manifests: list[Manifest]) -> list[Manifest]:
    return [pod_of(one) for one in workloads(manifests).values()]


@pytest.mark.parametrize(("job", "system"), PAIRS)
def test_claims_accounts_and_priorities_are_there(job: str, system: str) -> None:
    own, beside = rendered(job), rendered(system)
    for kind, named in {
        "PersistentVolumeClaim": {
            volume["persistentVolumeClaim"]["claimName"]
            for pod in _pods(own)
            for volume in pod["volumes"]
            if "persistentVolumeClaim" in volume
        },
        "ServiceAccount": {pod["serviceAccountName"] for pod in _pods(own)},
        "PriorityClass": {pod["priorityClassName"] for pod in _pods(own)},
    }.items():
        known = {*of_kind(own, kind), *of_kind(beside, kind)}
        assert named - YOURS <= known, kind


@pytest.mark.parametrize(("job", "system"), [p for p in PAIRS if "tuning" in p[0]])
def test_a_training_keeps_its_adapter_where_the_gateway_looks_for_it(job: str, system: str) -> None:
    own, beside = rendered(job), rendered(system)
    (training,) = _pods(own)[0]["containers"]
    (gateway,) = pod_of(workloads(beside)["gateway"])["containers"]
    kept = environment(own, training)["INKSTONE_TUNER_ARTIFACTS_URL"]
    assert kept == environment(beside, gateway)["INKSTONE_GATEWAY_ARTIFACTS_URL"]
    needs = "inkstone-object-store"
    secrets = {one["secretRef"]["name"] for one in training["envFrom"] if "secretRef" in one}
    assert (needs in secrets) == kept.startswith("s3:")


@pytest.mark.parametrize("job", [job for job in BESIDE if "tuning" in job])
def test_a_training_tolerates_the_nodes_that_engines_run_on(job: str) -> None:
    engine = pod_of(workloads(rendered("overlays/prod"))["generator"])
    assert _pods(rendered(job))[0]["tolerations"] == engine["tolerations"]
