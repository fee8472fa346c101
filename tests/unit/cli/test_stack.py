"""Which processes make the local stack."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from services.cli.home import open_home
from services.cli.stack import PortTakenError, choose_ports, plan


def test_a_taken_port_is_refused_with_the_mend() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortTakenError, match="INKSTONE_PORT"):
            choose_ports(taken.getsockname()[1])


def test_every_process_listens_on_a_port_of_its_own(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ports = choose_ports(port)
    home, _ = open_home(tmp_path)
    plans = plan(home, ports, base=tmp_path, examples=None)
    assert [one.name for one in plans] == ["retriever", "gateway", "generator", "tuner"]
    chosen = [one.environment[f"INKSTONE_{one.name.upper()}_LISTENING__PORT"] for one in plans]
    assert len({*chosen, str(ports.engine)}) == 5


def test_what_the_user_sets_wins_over_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKSTONE_RETRIEVER_DATA_DIR", "/srv/elsewhere")
    home, _ = open_home(tmp_path)
    retriever = plan(home, choose_ports(0), base=tmp_path, examples=None)[0]
    assert retriever.environment["INKSTONE_RETRIEVER_DATA_DIR"] == "/srv/elsewhere"


def test_no_secret_stands_on_a_command_line(tmp_path: Path) -> None:
    home, _ = open_home(tmp_path)
    for one in plan(home, choose_ports(0), base=tmp_path, examples=None):
        assert not any("ink_" in part or home.key("engine") in part for part in one.command)
