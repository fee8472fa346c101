"""The files of `deploy/` that come from this folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tools.monitoring.alerts import ALERTS, GROUPS
from tools.monitoring.boards.costs import COSTS
from tools.monitoring.boards.engine import ENGINE
from tools.monitoring.boards.ingestion import INGESTION
from tools.monitoring.boards.latency import LATENCY
from tools.monitoring.boards.overview import OVERVIEW
from tools.monitoring.boards.retrieval import RETRIEVAL
from tools.monitoring.boards.rollouts import ROLLOUTS
from tools.monitoring.boards.tuner import TUNER
from tools.monitoring.grafana import rendered
from tools.monitoring.objectives import OBJECTIVES
from tools.monitoring.rules import alerts_file, recordings_file, tests_file

BOARDS = (OVERVIEW, LATENCY, COSTS, RETRIEVAL, ROLLOUTS, INGESTION, ENGINE, TUNER)
"""All dashboards."""

_SUFFIXES = ("_bucket", "_sum", "_count")


def monitoring_files() -> dict[str, str]:
    """Write every file, by its path from the repository's root."""
    boards = {
        f"deploy/dashboards/{board.uid.removeprefix('inkstone-')}.json": json.dumps(
            rendered(board), indent=1, ensure_ascii=False
        )
        + "\n"
        for board in BOARDS
    }
    return boards | {
        "deploy/alerts/recordings.yml": recordings_file(OBJECTIVES),
        "deploy/alerts/alerts.yml": alerts_file(GROUPS),
        "deploy/alerts/tests.yml": tests_file(ALERTS),
    }


def expressions() -> Iterator[str]:
    """Go through every PromQL expression of dashboards, recording rules and alerts."""
    for board in BOARDS:
        for panel in board.panels:
            yield from (query.expr for query in panel.queries)
    for objective in OBJECTIVES:
        yield from (rule["expr"] for rule in objective.recordings())
    yield from (alert.expr for alert in ALERTS)


def metrics_of(expression: str) -> set[str]:
    """Name the metrics that an expression reads, a histogram without its suffix."""
    named = set(re.findall(r"\b(?:inkstone_|vllm:|inkstone:)\w+(?::\w+)*", expression))
    return {_whole(name) for name in named}


def _whole(name: str) -> str:
    ending = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(ending)
