"""The Job that works on one training job, on a machine with a GPU."""

from __future__ import annotations

import kubernetes_validate
import pytest

from services.tuner.__main__ import NOTHING_TO_DO, parse
from services.tuner.settings import Settings
from tests.unit.deploy.conftest import ROOT, Manifest, environment, of_kind, rendered
from tests.unit.deploy.faults import amount
from tests.unit.deploy.test_manifests import KUBERNETES


@pytest.fixture(scope="module")
def tuning() -> list[Manifest]:
    return rendered("tuning")


@pytest.fixture
def job(tuning: list[Manifest]) -> Manifest:
    found: Manifest = of_kind(tuning, "Job")["tuning"]["spec"]
    return found


@pytest.fixture
def container(job: Manifest) -> Manifest:
    (found,) = job["template"]["spec"]["containers"]
    return dict(found)


def test_every_document_passes_its_schema(tuning: list[Manifest]) -> None:
    for manifest in tuning:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        assert manifest["metadata"]["namespace"] == "inkstone"


def test_it_runs_the_worker_s_own_command_for_one_job(container: Manifest) -> None:
    assert container["command"] == ["python", "-m", "services.tuner"]
    parsed = parse(container["args"])
    assert parsed.once
    assert parsed.job.startswith("job_")


def test_a_job_that_is_over_is_not_tried_again_and_a_killed_pod_is(job: Manifest) -> None:
    fails, ignores = job["podFailurePolicy"]["rules"]
    assert (fails["action"], fails["onExitCodes"]["values"]) == ("FailJob", [NOTHING_TO_DO])
    assert ignores == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert job["backoffLimit"] > 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_a_killed_pod_s_checkpoints_are_there_for_the_next_one(
    tuning: list[Manifest], container: Manifest
) -> None:
    given = environment(tuning, container)
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert given["INKSTONE_TUNER_DATA_DIR"].startswith("/srv/artifacts/")
    assert mounts["/srv/artifacts"] == "artifacts"
    # It waits for longer than the lease of the pod that was killed.
    assert float(given["INKSTONE_TUNER_CLAIM_SECONDS"]) > 60


def test_it_starts_on_exactly_the_variables_that_it_is_given(
    tuning: list[Manifest], container: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tuning, container).items():
        if name.startswith("INKSTONE_"):
            monkeypatch.setenv(name, value)
    assert Settings().gateway_url == "http://gateway:8000"


def test_it_has_a_gpu_and_is_restricted_and_bounded(job: Manifest, container: Manifest) -> None:
    pod, resources = job["template"]["spec"], container["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "1"
    assert amount(resources["requests"]["memory"]) <= amount(resources["limits"]["memory"])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    _, _, tag = container["image"].rpartition(":")
    assert tag not in ("", "latest")


def test_it_reaches_the_gateway_and_nobody_reaches_it(
    tuning: list[Manifest], job: Manifest
) -> None:
    policy = of_kind(tuning, "NetworkPolicy")["tuning"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= (
        job["template"]["metadata"]["labels"].items()
    )
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    (rule,) = policy["egress"]
    assert rule["to"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}]


def test_how_to_start_one_is_documented() -> None:
    readme = (ROOT / "deploy" / "README.md").read_text()
    assert "kubectl apply -k deploy/kustomize/tuning" in readme
