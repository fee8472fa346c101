"""The supervisor's environment for its children is one that they take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.cli.home import open_home
from services.cli.stack import Ports, plan
from tests.unit.deploy.test_wiring import settings_class


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("INKSTONE_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("service", ["gateway", "retriever", "generator", "tuner"])
def test_a_service_starts_on_what_the_supervisor_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    home, first_start = open_home(tmp_path / "집")
    assert first_start
    ports = Ports(gateway=8000, retriever=8001, generator=8002, tuner=8003, engine=8100)
    plans = plan(home, ports, base=tmp_path / "base", examples=tmp_path / "examples")
    (process,) = [one for one in plans if one.name == service]
    for name, value in process.environment.items():
        monkeypatch.setenv(name, value)
    listening = settings_class(service)().model_dump()["listening"]
    assert listening["port"] == getattr(ports, service)
    assert listening["host"] == "127.0.0.1"
    assert process.ready_url == f"http://127.0.0.1:{listening['port']}/readyz"


def test_services_that_share_a_secret_are_given_the_same(tmp_path: Path) -> None:
    home, _ = open_home(tmp_path)
    ports = Ports(gateway=1, retriever=2, generator=3, tuner=4, engine=5)
    given: dict[str, str] = {}
    for process in plan(home, ports, base="base", examples=None):
        given |= process.environment
    assert given["INKSTONE_GATEWAY_RETRIEVER_API_KEY"] == given["INKSTONE_RETRIEVER_API_KEY"]
    assert given["INKSTONE_GATEWAY_ENGINE_API_KEY"] == given["INKSTONE_GENERATOR_ENGINE_API_KEY"]
    urls = {value for name, value in given.items() if name.endswith("_ARTIFACTS_URL")}
    assert len(urls) == 1
