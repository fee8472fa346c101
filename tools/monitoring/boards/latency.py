"""Where the time of a request goes."""

from __future__ import annotations

from tools.monitoring.grafana import Board, Panel, Query, Row, one, quantiles

_MINE = '{assistant=~"$assistant"}'

LATENCY = Board(
    "inkstone-latency",
    "Inkstone / Latency by stage",
    "Where the time of a request goes, from the door to the last token.",
    (
        Row(
            "As callers see it",
            (
                quantiles(
                    "Time to the first token",
                    "Of streams.",
                    f"inkstone_time_to_first_token_seconds_bucket{_MINE}",
                    by="assistant",
                ),
                quantiles(
                    "Between two tokens",
                    "Of streams; what makes reading pleasant is below 0.1 s.",
                    f"inkstone_inter_token_seconds_bucket{_MINE}",
                    by="assistant",
                ),
                quantiles(
                    "Whole request",
                    "From its arrival to its end.",
                    f"inkstone_request_seconds_bucket{_MINE}",
                    by="assistant",
                ),
            ),
        ),
        Row(
            "By stage",
            (
                one(
                    "Mean time by stage",
                    "Stages follow one another: their sum is the request.",
                    "sum by (stage) (rate(inkstone_stage_seconds_sum[$__rate_interval]))"
                    " / sum by (stage) (rate(inkstone_stage_seconds_count[$__rate_interval]))",
                    "{{stage}}",
                    unit="s",
                ),
                Panel(
                    "95th percentile by stage",
                    "The stage that grows is the one to look at.",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (le, stage)"
                            " (rate(inkstone_stage_seconds_bucket[$__rate_interval])))",
                            "{{stage}}",
                        ),
                    ),
                    "s",
                ),
                one(
                    "In flight",
                    "Requests that each gateway answers at the moment.",
                    "inkstone_inflight",
                    "{{instance}}",
                ),
            ),
        ),
        Row(
            "Inside retrieval",
            (
                quantiles(
                    "Search",
                    "One search in the retriever, embedding included.",
                    "inkstone_search_seconds_bucket",
                    by="mode",
                ),
                quantiles(
                    "Embedding",
                    "One forward pass, of questions and of passages.",
                    "inkstone_embedding_seconds_bucket",
                    by="kind",
                ),
                quantiles(
                    "Index",
                    "One call to the vector index, by operation.",
                    "inkstone_index_seconds_bucket",
                    by="operation",
                ),
            ),
        ),
        Row(
            "Inside the engine",
            (
                quantiles(
                    "Waiting in the engine",
                    "Before the engine begins with a request.",
                    "vllm:request_queue_time_seconds_bucket",
                ),
                quantiles(
                    "Reading the prompt",
                    "Less where the prefix cache hits.",
                    "vllm:request_prefill_time_seconds_bucket",
                ),
                quantiles(
                    "First token of the engine",
                    "As the engine measures it.",
                    "vllm:time_to_first_token_seconds_bucket",
                ),
            ),
        ),
    ),
    by_assistant=True,
)
