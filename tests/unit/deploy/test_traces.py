"""Traces in a cluster: every process has a collector, and a way to it."""

from __future__ import annotations

import pytest

from services.chassis.tracing import PROTOCOL, traces_endpoint
from tests.unit.deploy.conftest import Manifest, environment, of_kind, pod_of, rendered, workloads
from tests.unit.deploy.network import Place, allows, places

COLLECTOR = Place("collector", {}, "monitoring")
TRACED = ["gateway", "retriever", "generator", "tuner"]


@pytest.fixture(scope="module")
def traced() -> list[Manifest]:
    return rendered("overlays/prod", "tracing")


def test_every_process_sends_its_spans_to_one_collector(traced: list[Manifest]) -> None:
    endpoints = set()
    for name in TRACED:
        for container in pod_of(workloads(traced)[name])["containers"]:
            endpoints.add(traces_endpoint(environment(traced, container)))
    assert endpoints == {"http://otel-collector.monitoring:4318/v1/traces"}


def test_the_engine_is_told_where_and_how_to_send(traced: list[Manifest]) -> None:
    engine, _ = pod_of(workloads(traced)["generator"])["containers"]
    given = environment(traced, engine)
    assert engine["args"][-1] == ("--otlp-traces-endpoint=$(OTEL_EXPORTER_OTLP_ENDPOINT)/v1/traces")
    assert given["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == PROTOCOL


def test_the_way_to_the_collector_is_open_with_the_component_only(traced: list[Manifest]) -> None:
    for name in TRACED:
        assert allows(traced, places(traced)[name], COLLECTOR, 4318)
    without = rendered("overlays/prod")
    assert not any(allows(without, place, COLLECTOR, 4318) for place in places(without).values())
    assert not allows(traced, places(traced)["qdrant"], COLLECTOR, 4318)


def test_a_rollout_s_queries_reach_prometheus_from_the_gateway_only() -> None:
    prod = rendered("overlays/prod")
    prometheus = Place("prometheus", {}, "monitoring")
    reaching = {name for name, one in places(prod).items() if allows(prod, one, prometheus, 9090)}
    assert reaching == {"gateway"}
    assert "rollout-queries" in of_kind(prod, "NetworkPolicy")
