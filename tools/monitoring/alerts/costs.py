"""Alerts on the daily budget."""

from __future__ import annotations

from tools.monitoring.rules import Alert, Case

_SPENT = (
    "(sum(increase(inkstone_cost_usd_total[1d]))"
    " + (sum(increase(inkstone_shadow_cost_usd_total[1d])) or vector(0)))"
    " / max(inkstone_daily_budget_usd)"
)
_COSTS = {"inkstone_daily_budget_usd": "100x20"}

COSTS = (
    Alert(
        "BudgetNearlySpent",
        f"{_SPENT} > 0.8",
        "5m",
        "ticket",
        "Answers of 24 hours cost more than 80 % of the daily budget.",
        fires=Case({**_COSTS, "inkstone_cost_usd_total": "0+9x20"}),
        quiet=Case({**_COSTS, "inkstone_cost_usd_total": "0+5x20"}),
        page="budget-spent",
    ),
    Alert(
        "BudgetSpent",
        f"{_SPENT} > 1",
        "5m",
        "ticket",
        "Answers of 24 hours cost more than the daily budget.",
        fires=Case(
            {
                **_COSTS,
                "inkstone_cost_usd_total": "0+6x20",
                "inkstone_shadow_cost_usd_total": "0+6x20",
            },
        ),
        quiet=Case({**_COSTS, "inkstone_cost_usd_total": "0+6x20"}),
    ),
)
