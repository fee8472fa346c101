"""The engine's own figures, as vLLM 0.32 names them (vllm/v1/metrics/loggers.py)."""

from __future__ import annotations

from tools.monitoring.grafana import Board, Panel, Query, Row, one, quantiles

ENGINE = Board(
    "inkstone-engine",
    "Inkstone / Engine",
    "vLLM from inside: its queue, its cache, its speed.",
    (
        Row(
            "Load",
            (
                Panel(
                    "Requests",
                    "A queue that stays wants another replica.",
                    (
                        Query("sum by (instance) (vllm:num_requests_running)", "runs {{instance}}"),
                        Query(
                            "sum by (instance) (vllm:num_requests_waiting)", "waits {{instance}}"
                        ),
                    ),
                ),
                one(
                    "Key-value cache in use",
                    "Near 1 the engine preempts requests.",
                    "max by (instance) (vllm:kv_cache_usage_perc)",
                    "{{instance}}",
                    unit="percentunit",
                ),
                one(
                    "Preemptions",
                    "In an hour; each is work done twice.",
                    "sum by (instance) (increase(vllm:num_preemptions_total[1h]))",
                    "{{instance}}",
                ),
            ),
        ),
        Row(
            "Speed",
            (
                Panel(
                    "Tokens a second",
                    "Read and generated.",
                    (
                        Query("sum(rate(vllm:prompt_tokens_total[$__rate_interval]))", "prompt"),
                        Query(
                            "sum(rate(vllm:generation_tokens_total[$__rate_interval]))",
                            "generated",
                        ),
                    ),
                ),
                quantiles(
                    "First token",
                    "As the engine measures it.",
                    "vllm:time_to_first_token_seconds_bucket",
                ),
                quantiles(
                    "Between two tokens",
                    "As the engine measures it.",
                    "vllm:inter_token_latency_seconds_bucket",
                ),
                one(
                    "Prefix cache",
                    "Share of looked-up prompt tokens that were there.",
                    "sum(rate(vllm:prefix_cache_hits_total[$__rate_interval]))"
                    " / sum(rate(vllm:prefix_cache_queries_total[$__rate_interval]))",
                    unit="percentunit",
                ),
                one(
                    "Ends",
                    "Requests by why they ended.",
                    "sum by (finished_reason) (rate(vllm:request_success_total[$__rate_interval]))",
                    "{{finished_reason}}",
                    unit="reqps",
                ),
                one(
                    "Start of the engine",
                    "How long the last one took.",
                    "inkstone_engine_start_seconds",
                    "{{instance}}",
                    unit="s",
                ),
            ),
        ),
    ),
)
