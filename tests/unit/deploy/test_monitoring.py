"""Dashboards, rules and alerts name what exists, do what they say, and lead to a page."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.prometheus import MISSING, PROMTOOL
from tests.unit.docs.test_documented import check_command
from tools.monitoring.alerts import ALERTS
from tools.monitoring.files import BOARDS, expressions, metrics_of
from tools.monitoring.grafana import WIDTH
from tools.monitoring.objectives import OBJECTIVES

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
READ = {name for expression in expressions() for name in metrics_of(expression)}


def exported() -> set[str]:
    """Every metric of ours, as docs/metrics.md lists it from the code."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    return set(re.findall(r"^\| `(inkstone_\w+)` \|", page, re.MULTILINE))


def test_every_metric_of_ours_that_is_read_exists() -> None:
    ours = {name for name in READ if name.startswith("inkstone_")}
    assert ours <= exported()


def test_every_metric_of_ours_is_shown_or_watched() -> None:
    assert exported() <= READ


def test_every_metric_of_the_engine_that_is_read_is_one_of_vllm() -> None:
    package = importlib.util.find_spec("vllm")
    if package is None or package.origin is None:
        pytest.skip("vLLM is not installed")
    loggers = Path(package.origin).parent / "v1" / "metrics" / "loggers.py"
    known = set(re.findall(r'name="(vllm:\w+)"', loggers.read_text()))
    read = {name.removesuffix("_total") for name in READ if name.startswith("vllm:")}
    assert len(read) > 5
    assert read <= {name.removesuffix("_total") for name in known}


def test_recorded_series_that_are_read_are_recorded() -> None:
    recorded = {rule["record"] for each in OBJECTIVES for rule in each.recordings()}
    assert {name for name in READ if name.startswith("inkstone:")} <= recorded


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_has_a_page_that_says_what_to_do(alert: Any) -> None:
    text = (ROOT / alert.runbook).read_text()
    assert f"`{alert.name}`" in text
    for part in ("## What it means", "## How to look", "## How to mend"):
        assert part in text, part


def test_every_page_belongs_to_an_alert() -> None:
    pages = {str(path.relative_to(ROOT)) for path in RUNBOOKS.glob("*.md")}
    assert pages - {"docs/runbooks/README.md"} == {alert.runbook for alert in ALERTS}


def test_alerts_have_names_of_their_own() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_no_two_panels_lie_on_one_another(board: Any) -> None:
    path = ROOT / "deploy" / "dashboards" / f"{board.uid.removeprefix('inkstone-')}.json"
    panels = json.loads(path.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set[tuple[int, int]]()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.skipif(PROMTOOL is None, reason=MISSING)
def test_prometheus_understands_the_rules_and_every_alert_fires_when_it_should() -> None:
    said = promtool("check", "rules", "alerts.yml", "recordings.yml")
    assert f"{len(ALERTS)} rules found" in said
    assert "SUCCESS" in promtool("test", "rules", "tests.yml")


def promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / "deploy" / "alerts",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_commands_and_codes_that_pages_name_exist(path: Path) -> None:
    text = path.read_text()
    for line in re.findall(r"`inkstone ([^`]+)`", text):
        check_command(shlex.split(line))
    codes = (ROOT / "docs" / "errors.md").read_text()
    for code in re.findall(r"\b[45]\d\d\s`(\w+)`", text):
        assert f"`{code}`" in codes, code
    settings = (ROOT / "docs" / "settings.md").read_text()
    for name in re.findall(r"`(INKSTONE_\w+)`", text):
        assert f"`{name}`" in settings, name
