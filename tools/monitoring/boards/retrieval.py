"""Whether answers rest on documents."""

from __future__ import annotations

from tools.monitoring.grafana import Board, Panel, Query, Row, one, quantiles

RETRIEVAL = Board(
    "inkstone-retrieval",
    "Inkstone / Retrieval and grounding",
    "Whether something is found, whether answers cite it, and what searches take.",
    (
        Row(
            "Grounding",
            (
                Panel(
                    "Found",
                    "Searches of chat requests: with passages, without, and failed.",
                    (
                        Query(
                            "sum(rate(inkstone_retrieved_passages_count[$__rate_interval]))"
                            " - sum(rate(inkstone_retrieval_empty_total[$__rate_interval]))",
                            "found",
                        ),
                        Query(
                            "sum(rate(inkstone_retrieval_empty_total[$__rate_interval]))",
                            "nothing found",
                        ),
                        Query(
                            "sum(rate(inkstone_ungrounded_total[$__rate_interval]))",
                            "retrieval failed",
                        ),
                    ),
                    "reqps",
                ),
                one(
                    "Invalid citations",
                    "Share of citations of a passage that was not given; they are stripped.",
                    'sum(rate(inkstone_citations_total{valid="false"}[$__rate_interval]))'
                    " / sum(rate(inkstone_citations_total[$__rate_interval]))",
                    unit="percentunit",
                ),
                one(
                    "Support of answers",
                    "Share of the words of sentences with citations that stands in what they"
                    " cite; the mean.",
                    "sum by (assistant) (rate(inkstone_answer_support_sum[$__rate_interval]))"
                    " / sum by (assistant)"
                    " (rate(inkstone_answer_support_count[$__rate_interval]))",
                    "{{assistant}}",
                    unit="percentunit",
                ),
                one(
                    "Abstentions",
                    "Share of answers that say that the documents do not tell.",
                    "sum(rate(inkstone_abstentions_total[$__rate_interval]))"
                    " / sum(rate(inkstone_requests_total[$__rate_interval]))",
                    unit="percentunit",
                ),
                one(
                    "Passages of a chat request",
                    "Mean.",
                    "sum(rate(inkstone_retrieved_passages_sum[$__rate_interval]))"
                    " / sum(rate(inkstone_retrieved_passages_count[$__rate_interval]))",
                ),
                one(
                    "Follow-ups",
                    "Questions searched for in other words; `fell_back` is a base that was late.",
                    "sum by (way) (rate(inkstone_follow_ups_total[$__rate_interval]))",
                    "{{way}}",
                    unit="reqps",
                ),
                Panel(
                    "Answerability",
                    "How probable an answer was after a search: median and lowest tenth.",
                    tuple(
                        Query(
                            f"histogram_quantile({q}, sum by (le)"
                            " (rate(inkstone_search_answerability_bucket[$__rate_interval])))",
                            f"p{round(q * 100)}",
                        )
                        for q in (0.1, 0.5)
                    ),
                    "percentunit",
                ),
            ),
        ),
        Row(
            "The retriever",
            (
                quantiles(
                    "Search",
                    "By mode, embedding included.",
                    "inkstone_search_seconds_bucket",
                    by="mode",
                ),
                one(
                    "Searches",
                    "By mode.",
                    "sum by (mode) (rate(inkstone_search_seconds_count[$__rate_interval]))",
                    "{{mode}}",
                    unit="reqps",
                ),
                one(
                    "Passages of a search",
                    "Mean.",
                    "sum(rate(inkstone_search_passages_sum[$__rate_interval]))"
                    " / sum(rate(inkstone_search_passages_count[$__rate_interval]))",
                ),
                one(
                    "Questions remembered",
                    "Whose vector was in memory.",
                    "sum(rate(inkstone_query_cache_hits_total[$__rate_interval]))",
                    unit="reqps",
                ),
                one(
                    "Texts in one forward pass",
                    "Mean; more is cheaper, and a sign of load.",
                    "sum by (kind) (rate(inkstone_embedding_batch_size_sum[$__rate_interval]))"
                    " / sum by (kind)"
                    " (rate(inkstone_embedding_batch_size_count[$__rate_interval]))",
                    "{{kind}}",
                ),
                one(
                    "Reranking",
                    "Mean time of one question.",
                    "sum(rate(inkstone_rerank_seconds_sum[$__rate_interval]))"
                    " / sum(rate(inkstone_rerank_seconds_count[$__rate_interval]))",
                    unit="s",
                    needs="a reranker",
                ),
                quantiles(
                    "Embedding requests of apps",
                    "`/v1/embeddings` at the gateway.",
                    "inkstone_embedding_request_seconds_bucket",
                ),
                one(
                    "Index restarts",
                    "In an hour; the embedded index runs in a process of its own.",
                    "sum(increase(inkstone_index_restarts_total[1h]))",
                ),
            ),
        ),
    ),
)
