"""What `make kube-test` plays with podman is what kustomize renders for the small overlay."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest

from tests.unit.deploy.conftest import Manifest, containers, environment, of_kind, rendered
from tests.unit.deploy.test_manifests import KUBERNETES
from tools.play_kube import ADDRESSES, address, playable

MODEL = {"INKSTONE_RETRIEVER_EMBEDDING_MODEL": "packaged"}
KEPT = ("resources", "command")


@pytest.fixture(scope="module")
def dev() -> list[Manifest]:
    return rendered("overlays/dev")


@pytest.fixture(scope="module")
def played(dev: list[Manifest]) -> list[Manifest]:
    files = playable(dev, "localhost", "test", MODEL)
    return [document for documents in files.values() for document in documents]


def test_every_deployment_is_played_and_is_valid(
    dev: list[Manifest], played: list[Manifest]
) -> None:
    assert set(of_kind(played, "Deployment")) == set(of_kind(dev, "Deployment")) == set(ADDRESSES)
    for document in played:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_a_container_is_confined_bounded_and_joined_as_it_is_rendered(
    dev: list[Manifest], played: list[Manifest]
) -> None:
    given = containers(dev)
    for key, container in containers(played).items():
        for field in KEPT:
            assert container.get(field) == given[key].get(field), (key, field)
        mounts = [m for m in given[key]["volumeMounts"] if m["mountPath"] != "/dev/shm"]
        assert container["volumeMounts"] == mounts
        assert container["securityContext"] == given[key]["securityContext"] | {
            "runAsUser": 10001,
            "runAsGroup": 10001,
        }
        assert container["image"] == f"localhost/{given[key]['image'].partition(':')[0]}:test"


def test_a_container_has_the_variables_that_it_is_rendered_with(
    dev: list[Manifest], played: list[Manifest]
) -> None:
    fields = {"status.podIP", "metadata.name"}
    for key, container in containers(played).items():
        before = environment(dev, containers(dev)[key])
        after = environment(played, container)
        assert set(after) == set(before)
        changed = {name for name in before if before[name] != after[name]}
        wanted = {n for n, v in before.items() if v in fields or "$(" in v} | set(MODEL)
        assert changed <= wanted, key


def test_nothing_is_opened_on_the_host(played: list[Manifest]) -> None:
    assert not [name for name, one in containers(played).items() if "ports" in one]


def test_nothing_is_left_that_podman_would_not_resolve(played: list[Manifest]) -> None:
    for container in containers(played).values():
        assert "$(" not in json.dumps(container)
        assert "fieldRef" not in json.dumps(container)
    agent = containers(played)["generator", "agent"]
    variables = environment(played, agent)
    assert variables["INKSTONE_GENERATOR_ADVERTISED_ENGINE_URL"] == (
        f"http://{address('generator')}:8100"
    )


def test_a_check_asks_what_the_liveness_probe_asks(
    dev: list[Manifest], played: list[Manifest]
) -> None:
    for key, container in containers(played).items():
        asked: dict[str, Any] = containers(dev)[key]["livenessProbe"]["httpGet"]
        command = " ".join(container["livenessProbe"]["exec"]["command"])
        assert asked["path"] in command
        assert ("healthcheck.py" in command) is (key[1] != "engine")


def test_every_name_that_a_setting_calls_is_the_name_of_a_pod(played: list[Manifest]) -> None:
    called = {
        url.hostname
        for container in containers(played).values()
        for value in environment(played, container).values()
        if (url := urlsplit(value)).scheme == "http"
    }
    assert called - {"127.0.0.1", address("generator")} <= set(ADDRESSES)


def test_a_setting_that_no_deployment_has_is_refused(dev: list[Manifest]) -> None:
    with pytest.raises(ValueError, match="no ConfigMap sets INKSTONE_X"):
        playable(dev, "localhost", "test", {"INKSTONE_X": "1"})
