"""The Indexed Job that ingests a corpus in shards."""

from __future__ import annotations

import pytest

from services.retriever.bulk.__main__ import REFUSED, UNUSABLE, parse
from services.retriever.settings import Settings
from tests.unit.deploy.conftest import ROOT, Manifest, environment, of_kind, pod_of, rendered

BESIDE = {"bulk": "overlays/shared", "overlays/prod-bulk": "overlays/prod"}
"""The system that each runs beside."""


@pytest.fixture(scope="module", params=BESIDE)
def tree(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def bulk(tree: str) -> list[Manifest]:
    return rendered(tree)


@pytest.fixture
def job(bulk: list[Manifest]) -> Manifest:
    found: Manifest = of_kind(bulk, "Job")["bulk"]["spec"]
    return found


@pytest.fixture
def container(job: Manifest) -> Manifest:
    (found,) = job["template"]["spec"]["containers"]
    return dict(found)


def test_there_is_a_pod_for_every_shard(
    job: Manifest, container: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job["completionMode"] == "Indexed"
    assert job["parallelism"] <= job["completions"]
    assert container["command"] == ["python", "-m", "services.retriever.bulk"]
    for index in range(job["completions"]):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        parsed = parse(container["args"])
        assert (parsed.shard, parsed.of) == (index, job["completions"])


def test_a_shard_that_would_fail_again_is_not_tried_again(job: Manifest) -> None:
    fails, ignores = job["podFailurePolicy"]["rules"]
    assert fails["action"] == "FailIndex"
    assert fails["onExitCodes"]["values"] == sorted([REFUSED, UNUSABLE])
    assert ignores == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert job["backoffLimitPerIndex"] > 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_a_shard_starts_on_exactly_the_variables_that_it_is_given(
    bulk: list[Manifest], container: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = environment(bulk, container) | {
        "INKSTONE_RETRIEVER_CATALOGUE_URL": "postgresql://inkstone@postgres/inkstone"
    }
    for name, value in given.items():
        if name.startswith("INKSTONE_"):
            monkeypatch.setenv(name, value)
    assert not Settings().catalogue.startswith("sqlite")


def test_a_shard_shares_with_the_retrievers_what_must_be_shared(
    tree: str, bulk: list[Manifest], job: Manifest
) -> None:
    system = rendered(BESIDE[tree])
    (shards,) = of_kind(bulk, "ConfigMap").values()
    (retrievers,) = (
        config
        for name, config in of_kind(system, "ConfigMap").items()
        if name.startswith("retriever-")
    )
    for name, value in shards["data"].items():
        assert retrievers["data"][name] == value, name
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for spec in (job["template"]["spec"], pod_of(of_kind(system, "Deployment")["retriever"]))
        for volume in spec["volumes"]
        if volume["name"] == "artifacts"
    ]
    assert len(claims) == 2
    assert len(set(claims)) == 1


def test_the_network_lets_the_pods_reach_the_stores_and_nobody_reach_them(
    bulk: list[Manifest], job: Manifest
) -> None:
    policy = of_kind(bulk, "NetworkPolicy")["bulk"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= (
        job["template"]["metadata"]["labels"].items()
    )
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {
        6333,
        6334,
        5432,
    }


def test_its_secrets_and_claims_are_documented(job: Manifest, container: Manifest) -> None:
    readme = (ROOT / "deploy" / "README.md").read_text()
    for entry in container["env"]:
        reference = entry["valueFrom"]["secretKeyRef"]
        assert f"secret generic {reference['name']}" in readme
        assert f"{reference['key']}=" in readme
    assert "`corpus`" in readme
