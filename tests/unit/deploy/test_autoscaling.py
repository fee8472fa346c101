"""Replicas follow figures that are there, and bounds that the settings know."""

from __future__ import annotations

import re

import pytest
import yaml

from services.gateway.settings import Settings as GatewaySettings
from tests.unit.deploy.conftest import ROOT, Manifest, containers, of_kind

ADAPTER = yaml.safe_load((ROOT / "deploy" / "prometheus-adapter.yaml").read_text())
VLLM = {"vllm:num_requests_waiting", "vllm:num_requests_running"}
"""What vLLM 0.32 exposes of this kind."""


def series(metric: str) -> set[str]:
    """The Prometheus series that the adapter serves under a metric's name."""
    documented = set(re.findall(r"`(inkstone_\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
    found = set()
    for rule in ADAPTER["rules"]["custom"]:
        pattern = re.search(r'__name__=~"([^"]+)"', rule["seriesQuery"])
        assert pattern
        for name in documented | VLLM:
            if re.fullmatch(pattern[1], name):
                renaming = rule.get("name", {"matches": "^(.*)$", "as": "${1}"})
                new = renaming["as"].replace("${1}", r"\1")
                if re.sub(renaming["matches"], new, name) == metric:
                    found.add(name)
    return found


@pytest.fixture(scope="module")
def scalers(prod: list[Manifest]) -> dict[str, Manifest]:
    return {n: m["spec"] for n, m in of_kind(prod, "HorizontalPodAutoscaler").items()}


def figures(scaler: Manifest) -> dict[str, float]:
    return {
        metric["pods"]["metric"]["name"]: float(metric["pods"]["target"]["averageValue"])
        for metric in scaler["metrics"]
        if metric["type"] == "Pods"
    }


def test_every_figure_comes_from_a_metric_that_exists(scalers: dict[str, Manifest]) -> None:
    assert set(scalers) == {"gateway", "retriever", "generator"}
    for scaler in scalers.values():
        for metric in figures(scaler):
            assert len(series(metric)) == 1, metric
    assert series("inkstone_no_such_metric") == set()


def test_a_deployment_that_is_scaled_says_no_number_itself(
    prod: list[Manifest], scalers: dict[str, Manifest]
) -> None:
    for name, scaler in scalers.items():
        assert scaler["scaleTargetRef"]["name"] == name
        assert "replicas" not in of_kind(prod, "Deployment")[name]["spec"]
        assert scaler["minReplicas"] >= 2


def test_another_gateway_comes_before_one_turns_requests_away(
    scalers: dict[str, Manifest],
) -> None:
    most = GatewaySettings.model_fields["limits"].default.max_in_flight
    assert figures(scalers["gateway"])["inkstone_inflight"] <= most / 2


def test_another_engine_comes_before_one_has_all_its_places_taken(
    prod: list[Manifest], scalers: dict[str, Manifest]
) -> None:
    (places,) = (
        int(argument.partition("=")[2])
        for argument in containers(prod)["generator", "engine"]["args"]
        if argument.startswith("--max-num-seqs=")
    )
    assert figures(scalers["generator"])["vllm_num_requests_running"] < places


def test_what_is_scraped_is_what_answers(prod: list[Manifest]) -> None:
    monitors = of_kind(prod, "PodMonitor")
    named = {
        (deployment, port["name"])
        for (deployment, _), container in containers(prod).items()
        for port in container["ports"]
    }
    scraped = set()
    for monitor in monitors.values():
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["path"] == "/metrics"
        name = monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        scraped.add((name, endpoint["port"]))
    assert scraped == named
    (endpoint,) = monitors["engine"]["spec"]["podMetricsEndpoints"]
    key = endpoint["authorization"]["credentials"]
    assert (key["name"], key["key"]) == ("inkstone-shared", "engine")
