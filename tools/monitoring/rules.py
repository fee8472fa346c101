"""Recording rules and alerts in our own words, and Prometheus' YAML made of them.

Kept to what Prometheus 2.42 knows. The windows and factors of burn rates are those of the Site
Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""Over which the share of bad requests is recorded."""

PAGING_BAD_REQUESTS = 10
"""How many bad requests the long window must hold before somebody is woken: one failure among nine
requests is a large share and a small loss. Where all of a few requests fail, it is soon reached."""

RUNBOOKS = "docs/runbooks"
"""Where the pages lie that alerts point to."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a unit test of an alert feeds to Prometheus, one sample of each series a minute.

    Attributes:
        series: values by series, in promtool's notation.
        at: when the alert is looked at.
        labels: those of the alert that fires, beside `alertname` and `severity`.
    """

    series: Mapping[str, str]
    at: str = "15m"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. A `page` wakes somebody, a `ticket` waits for the morning."""

    name: str
    expr: str
    lasting: str
    severity: Literal["page", "ticket"]
    summary: str
    """One sentence; may name labels of the alert as `{{ $labels.x }}`, and no value."""
    fires: Case
    quiet: Case
    """As near to firing as it may be."""
    page: str = ""
    """The runbook's name, where several alerts share one; the alert's own otherwise."""
    fires_too: tuple[Case, ...] = ()
    """Further cases that a change of the expression could lose."""
    quiet_too: tuple[Case, ...] = ()

    @property
    def runbook(self) -> str:
        """The path of the alert's page."""
        words = re.sub(r"(?<!^)(?=[A-Z])", "-", self.name).lower()
        return f"{RUNBOOKS}/{self.page or words}.md"

    def told(self, labels: Mapping[str, str]) -> str:
        """Say the summary for one firing alert; `or` takes the first label that there is."""

        def said(found: re.Match[str]) -> str:
            names = re.findall(r"\$labels\.(\w+)", found[0])
            return next((labels[name] for name in names if name in labels), "")

        return re.sub(r"{{ (?:or )?(?:\$labels\.\w+ )+}}", said, self.summary)

    def cases(self) -> Iterator[tuple[str, bool, Case]]:
        """Go through all cases: a name of its own, whether the alert fires, and the case."""
        for fires, first, further in (
            (True, self.fires, self.fires_too),
            (False, self.quiet, self.quiet_too),
        ):
            name = f"{self.name} {'fires' if fires else 'stays quiet'}"
            for number, case in enumerate((first, *further), start=1):
                yield (name if number == 1 else f"{name} ({number})"), fires, case


@dataclass(frozen=True, slots=True)
class Objective:
    """A share of requests that must be good over 30 days."""

    name: str
    """Names the recorded series: `inkstone:<name>:ratio_rate<window>`."""
    target: float
    bad_share: str
    """PromQL of the share of bad requests, with `WINDOW` for the window."""
    bad_number: str
    """PromQL of the number of bad requests, with `WINDOW` for the window."""
    alert: str
    summary: str
    bad: Mapping[str, str]
    """Series of an hour in which nearly everything is bad."""
    good: Mapping[str, str]
    few: Mapping[str, str]
    """Series of a quarter of an hour with nine requests: the share is bad, the number small."""
    few_bad: Mapping[str, str]
    """Series of an hour with one bad request a minute and hardly a good one."""

    @property
    def budget(self) -> float:
        """The share that may be bad."""
        return round(1 - self.target, 6)

    def recordings(self) -> list[dict[str, str]]:
        """Write the recording rules."""
        return [
            {
                "record": f"inkstone:{self.name}:ratio_rate{window}",
                "expr": self.bad_share.replace("WINDOW", window),
            }
            for window in WINDOWS
        ]

    def alerts(self) -> tuple[Alert, Alert]:
        """Make the two alerts: the budget of 30 days gone in days, and in weeks."""
        fast = self._burning((14.4, "1h", "5m"), (6, "6h", "30m"), floor=PAGING_BAD_REQUESTS)
        slow = self._burning((3, "1d", "2h"), (1, "3d", "6h"))
        page = f"{self.alert[0].lower()}{self.alert[1:]}"
        page = re.sub(r"(?=[A-Z])", "-", page).lower()
        fires, quiet = Case(self.bad), Case(self.good, "75m")
        hours = Case(self.bad, "75m")
        return (
            Alert(
                f"{self.alert}BurnsFast",
                fast,
                "2m",
                "page",
                self.summary,
                fires,
                quiet,
                page,
                fires_too=(Case(self.few_bad),),
                quiet_too=(Case(self.few),),
            ),
            Alert(
                f"{self.alert}BurnsSlowly", slow, "1h", "ticket", self.summary, hours, quiet, page
            ),
        )

    def _burning(self, *pairs: tuple[float, str, str], floor: int = 0) -> str:
        def above(factor: float, window: str) -> str:
            return f"inkstone:{self.name}:ratio_rate{window} > {factor} * {self.budget}"

        def burning(factor: float, long: str, short: str) -> str:
            enough = f" and {self.bad_number.replace('WINDOW', long)} >= {floor}" if floor else ""
            return f"({above(factor, long)} and {above(factor, short)}{enough})"

        return " or ".join(burning(*pair) for pair in pairs)


def recordings_file(objectives: Sequence[Objective]) -> str:
    """Write the recording rules as Prometheus reads them."""
    rules = [rule for objective in objectives for rule in objective.recordings()]
    return _yaml({"groups": [{"name": "inkstone-objectives", "rules": rules}]})


def alerts_file(groups: Mapping[str, Sequence[Alert]]) -> str:
    """Write the alerts as Prometheus reads them."""
    written = [
        {"name": f"inkstone-{name}", "rules": [_rule(alert) for alert in alerts]}
        for name, alerts in groups.items()
    ]
    return _yaml({"groups": written})


def tests_file(alerts: Sequence[Alert]) -> str:
    """Write promtool's unit tests: each alert where it fires, and where it does not."""
    return _yaml(
        {
            "rule_files": ["recordings.yml", "alerts.yml"],
            "evaluation_interval": "1m",
            "tests": [test for alert in alerts for test in _tests(alert)],
        }
    )


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.lasting,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook_url": alert.runbook},
    }


def _tests(alert: Alert) -> Iterator[dict[str, Any]]:
    for name, fires, case in alert.cases():
        labels = {"severity": alert.severity, **case.labels}
        expected = {
            "exp_labels": labels,
            "exp_annotations": {
                "summary": alert.told(case.labels),
                "runbook_url": alert.runbook,
            },
        }
        looked = {
            "eval_time": case.at,
            "alertname": alert.name,
            "exp_alerts": [expected] if fires else [],
        }
        yield {
            "name": name,
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values} for series, values in case.series.items()
            ],
            "alert_rule_test": [looked],
        }


def _yaml(content: dict[str, Any]) -> str:
    head = "# Written by tools/reference.py from tools/monitoring.\n"
    text: str = yaml.safe_dump(content, sort_keys=False, width=100, allow_unicode=True)
    return head + text
