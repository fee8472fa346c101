"""The folder that holds all local state."""

from __future__ import annotations

import stat
from pathlib import Path

from services.cli.connection import connect
from services.cli.home import open_home, remember_url


def test_the_first_start_makes_keys_that_only_their_owner_can_read(tmp_path: Path) -> None:
    home, first = open_home(tmp_path / "집")
    assert first
    files = [*home.keys.iterdir(), *home.secrets.iterdir()]
    assert {file.name for file in files} >= {"admin.key", "app.key", "engine", "retriever"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert len({file.read_text() for file in files}) == len(files)


def test_a_second_start_keeps_the_keys(tmp_path: Path) -> None:
    home, _ = open_home(tmp_path)
    again, first = open_home(tmp_path)
    assert not first
    assert again.key("admin") == home.key("admin")
    assert home.key("admin").startswith("ink_")


def test_commands_find_the_stack_on_whatever_port_it_was_started(tmp_path: Path) -> None:
    home, _ = open_home(tmp_path)
    assert connect(home=tmp_path, key=None, url=None).url == "http://127.0.0.1:8000"
    remember_url(home, "http://127.0.0.1:8123")
    found = connect(home=tmp_path, key=None, url=None)
    assert (found.url, found.key) == ("http://127.0.0.1:8123", home.key("admin"))
    assert connect(home=tmp_path, key="k", url="https://a.example/").url == "https://a.example"
