"""Is it well: the board that an operator looks at first."""

from __future__ import annotations

from tools.monitoring.grafana import Board, Panel, Query, Row, one, quantiles, stat

OVERVIEW = Board(
    "inkstone-overview",
    "Inkstone / Overview",
    "Whether the service answers, how fast, and what is wrong with its parts.",
    (
        Row(
            "Now",
            (
                stat(
                    "Requests",
                    "Answered chat requests a second.",
                    "sum(rate(inkstone_requests_total[$__rate_interval]))",
                    unit="reqps",
                ),
                stat(
                    "Errors",
                    "Share of chat requests of five minutes that failed by our fault.",
                    "inkstone:errors:ratio_rate5m",
                    unit="percentunit",
                ),
                stat(
                    "Slow first tokens",
                    "Share of streams of five minutes whose first token took more than 2.5 s.",
                    "inkstone:slow:ratio_rate5m",
                    unit="percentunit",
                ),
                stat(
                    "Ungrounded",
                    "Share of requests of five minutes that retrieve and were answered without.",
                    "inkstone:ungrounded:ratio_rate5m",
                    unit="percentunit",
                ),
                stat(
                    "Replicas ready",
                    "Engines that hold every adapter version that is served.",
                    'max(inkstone_replicas{state="ready"})',
                ),
                stat(
                    "In flight",
                    "Requests that run, over all gateways.",
                    "sum(inkstone_inflight)",
                ),
            ),
        ),
        Row(
            "Traffic",
            (
                one(
                    "Requests by status",
                    "499 is an app that went away; 5xx are ours.",
                    "sum by (status) (rate(inkstone_requests_total[$__rate_interval]))",
                    "{{status}}",
                    unit="reqps",
                ),
                one(
                    "Turned away",
                    "By reason; `overloaded` wants another gateway or engine.",
                    "sum by (reason) (rate(inkstone_rejected_total[$__rate_interval]))",
                    "{{reason}}",
                    unit="reqps",
                ),
                quantiles(
                    "Time to the first token",
                    "Of streams, as callers wait for it.",
                    "inkstone_time_to_first_token_seconds_bucket",
                ),
            ),
        ),
        Row(
            "Objectives: how fast the error budget of 30 days is spent (1 is just enough)",
            tuple(
                Panel(
                    title,
                    "Above 14.4 somebody is called; above 1 for days it is a ticket.",
                    tuple(
                        Query(f"inkstone:{name}:ratio_rate{window} / {budget}", window)
                        for window in ("5m", "1h", "6h")
                    ),
                )
                for title, name, budget in (
                    ("Availability", "errors", "0.005"),
                    ("First token", "slow", "0.05"),
                    ("Grounding", "ungrounded", "0.01"),
                )
            ),
        ),
        Row(
            "Parts",
            (
                Panel(
                    "Replicas",
                    "Live ones report; ready ones hold every version that is served.",
                    (Query("max by (state) (inkstone_replicas)", "{{state}}"),),
                ),
                one(
                    "Engine up",
                    "As each agent sees its engine.",
                    "inkstone_engine_up",
                    "{{instance}}",
                ),
                one(
                    "Engine restarts",
                    "In an hour; vLLM ends when its core dies.",
                    "increase(inkstone_engine_restarts_total[1h])",
                    "{{instance}}",
                ),
                one(
                    "Registry age",
                    "Seconds since each gateway saw the registry; it serves on without it.",
                    "inkstone_registry_age_seconds",
                    "{{instance}}",
                    unit="s",
                ),
                one(
                    "Registry revision apart",
                    "By how many changes gateways differ; more than a moment is wrong.",
                    "max(inkstone_registry_revision) - min(inkstone_registry_revision)",
                ),
                quantiles(
                    "A change reaches the gateways",
                    "From a change until a gateway that is told of it serves it.",
                    "inkstone_registry_propagation_seconds_bucket",
                    needs="a registry on Postgres",
                ),
                Panel(
                    "Told of changes",
                    "1 where a gateway hears of changes at once; 0 is one that polls.",
                    (Query("inkstone_registry_listening", "{{instance}}"),),
                ),
                Panel(
                    "Ledger",
                    "Age of the oldest unwritten row; dropped rows are gone from the costs.",
                    (
                        Query("max(inkstone_ledger_lag_seconds)", "lag (s)"),
                        Query("sum(increase(inkstone_ledger_dropped_total[1h]))", "dropped (1h)"),
                    ),
                ),
                Panel(
                    "Background work that failed",
                    "Rounds in an hour, by loop; one in a while is nothing.",
                    (
                        Query(
                            "sum by (loop) (increase(inkstone_background_failures_total[1h]))",
                            "gateway {{loop}}",
                        ),
                        Query(
                            "sum by (loop) (increase(inkstone_generator_loop_failures_total[1h]))",
                            "agent {{loop}}",
                        ),
                        Query("sum(increase(inkstone_upkeep_failures_total[1h]))", "retriever"),
                    ),
                ),
                Panel(
                    "Heartbeats",
                    "Of agents to gateways.",
                    (
                        Query(
                            "sum by (outcome) (rate(inkstone_heartbeats_total[$__rate_interval]))",
                            "{{outcome}}",
                        ),
                    ),
                    "reqps",
                ),
                one(
                    "Memory",
                    "Resident, by process.",
                    "process_resident_memory_bytes",
                    "{{job}} {{instance}}",
                    unit="bytes",
                ),
                one(
                    "Processor",
                    "Cores in use, by process.",
                    "rate(process_cpu_seconds_total[$__rate_interval])",
                    "{{job}} {{instance}}",
                ),
                one(
                    "Keys that expire",
                    "When; a rotated key counts by its last secret.",
                    "inkstone_key_expires_timestamp_seconds * 1000",
                    "{{tenant}} {{key}}",
                    unit="dateTimeFromNow",
                ),
            ),
        ),
    ),
)
