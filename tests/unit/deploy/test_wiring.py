"""How the containers are joined: settings that the services take, ports that answer, open paths."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.chassis.settings import ServiceSettings
from services.generator.guard import ALLOWED, OPEN
from services.generator.launching import Device, command
from tests.unit.deploy.conftest import (
    ENGINE_PORT,
    Manifest,
    containers,
    engine_plan,
    engine_variables,
    environment,
    of_kind,
)
from tests.unit.deploy.network import allows, places

SERVICES = {
    ("gateway", "gateway"): 8000,
    ("retriever", "retriever"): 8001,
    ("generator", "agent"): 8002,
    ("tuner", "tuner"): 8003,
}


def settings_class(service: str) -> type[ServiceSettings]:
    found: type[ServiceSettings] = import_module(f"services.{service}.settings").Settings
    return found


@pytest.mark.parametrize("key", SERVICES)
def test_a_service_starts_on_exactly_the_variables_that_it_is_given(
    manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch, key: tuple[str, str]
) -> None:
    given = environment(manifests, containers(manifests)[key])
    ours = {name: value for name, value in given.items() if name.startswith("INKSTONE_")}
    assert all(name.startswith(f"INKSTONE_{key[0].upper()}_") for name in ours)
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = settings_class(key[0])()
    assert settings.model_dump()["listening"]["host"] == "0.0.0.0"


def test_a_variable_that_no_service_knows_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKSTONE_TUNER_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(ValueError, match="names no setting"):
        settings_class("tuner")()


@pytest.mark.parametrize(("key", "port"), SERVICES.items())
def test_a_service_listens_where_its_probes_and_its_service_ask(
    manifests: list[Manifest], key: tuple[str, str], port: int
) -> None:
    name, _ = key
    container = containers(manifests)[key]
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    variables = environment(manifests, container)
    assert variables[f"INKSTONE_{name.upper()}_LISTENING__PORT"] == str(port)
    for probe, path in (("startup", "healthz"), ("liveness", "healthz"), ("readiness", "readyz")):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": f"/{path}", "port": "http"}
    (service,) = of_kind(manifests, "Service")[name]["spec"]["ports"]
    assert service == {"name": "http", "port": port, "targetPort": "http"}


@pytest.mark.parametrize("key", SERVICES)
def test_a_service_has_the_routes_that_probes_and_scrapes_ask_for(
    prod: list[Manifest], monkeypatch: pytest.MonkeyPatch, key: tuple[str, str]
) -> None:
    container = containers(prod)[key]
    for name, value in environment(prod, container).items():
        if name.startswith("INKSTONE_"):
            monkeypatch.setenv(
                name, value.replace("url", "postgresql://inkstone@postgres/inkstone")
            )
    app = import_module(f"services.{key[0]}.app").create_app()
    asked = {container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
    assert asked | {"/metrics"} <= {route.path for route in app.routes if hasattr(route, "path")}


def test_the_engines_guard_lets_probes_and_scrapes_through(prod: list[Manifest]) -> None:
    engine = containers(prod)["generator", "engine"]
    asked = {engine[probe]["httpGet"]["path"] for probe in engine if probe.endswith("Probe")}
    assert {("GET", path) for path in asked} <= OPEN
    assert ("GET", "/metrics") in ALLOWED


def test_the_engine_listens_where_its_probes_and_its_agent_ask(manifests: list[Manifest]) -> None:
    engine = containers(manifests)["generator", "engine"]
    assert engine["ports"] == [{"name": "engine", "containerPort": ENGINE_PORT}]
    assert f"--port={ENGINE_PORT}" in engine["args"]
    for probe in ("startupProbe", "livenessProbe"):
        assert engine[probe]["httpGet"] == {"path": "/health", "port": "engine"}
    agent = environment(manifests, containers(manifests)["generator", "agent"])
    assert agent["INKSTONE_GENERATOR_ENGINE_URL"] == f"http://127.0.0.1:{ENGINE_PORT}"


def test_the_engine_is_guarded_and_has_the_key_that_gateway_and_agent_send(
    manifests: list[Manifest],
) -> None:
    found = containers(manifests)
    engine = found["generator", "engine"]
    assert "--middleware=services.generator.guard.RouteGuard" in engine["args"]
    sent = {
        (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for key, name in (
            (("generator", "engine"), "VLLM_API_KEY"),
            (("generator", "agent"), "INKSTONE_GENERATOR_ENGINE_API_KEY"),
            (("gateway", "gateway"), "INKSTONE_GATEWAY_ENGINE_API_KEY"),
        )
        for entry in found[key]["env"]
        if entry["name"] == name
    }
    assert sent == {("inkstone-shared", "engine")}


def test_the_engines_arguments_name_variables_that_it_has(manifests: list[Manifest]) -> None:
    engine = containers(manifests)["generator", "engine"]
    known = environment(manifests, engine)
    for argument in engine["args"]:
        _, found, rest = argument.partition("$(")
        if found:
            assert rest.rstrip(")") in known, argument


def test_the_engine_has_every_argument_that_an_agent_would_start_it_with(
    manifests: list[Manifest], tmp_path: Path
) -> None:
    engine = containers(manifests)["generator", "engine"]
    # The small overlay has no GPU.
    device: Device = "cuda" if "nvidia.com/gpu" in engine["resources"]["limits"] else "cpu"
    plan = engine_plan(tmp_path, device)
    given = {argument.partition("=")[0] for argument in engine["args"]}
    wanted = command(plan)
    assert given == {part for part in wanted if part.startswith("--")}
    assert engine["command"] == ["python3", *wanted[1:3]]
    assert environment(manifests, engine).items() >= engine_variables(plan).items()


def test_the_agent_puts_adapters_where_the_engine_reads_them(manifests: list[Manifest]) -> None:
    found = containers(manifests)
    data_dir = environment(manifests, found["generator", "agent"])["INKSTONE_GENERATOR_DATA_DIR"]

    def volume_at(container: str) -> str:
        mounts = found["generator", container]["volumeMounts"]
        name: str = next(m["name"] for m in mounts if m["mountPath"] == data_dir)
        return name

    assert volume_at("engine") == volume_at("agent")


def flows(manifests: list[Manifest]) -> set[tuple[str, str, int]]:
    """Who calls whom, as the environment says: caller, callee, port."""
    found = set()
    for (deployment, _), container in containers(manifests).items():
        for value in environment(manifests, container).values():
            url = urlsplit(value) if value.startswith("http://") else None
            if url and url.hostname in of_kind(manifests, "Service") and url.port:
                found.add((deployment, url.hostname, url.port))
    return found | {("gateway", "generator", ENGINE_PORT)}


def test_every_call_goes_to_a_port_of_a_service(manifests: list[Manifest]) -> None:
    ports = {
        (name, port["port"])
        for name, service in of_kind(manifests, "Service").items()
        for port in service["spec"]["ports"]
    } | {("generator", ENGINE_PORT)}
    called = flows(manifests)
    assert {(callee, port) for _, callee, port in called} <= ports
    assert ("gateway", "retriever", 8001) in called
    assert ("generator", "gateway", 8000) in called


def test_a_call_that_the_settings_name_is_let_through(manifests: list[Manifest]) -> None:
    known = places(manifests)
    for caller, callee, port in flows(manifests):
        assert allows(manifests, known[caller], known[callee], port), (caller, callee, port)
