"""Rollouts and the adapters that they bring."""

from __future__ import annotations

from tools.monitoring.grafana import Board, Panel, Query, Row, one, quantiles

_MINE = 'assistant=~"$assistant"'

ROLLOUTS = Board(
    "inkstone-rollouts",
    "Inkstone / Rollouts and adapters",
    "Where each rollout stands, how its candidate does, and which replica holds what.",
    (
        Row(
            "Rollouts",
            (
                one(
                    "State",
                    "1 for the state that each rollout is in.",
                    f"max by (assistant, state) (inkstone_rollout_state{{{_MINE}}})",
                    "{{assistant}} {{state}}",
                ),
                one(
                    "Weight",
                    "Percent of the callers that the candidate answers.",
                    f"max by (assistant) (inkstone_rollout_weight{{{_MINE}}})",
                    "{{assistant}}",
                ),
                one(
                    "In this state for",
                    "Since the rollout came to its state and step.",
                    "time() - max by (assistant)"
                    f" (inkstone_rollout_entered_timestamp_seconds{{{_MINE}}})",
                    "{{assistant}}",
                    unit="s",
                ),
                one(
                    "Moves",
                    "In an hour, by event.",
                    "sum by (event) (increase(inkstone_rollout_moves_total[1h]))",
                    "{{event}}",
                ),
                one(
                    "Requests by arm",
                    "What the split makes of the weight.",
                    f"sum by (arm) (rate(inkstone_requests_total{{{_MINE}}}[$__rate_interval]))",
                    "{{arm}}",
                    unit="reqps",
                ),
                one(
                    "Errors by arm",
                    "Share that failed by our fault.",
                    "(sum by (arm) (rate(inkstone_requests_total"
                    f'{{{_MINE}, status=~"5.."}}[$__rate_interval]))'
                    " or 0 * sum by (arm)"
                    f" (rate(inkstone_requests_total{{{_MINE}}}[$__rate_interval])))"
                    " / sum by (arm)"
                    f" (rate(inkstone_requests_total{{{_MINE}}}[$__rate_interval]))",
                    "{{arm}}",
                    unit="percentunit",
                ),
            ),
        ),
        Row(
            "Unseen answers and evaluations",
            (
                one(
                    "Copies answered",
                    "By status.",
                    "sum by (status) (rate(inkstone_shadow_answers_total[$__rate_interval]))",
                    "{{status}}",
                    unit="reqps",
                ),
                one(
                    "Copies dropped",
                    "By reason; they give way to callers.",
                    "sum by (reason) (rate(inkstone_shadow_dropped_total[$__rate_interval]))",
                    "{{reason}}",
                    unit="reqps",
                ),
                one("Copies waiting", "For an idle engine.", "sum(inkstone_shadow_queue)"),
                Panel(
                    "Cases",
                    "Answered by both arms, in evaluations and in replays.",
                    (
                        Query(
                            "sum(rate(inkstone_evaluation_cases_total[$__rate_interval]))",
                            "evaluation",
                        ),
                        Query(
                            "sum(rate(inkstone_replayed_cases_total[$__rate_interval]))", "replay"
                        ),
                    ),
                ),
                Panel(
                    "Content store",
                    "Requests whose texts wait to be written, and those dropped in an hour.",
                    (
                        Query("sum(inkstone_content_queue)", "waiting"),
                        Query("sum(increase(inkstone_content_dropped_total[1h]))", "dropped"),
                    ),
                ),
            ),
        ),
        Row(
            "Adapters",
            (
                one(
                    "Proven, as gateways see it",
                    "By replica and version; 0 is loading or refused.",
                    "max by (replica, adapter) (inkstone_replica_adapter_ready)",
                    "{{replica}} {{adapter}}",
                ),
                one(
                    "Proven, as agents see it",
                    "By version.",
                    "inkstone_adapter_ready",
                    "{{instance}} {{adapter}}",
                ),
                quantiles(
                    "Loading",
                    "From the start of a load to its proof.",
                    "inkstone_adapter_load_seconds_bucket",
                    needs="a load within the interval",
                ),
                one(
                    "Loads that failed",
                    "In an hour: refused for good, postponed for now.",
                    "sum by (kind) (increase(inkstone_adapter_load_failures_total[1h]))",
                    "{{kind}}",
                ),
            ),
        ),
    ),
    by_assistant=True,
)
