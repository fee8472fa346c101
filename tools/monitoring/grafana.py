"""Dashboards in our own words, and Grafana's JSON made of them.

The JSON is that of Grafana's classic dashboard model, schema version 39, which Grafana 10 and newer
import: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

WIDTH = 24
"""Columns of Grafana's grid."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Unit = Literal["short", "s", "percentunit", "reqps", "currencyUSD", "bytes", "dateTimeFromNow"]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and how its series are named."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure; `says` tells an operator what to make of it."""

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Literal["timeseries", "stat"] = "timeseries"
    columns: int = 8
    needs: str = ""
    """What an installation must have for the panel to show a figure, where not all have it."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    by_assistant: bool = False
    """Whether it can be narrowed to some assistants, by `$assistant`."""

    @property
    def panels(self) -> Iterator[Panel]:
        """Go through all panels."""
        for row in self.rows:
            yield from row.panels


def one(
    title: str, says: str, expr: str, legend: str = "", *, unit: Unit = "short", needs: str = ""
) -> Panel:
    """Make a panel of one query."""
    return Panel(title, says, (Query(expr, legend),), unit, needs=needs)


def stat(title: str, says: str, expr: str, *, unit: Unit = "short") -> Panel:
    """Make a panel that shows one number."""
    return Panel(title, says, (Query(expr),), unit, kind="stat", columns=4)


def quantiles(title: str, says: str, series: str, *, by: str = "", needs: str = "") -> Panel:
    """Make a panel of the median and the 95th percentile of a histogram in seconds."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    queries = tuple(
        Query(
            f"histogram_quantile({q}, sum by ({labels}) (rate({series}[$__rate_interval])))",
            f"p{round(q * 100)}{legend}",
        )
        for q in (0.5, 0.95)
    )
    return Panel(title, says, queries, "s", needs=needs)


def rendered(board: Board) -> dict[str, Any]:
    """Write a dashboard as Grafana reads it."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.says,
        "tags": ["inkstone"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "templating": {"list": _variables(board)},
        "links": [
            {
                "type": "dashboards",
                "tags": ["inkstone"],
                "title": "Inkstone",
                "asDropdown": True,
                "keepTime": True,
            }
        ],
        "panels": list(_placed(board.rows)),
    }


def _variables(board: Board) -> list[dict[str, Any]]:
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "source"}
    if not board.by_assistant:
        return [source]
    values = "label_values(inkstone_requests_total, assistant)"
    assistant = {
        "name": "assistant",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": values, "refId": "assistant"},
        "definition": values,
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }
    return [source, assistant]


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Lay panels out from left to right, row by row."""
    number, y = 0, 0
    for row in rows:
        number += 1
        at = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": row.title, "gridPos": at, "panels": []}
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            tall = 4 if panel.kind == "stat" else 8
            if x + panel.columns > WIDTH:
                x, y, height = 0, y + height, 0
            number += 1
            place = {"h": tall, "w": panel.columns, "x": x, "y": y}
            yield _panel(panel, number, place)
            x, height = x + panel.columns, max(height, tall)
        y += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + at),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "instant": panel.kind == "stat",
            "range": panel.kind != "stat",
        }
        for at, query in enumerate(panel.queries)
    ]
    drawn = {} if panel.kind == "stat" else {"custom": {"fillOpacity": 10, "showPoints": "never"}}
    says = f"{panel.says} Needs {panel.needs}." if panel.needs else panel.says
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": says,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, **drawn}, "overrides": []},
    }
