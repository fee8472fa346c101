"""Tokens and what they cost."""

from __future__ import annotations

from tools.monitoring.grafana import Board, Panel, Query, Row, one, stat

_MINE = '{assistant=~"$assistant"}'
_DAY = (
    "(sum(increase(inkstone_cost_usd_total[1d]))"
    " + sum(increase(inkstone_shadow_cost_usd_total[1d])))"
)

COSTS = Board(
    "inkstone-costs",
    "Inkstone / Tokens and cost",
    "What is read and written, for whom, and what it costs at the prices that were set.",
    (
        Row(
            "Now",
            (
                stat(
                    "Cost of 24 hours",
                    "Answers and unseen copies together.",
                    _DAY,
                    unit="currencyUSD",
                ),
                stat(
                    "Share of the budget",
                    "Of 24 hours, where INKSTONE_GATEWAY_DAILY_BUDGET_USD is set.",
                    f"{_DAY} / max(inkstone_daily_budget_usd)",
                    unit="percentunit",
                ),
                stat(
                    "Prompt found in the cache",
                    "Share of prompt tokens that the engine did not have to read.",
                    'sum(rate(inkstone_tokens_total{direction="cached"}[$__rate_interval]))'
                    ' / sum(rate(inkstone_tokens_total{direction="prompt"}[$__rate_interval]))',
                    unit="percentunit",
                ),
            ),
        ),
        Row(
            "By assistant",
            (
                one(
                    "Tokens a second",
                    "Cached ones are part of the prompt's.",
                    f"sum by (direction) (rate(inkstone_tokens_total{_MINE}[$__rate_interval]))",
                    "{{direction}}",
                ),
                one(
                    "Tokens of one answer",
                    "Mean of what was generated.",
                    "sum by (assistant) (rate(inkstone_tokens_total"
                    '{assistant=~"$assistant", direction="completion"}[$__rate_interval]))'
                    " / sum by (assistant)"
                    f" (rate(inkstone_requests_total{_MINE}[$__rate_interval]))",
                    "{{assistant}}",
                ),
                one(
                    "Dollars an hour",
                    "By assistant; `-` is a direct call of a base or an adapter.",
                    f"sum by (assistant) (rate(inkstone_cost_usd_total{_MINE}"
                    "[$__rate_interval])) * 3600",
                    "{{assistant}}",
                    unit="currencyUSD",
                ),
            ),
        ),
        Row(
            "Beside the answers",
            (
                one(
                    "Tokens of unseen copies",
                    "What a candidate answers in the shadow, within its own budget.",
                    "sum by (direction) (rate(inkstone_shadow_tokens_total[$__rate_interval]))",
                    "{{direction}}",
                ),
                one(
                    "Cost of unseen copies, an hour",
                    "Part of the cost of 24 hours above.",
                    "sum(rate(inkstone_shadow_cost_usd_total[$__rate_interval])) * 3600",
                    unit="currencyUSD",
                ),
                Panel(
                    "Embedding requests",
                    "Of apps, by status, and the tokens that they had embedded.",
                    (
                        Query(
                            "sum by (status)"
                            " (rate(inkstone_embedding_requests_total[$__rate_interval]))",
                            "{{status}}",
                        ),
                        Query(
                            "sum(rate(inkstone_embedding_tokens_total[$__rate_interval]))",
                            "tokens",
                        ),
                    ),
                ),
            ),
        ),
    ),
    by_assistant=True,
)
