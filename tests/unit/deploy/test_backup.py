"""The CronJob that takes a backup every night: what it copies, keeps and may reach."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import kubernetes_validate
import pytest

from services.cli.backups.databases import Postgres, Sqlite
from services.cli.backups.places import places_of
from tests.unit.deploy.conftest import ROOT, Manifest, environment, of_kind, pod_of, rendered
from tests.unit.deploy.faults import amount
from tests.unit.deploy.network import Place, allows
from tests.unit.deploy.test_images import OPERATIONS, stages
from tests.unit.deploy.test_manifests import KUBERNETES

BESIDE = {
    "backup": "overlays/shared",
    "backup/prod": "overlays/prod",
    "backup/dev": "overlays/dev",
}
"""The system that each runs beside."""
DATABASE = "postgresql://inkstone:x@postgres.example:5432/inkstone"
NEWEST = "2999-01-01T02-17-00Z"


@pytest.fixture(scope="module", params=BESIDE)
def tree(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def backup(tree: str) -> list[Manifest]:
    return rendered(tree)


@pytest.fixture(scope="module")
def system(tree: str) -> list[Manifest]:
    return rendered(BESIDE[tree])


@pytest.fixture
def spec(backup: list[Manifest]) -> Manifest:
    found: Manifest = of_kind(backup, "CronJob")["backup"]["spec"]
    return found


@pytest.fixture
def pod(spec: Manifest) -> Manifest:
    return pod_of(spec["jobTemplate"])


@pytest.fixture
def container(pod: Manifest) -> Manifest:
    (found,) = pod["containers"]
    return dict(found)


def claims_at(pod: Manifest) -> dict[str, str]:
    """The claims of a pod, by where its first container has them."""
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    mounts = pod["containers"][0]["volumeMounts"]
    return {m["mountPath"]: claims[m["name"]] for m in mounts if m["name"] in claims}


def claim_of(place: str, pod: Manifest) -> tuple[str, str]:
    """The claim that a path leads to, and the path in it."""
    for mount, claim in claims_at(pod).items():
        if Path(place).is_relative_to(mount):
            return claim, str(Path(place).relative_to(mount))
    raise LookupError(place)


def test_every_document_passes_its_schema(backup: list[Manifest]) -> None:
    for manifest in backup:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        assert manifest["metadata"]["namespace"] == "inkstone"


def test_it_runs_every_night_and_never_twice_at_once(spec: Manifest) -> None:
    minute, hour, *rest = spec["schedule"].split()
    assert (minute.isdigit(), hour.isdigit(), rest) == (True, True, ["*"] * 3)
    assert spec["timeZone"] == "Etc/UTC"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] < 86_400
    job = spec["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] < 86_400
    assert pod_of(spec["jobTemplate"])["restartPolicy"] == "Never"


def test_it_copies_from_where_the_services_keep_it(
    tree: str,
    backup: list[Manifest],
    system: list[Manifest],
    pod: Manifest,
    container: Manifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = environment(backup, container)
    for name, value in given.items():
        if name.startswith("INKSTONE_"):
            monkeypatch.setenv(name, DATABASE if value == "url" else value)
    places = places_of(Path("/nowhere"))
    kind = Sqlite if tree == "backup/dev" else Postgres
    gateway, retriever = (
        pod_of(of_kind(system, "Deployment")[n]) for n in ("gateway", "retriever")
    )
    told = {
        name: value
        for one in (gateway, retriever)
        for name, value in environment(system, one["containers"][0]).items()
    }
    for database, service, variable in (
        (places.registry, gateway, "INKSTONE_GATEWAY_DATABASE_URL"),
        (places.catalogue, retriever, "INKSTONE_RETRIEVER_CATALOGUE_URL"),
    ):
        assert isinstance(database, kind)
        assert (variable in told) is (variable in given) is isinstance(database, Postgres)
        if isinstance(database, Sqlite):
            own = f"/var/lib/inkstone/{database.path.name}"
            assert claim_of(str(database.path), pod) == claim_of(own, service)
        else:
            (reference,) = (e for e in container["env"] if e["name"] == variable)
            assert reference in service["containers"][0]["env"]
    spool = told.get("INKSTONE_RETRIEVER_SPOOL_DIR", "/var/lib/inkstone/spool")
    assert claim_of(str(places.spool), pod) == claim_of(spool, retriever)
    assert places.artifacts_url == told["INKSTONE_GATEWAY_ARTIFACTS_URL"]
    if places.artifacts_folder:
        kept = str(places.artifacts_folder)
        assert claim_of(kept, pod) == claim_of(kept, gateway)
    # What no claim holds must be left out by name, or the backup fails.
    assert (given["OPTIONS"] == "--no-artifacts") is (places.artifacts_folder is None)


def test_its_claims_account_and_class_are_there(
    backup: list[Manifest], system: list[Manifest], pod: Manifest, container: Manifest
) -> None:
    there = of_kind([*backup, *system], "PersistentVolumeClaim")
    assert set(claims_at(pod).values()) <= set(there)
    assert claims_at(pod)[environment(backup, container)["BACKUPS"]] == "backups"
    assert not set(of_kind(backup, "PersistentVolumeClaim")) & set(
        of_kind(system, "PersistentVolumeClaim")
    )
    assert pod["serviceAccountName"] in of_kind(system, "ServiceAccount")
    assert pod["priorityClassName"] == "inkstone-jobs"


def test_it_is_restricted_and_bounded(pod: Manifest, container: Manifest) -> None:
    resources = container["resources"]
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
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    assert mounts["temporary"] == "/tmp"
    assert container["image"] == f"inkstone/{OPERATIONS}:0.1.0"
    assert "/opt/inkstone/bin/inkstone" in stages()[OPERATIONS]


def test_it_reaches_databases_only_and_nobody_reaches_it(
    backup: list[Manifest], system: list[Manifest], spec: Manifest
) -> None:
    everything = [*system, *backup]
    own = Place("backup", spec["jobTemplate"]["spec"]["template"]["metadata"]["labels"])
    outside = Place("outside", address="203.0.113.7")
    assert [port for port in (80, 443, 5432, 6333) if allows(everything, own, outside, port)] == [
        5432
    ]
    policy = of_kind(backup, "NetworkPolicy")["backup"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy


def nightly(folder: Path, container: Manifest, *, code: int = 0) -> tuple[int, list[str]]:
    """Run what the container runs, with a command in the place of `inkstone`."""
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    stand_in = commands / "inkstone"
    stand_in.write_text(f'#!/bin/sh\nmkdir "$2" && echo "$@" > "$2/said"\nexit {code}\n')
    stand_in.chmod(0o755)
    backups = folder / "backups"
    backups.mkdir(exist_ok=True)
    variables = {"BACKUPS": str(backups), "OPTIONS": "--no-artifacts", "KEEP": "3"}
    done = subprocess.run(
        [*container["command"], *container["args"]],
        env={"PATH": f"{commands}:{os.environ['PATH']}", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, sorted(path.name for path in backups.iterdir())


def test_the_newest_backups_are_kept(tmp_path: Path, container: Manifest) -> None:
    old = [f"2026-11-{day:02}T02-17-00Z" for day in range(1, 6)]
    for name in [*old, NEWEST, "lost+found", "by-hand"]:
        (tmp_path / "backups" / name).mkdir(parents=True)
    status, left = nightly(tmp_path, container)
    assert status == 0
    assert {NEWEST, "lost+found", "by-hand"} <= set(left)
    (new,) = set(left) - {NEWEST, "lost+found", "by-hand", old[-1]}
    said = (tmp_path / "backups" / new / "said").read_text()
    assert said == f"backup .unfinished-{new} --no-artifacts\n"


def test_a_backup_that_fails_leaves_nothing_and_removes_none(
    tmp_path: Path, container: Manifest
) -> None:
    old = [f"2026-11-{day:02}T02-17-00Z" for day in range(1, 6)]
    for name in old:
        (tmp_path / "backups" / name).mkdir(parents=True)
    assert nightly(tmp_path, container, code=1) == (1, old)


def test_what_a_killed_pod_left_goes_when_nobody_can_be_at_it(
    tmp_path: Path, container: Manifest, spec: Manifest
) -> None:
    backups, deadline = tmp_path / "backups", spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    for name, age in (("stale", deadline + 120), ("fresh", deadline - 600)):
        folder = backups / f".unfinished-{name}"
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age,) * 2)
    _, left = nightly(tmp_path, container)
    assert [name for name in left if name.startswith(".")] == [".unfinished-fresh"]


def test_how_to_take_and_restore_one_is_documented(tree: str) -> None:
    page = (ROOT / "docs" / "disaster.md").read_text()
    assert f"kubectl apply -k deploy/kustomize/{tree}\n" in page
    assert "create job backup-now --from=cronjob/backup" in page
    assert "run --rm backup inkstone restore" in page
    assert f"--target {OPERATIONS} --build-arg SERVICE={OPERATIONS}" in page
