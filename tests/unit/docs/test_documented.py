"""The documentation is complete: what the code has, docs/ has, and what docs/ says, works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main

from services.chassis.settings import SettingsGroup
from services.cli.main import app

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
SOURCES = {
    file.relative_to(ROOT): file.read_text()
    for file in (ROOT / "services").rglob("*.py")
    if "migrations" not in file.parts
}
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "deploy" / "README.md"])


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def found(pattern: str, *, under: str = "services") -> set[str]:
    """What a pattern's group matches in the sources below a folder."""
    return {
        match
        for file, text in SOURCES.items()
        if file.is_relative_to(under)
        for match in re.findall(pattern, text)
    }


def test_the_reference_pages_are_what_the_code_says() -> None:
    command = [sys.executable, str(ROOT / "tools" / "reference.py"), "--check"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("INKSTONE_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=plain)
    assert done.returncode == 0, done.stdout + done.stderr


def names(model: Any, lead: str = "") -> list[str]:
    """Every variable that a settings class reads, groups field by field."""
    listed = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, SettingsGroup):
            listed += names(kind, f"{lead}{name}__")
        else:
            listed.append(f"{lead}{name}".upper())
    return listed


@pytest.mark.parametrize("service", ["gateway", "retriever", "generator", "tuner"])
def test_every_setting_is_documented_and_explains_itself(service: str) -> None:
    settings = import_module(f"services.{service}.settings").Settings
    row = re.compile(r"^\| `(INKSTONE_\w+)` \|[^|]*\| (.*?) \|$", re.MULTILINE)
    rows = dict(row.findall(page("settings")))
    for name in names(settings):
        assert rows.get(settings.model_config["env_prefix"] + name), name


def test_every_variable_of_the_command_is_documented() -> None:
    used = found(r'"(INKSTONE_[A-Z_]+[A-Z])"', under="services/cli")
    assert {"INKSTONE_HOME", "INKSTONE_PORT"} <= used
    for name in used:
        assert f"`{name}`" in page("settings"), name


def test_every_metric_is_documented_with_its_help() -> None:
    rows = dict(re.findall(r"^\| `(inkstone_\w+)` \|.*\| (.+?) \|$", page("metrics"), re.MULTILINE))
    written = found(r'"(inkstone_[a-z_]+)"') - {"inkstone_registry", "inkstone_writes"}
    assert len(written) > 20
    for name in written:
        assert rows.get(name) or rows.get(f"{name}_total"), name


def test_every_error_code_is_documented() -> None:
    codes = (
        found(r'\bcode = "(\w+)"') | found(r'\bcode="(\w+)"') | found(r'PreflightError\(\s*"(\w+)"')
    )
    assert len(codes) > 50
    listed = set(re.findall(r"`([a-z_]+)`", page("errors")))
    assert codes <= listed, codes - listed


def test_every_documented_code_is_in_the_code() -> None:
    literals = found(r'"([a-z_]+)"') | {
        f"{peer}_{ending}"
        for peer in found(r'Peer\(\s*"(\w+)"')
        for ending in ("failed", "timeout", "unavailable", "unreachable")
    }
    listed = re.findall(r"^\| (?:\d+ \| )?`([a-z_]+)` \|", page("errors"), re.MULTILINE)
    assert set(listed) <= literals, set(listed) - literals


def test_no_meaning_is_left_out() -> None:
    for name in ("settings", "metrics", "errors"):
        for line in page(name).splitlines():
            if line.startswith("|"):
                assert line.strip("| ").split("|")[-1].strip(), line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_are_shown_exist(path: Path) -> None:
    for line in re.findall(r"^(?:\.venv/bin/)?inkstone ([^\n]*)$", path.read_text(), re.MULTILINE):
        check_command(shlex.split(line.replace("…", ""), comments=True))


def check_command(arguments: list[str]) -> None:
    """Parse a command line as the command itself would, without running it."""
    command: Any = typer.main.get_command(app)
    context: Any = None
    while hasattr(command, "commands"):
        context = command.context_class(command, info_name="inkstone", parent=context)
        _, command, arguments = command.resolve_command(context, arguments)
    assert command.make_context("inkstone", list(arguments), parent=context).params


@pytest.mark.parametrize("wrong", ["documents upload x", "ask --modle x y", "documents add"])
def test_a_command_that_does_not_exist_would_fail(wrong: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|missing"):
        check_command(shlex.split(wrong))


def test_decisions_are_numbered_without_gaps_and_have_their_parts() -> None:
    decisions = sorted((DOCS / "decisions").glob("*.md"))
    for number, path in enumerate(decisions, start=1):
        text = path.read_text()
        assert path.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04}. ")
        for part in ("Status: ", "## Context", "## Decision", "## Consequences"):
            assert part in text, (path.name, part)
        assert 35 <= len(text.splitlines()) <= 65


def test_the_glossary_knows_the_words_of_the_contracts() -> None:
    words = page("glossary").lower()
    kinds = found(r"^class (Assistant|Release|Profile|Collection|Document|Passage|Citation|Key)\b")
    kinds |= {"adapter version", "replica", "tenant", "scope", "snapshot", "ledger", "agent"}
    for word in kinds:
        assert f"**{word.lower()}**" in words or word.lower() in words, word
