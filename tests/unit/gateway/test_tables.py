"""What can be changed by two at once has a version, or a reason why it needs none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from sqlalchemy import Table

import services.gateway
from services.gateway.registry import tables

GATEWAY = Path(services.gateway.__file__).parent
TABLES = sorted(tables.metadata.tables.values(), key=lambda table: table.name)


def named(node: ast.expr, aliases: dict[str, str]) -> str | None:
    """Tell which attribute of `tables` an expression is, directly or by a module's own name."""
    if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "tables":
        return node.attr
    return aliases.get(node.id) if isinstance(node, ast.Name) else None


def aliases_of(module: ast.Module) -> dict[str, str]:
    """Read `_jobs = tables.training_jobs` and the like, wherever it stands."""
    known: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = (
                zip(target.elts, value.elts, strict=False)
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                else [(target, value)]
            )
            for one, meant in pairs:
                table = named(meant, {})
                if isinstance(one, ast.Name) and table is not None:
                    known[one.id] = table
    return known


def updated() -> set[str]:
    """Name the attributes of `tables` that any statement of the gateway updates."""
    found = set()
    for file in GATEWAY.rglob("*.py"):
        module = ast.parse(file.read_text())
        aliases = aliases_of(module)
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "update":
                table = named(node.args[0], aliases)
                assert table is not None, f"{file.name}:{node.lineno} updates no table by its name"
                found.add(table)
    return found


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_has_a_version_or_says_why_its_rows_need_none(table: Table) -> None:
    versioned, reason = "version" in table.c, table.info.get(tables.LONE)
    assert versioned != bool(reason)
    if versioned:
        # Grows by itself, so that no statement can forget it.
        assert table.c.version.onupdate is not None


def test_what_is_said_to_be_written_once_is_never_updated() -> None:
    changed = {getattr(tables, name).name for name in updated()}
    assert {"keys", "rollouts", "training_jobs"} <= changed
    never = {t.name for t in TABLES if str(t.info.get(tables.LONE)).endswith("never changed")}
    assert "ledger" in never
    assert not never & changed
