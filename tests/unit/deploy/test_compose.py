"""The compose file: joined as the settings say, unprivileged, pinned, closed but for two ports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from services.cli.backups.databases import Postgres
from services.cli.backups.places import places_of
from services.generator.launching import Device, command
from tests.unit.deploy.conftest import ENGINE_PORT, ROOT, engine_plan, engine_variables
from tests.unit.deploy.test_images import stages
from tests.unit.deploy.test_wiring import settings_class

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
WITHOUT_GPU: dict[str, Any] = yaml.safe_load(
    (DEPLOY / "compose.cpu.yaml").read_text().replace("!reset ", "")
)["services"]["engine"]
PROMETHEUS = yaml.safe_load((DEPLOY / "compose" / "prometheus" / "prometheus.yml").read_text())
OURS = {"gateway": "gateway", "retriever": "retriever", "agent": "generator", "tuner": "tuner"}
"""Our processes, and whose settings they read."""
RUN_BY_HAND = "backup"

PORTS = {
    ("gateway", 8000),
    ("retriever", 8001),
    ("engine", 8002),
    ("tuner", 8003),
    ("engine", ENGINE_PORT),
    ("qdrant", 6333),
    ("postgres", 5432),
    ("prometheus", 9090),
}
"""Where something answers; the agent shares the engine's network, and so its name."""


def targets(service: str) -> dict[str, str]:
    """The secrets of a service by the file under which it finds them."""
    found = {}
    for secret in SERVICES[service].get("secrets", []):
        one = secret if isinstance(secret, dict) else {"source": secret, "target": secret}
        found[one["target"]] = one["source"]
    return found


def networks(service: str) -> set[str]:
    shared = SERVICES[service].get("network_mode", "")
    return set(SERVICES[shared.removeprefix("service:") or service]["networks"])


@pytest.mark.parametrize(("process", "service"), OURS.items())
def test_a_process_starts_on_exactly_what_it_is_given(
    process: str, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SERVICES[process]["environment"].items():
        if name.startswith("INKSTONE_"):
            monkeypatch.setenv(name, value)
    for target in targets(process):
        if "/" not in target:
            (tmp_path / target).write_text("postgresql://inkstone:x@postgres:5432/inkstone")
    assert SERVICES[process]["environment"]["INKSTONE_SECRETS_DIR"] == "/run/secrets"
    monkeypatch.setenv("INKSTONE_SECRETS_DIR", str(tmp_path))
    listening = settings_class(service)().model_dump()["listening"]
    where = "engine" if process == "agent" else process
    assert (where, listening["port"]) in PORTS
    assert listening["host"] == "0.0.0.0"
    check = SERVICES[process]["healthcheck"]["test"]
    assert check[-2:] == ["/srv/inkstone/healthcheck.py", "/readyz"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_url_leads_to_a_process_on_a_network_that_both_are_on(service: str) -> None:
    for value in SERVICES[service].get("environment", {}).values():
        url = urlsplit(str(value))
        if url.scheme != "http" or url.hostname == "127.0.0.1":
            continue
        assert url.hostname
        assert (url.hostname, url.port) in PORTS, value
        assert networks(service) & networks(url.hostname), value


def test_shared_secrets_are_the_same_file() -> None:
    pairs = [
        (
            "gateway",
            "INKSTONE_GATEWAY_RETRIEVER_API_KEY",
            "retriever",
            "INKSTONE_RETRIEVER_API_KEY",
        ),
        ("gateway", "INKSTONE_GATEWAY_ENGINE_API_KEY", "engine", "engine"),
        ("agent", "INKSTONE_GENERATOR_ENGINE_API_KEY", "engine", "engine"),
        ("agent", "INKSTONE_GENERATOR_API_KEY", "gateway", "/etc/inkstone/keys/agent.key"),
        ("tuner", "INKSTONE_TUNER_API_KEY", "gateway", "/etc/inkstone/keys/tuner.key"),
        ("retriever", "INKSTONE_RETRIEVER_QDRANT_API_KEY", "qdrant", "qdrant"),
    ]
    for one, target, other, its in pairs:
        assert targets(one)[target] == targets(other)[its], target


def test_every_secret_is_a_file_that_the_readme_makes() -> None:
    readme = (DEPLOY / "README.md").read_text()
    used = {source for service in SERVICES for source in targets(service).values()}
    assert used == set(COMPOSE["secrets"])
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": secret["file"]}
        assert secret["file"] in (f"./secrets/{name}", f"./secrets/{name}.key")
        assert re.search(rf"\b{name}\b", readme.partition("## One machine")[2])
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "deploy/secrets/" in ignored
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not name.endswith(("KEY", "PASSWORD")), (name, value)


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_unprivileged_pinned_healthy_and_comes_back(service: str) -> None:
    one = SERVICES[service]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert any(str(place).startswith("/tmp") for place in one.get("tmpfs", ["/tmp"]))
    if service == RUN_BY_HAND:
        assert (one["restart"], one["healthcheck"]) == ("no", {"disable": True})
    else:
        assert "test" in one["healthcheck"]
        assert one["restart"] == "unless-stopped"
    assert one["logging"]["options"]["max-size"]
    image, _, tag = one["image"].rpartition(":")
    assert image
    assert re.search(r"\d+\.\d+", tag)
    assert not one.get("privileged")
    # The engine takes what the machine has; everything else is bounded.
    assert service == "engine" or one["mem_limit"]


def test_only_gateway_and_grafana_are_published_and_to_loopback_unless_told() -> None:
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert published == {
        "gateway": ["${INKSTONE_BIND:-127.0.0.1}:8000:8000"],
        "grafana": ["${INKSTONE_BIND:-127.0.0.1}:3000:3000"],
    }


def test_what_keeps_data_has_no_way_out() -> None:
    open_networks = {n for n, o in COMPOSE["networks"].items() if not o.get("internal")}
    assert open_networks == {"apps", "downloads"}
    reaching = {name for name in SERVICES if networks(name) & open_networks}
    assert reaching == {"gateway", "grafana", "retriever"}
    assert {name for name in SERVICES if "data" in networks(name)} == {
        "postgres",
        "qdrant",
        "gateway",
        "retriever",
        "backup",
    }


def test_every_named_volume_is_declared_and_used() -> None:
    used = {
        volume.partition(":")[0]
        for one in SERVICES.values()
        for volume in one.get("volumes", [])
        if not volume.startswith((".", "$"))
    }
    assert used == set(COMPOSE["volumes"])


def test_a_backup_is_taken_when_asked_for_and_finds_what_the_services_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {name: one["profiles"] for name, one in SERVICES.items() if "profiles" in one} == {
        RUN_BY_HAND: ["backup"]
    }
    one = SERVICES[RUN_BY_HAND]
    for name, value in one["environment"].items():
        monkeypatch.setenv(name, value)
    for target, source in targets(RUN_BY_HAND).items():
        (owner,) = {s for s in ("gateway", "retriever") if target in targets(s)}
        assert targets(owner)[target] == source
        (tmp_path / target).write_text("postgresql://inkstone:x@postgres:5432/inkstone")
    monkeypatch.setenv("INKSTONE_SECRETS_DIR", str(tmp_path))
    places = places_of(tmp_path / "home")
    assert isinstance(places.registry, Postgres)
    assert isinstance(places.catalogue, Postgres)
    for owner, variable in (
        ("gateway", "INKSTONE_GATEWAY_ARTIFACTS_URL"),
        ("retriever", "INKSTONE_RETRIEVER_SPOOL_DIR"),
    ):
        place = SERVICES[owner]["environment"][variable]
        assert one["environment"][variable] == place
        volumes = {v for v in SERVICES[owner]["volumes"] if v.split(":")[1] in place}
        assert volumes
        assert volumes <= set(one["volumes"])
    assert one["command"][:2] == ["sh", "-c"]
    assert "/srv/backups" in {volume.rpartition(":")[2] for volume in one["volumes"]}


@pytest.mark.parametrize(("process", "service"), OURS.items())
def test_a_new_volume_belongs_to_the_user_that_writes_to_it(process: str, service: str) -> None:
    stage = stages()["generator" if service == "generator" else "service"]
    owned = re.findall(r"install -d -o 10001 -g 10001 (.+)", stage)[0].split()
    for volume in SERVICES[process]["volumes"]:
        name, place, *options = volume.split(":")
        if name in COMPOSE["volumes"] and options != ["ro"]:
            assert place in owned, volume


def test_every_file_that_is_mounted_exists() -> None:
    for one in SERVICES.values():
        for volume in one.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), source


def test_agent_and_engine_share_network_and_adapters() -> None:
    assert SERVICES["agent"]["network_mode"] == "service:engine"
    folder = SERVICES["agent"]["environment"]["INKSTONE_GENERATOR_DATA_DIR"]
    assert f"adapters:{folder}" in SERVICES["agent"]["volumes"]
    assert f"adapters:{folder}:ro" in SERVICES["engine"]["volumes"]
    advertised = SERVICES["agent"]["environment"]["INKSTONE_GENERATOR_ADVERTISED_ENGINE_URL"]
    assert advertised == f"http://engine:{ENGINE_PORT}"


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_the_engine_is_started_as_an_agent_would_start_it(tmp_path: Path, device: Device) -> None:
    plan = engine_plan(tmp_path, device)
    engine = SERVICES["engine"]
    variables = engine["environment"] | (WITHOUT_GPU["environment"] if device == "cpu" else {})
    given = f"{engine['command']} {variables['ENGINE_ARGUMENTS']}"
    wanted = command(plan)
    assert {part for part in wanted if part.startswith("--")} == set(
        re.findall(r"(?<=[ -])(--[a-z-]+)", given)
    )
    assert wanted[1:3] == ["-m", variables["ENGINE_SERVER"]]
    assert variables.items() >= engine_variables(plan).items()
    agent = SERVICES["agent"]["environment"]
    for name in ("MAX_LORAS", "MAX_CPU_LORAS", "MAX_LORA_RANK"):
        flag = "--" + name.lower().replace("_", "-")
        assert f"{flag}={agent['INKSTONE_GENERATOR_' + name]} " in given


def test_prometheus_scrapes_everything_that_has_metrics() -> None:
    scraped = {}
    for job in PROMETHEUS["scrape_configs"]:
        (config,) = job["static_configs"]
        (target,) = config["targets"]
        scraped[job["job_name"]] = target.replace("localhost", "prometheus")
        if "authorization" in job:
            credentials = Path(job["authorization"]["credentials_file"])
            assert credentials.parent == Path("/run/secrets")
            assert credentials.name in targets("prometheus")
    ours = {f"inkstone-{name}" for name in ("gateway", "retriever", "generator", "tuner", "engine")}
    assert set(scraped) == ours | {"qdrant", "prometheus"}
    for target in scraped.values():
        host, _, port = target.partition(":")
        assert (host, int(port)) in PORTS
        assert "watch" in networks(host)


def test_rules_and_dashboards_are_mounted_where_they_are_read() -> None:
    mounted = dict(v.rsplit(":", 1)[0].split(":") for v in SERVICES["prometheus"]["volumes"][:2])
    for file in PROMETHEUS["rule_files"]:
        assert Path(file).parent == Path(mounted["./alerts"])
    provider = yaml.safe_load(
        (DEPLOY / "compose" / "grafana" / "dashboards" / "inkstone.yaml").read_text()
    )
    (one,) = provider["providers"]
    assert f"./dashboards:{one['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
    source = yaml.safe_load(
        (DEPLOY / "compose" / "grafana" / "datasources" / "prometheus.yaml").read_text()
    )
    (store,) = source["datasources"]
    assert store["url"] == "http://prometheus:9090"
