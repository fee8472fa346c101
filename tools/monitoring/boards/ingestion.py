"""How documents come in."""

from __future__ import annotations

from tools.monitoring.grafana import Board, Panel, Query, Row, one, quantiles

INGESTION = Board(
    "inkstone-ingestion",
    "Inkstone / Ingestion",
    "Files and documents on their way into the index.",
    (
        Row(
            "Files",
            (
                one(
                    "Files",
                    "By what became of them; a code is why one failed.",
                    "sum by (outcome) (rate(inkstone_files_total[$__rate_interval]))",
                    "{{outcome}}",
                    unit="reqps",
                ),
                one(
                    "Files that wait",
                    "Of ingestion jobs, which all retrievers share.",
                    "max(inkstone_ingestion_waiting_files)",
                ),
                one(
                    "Longest wait for a turn",
                    "Of a job that could be worked on.",
                    "max(inkstone_ingestion_lag_seconds)",
                    unit="s",
                ),
                one(
                    "Bytes that wait",
                    "In the spool.",
                    "max(inkstone_spool_bytes)",
                    unit="bytes",
                ),
                one(
                    "Reading a file",
                    "Mean time to turn one into text.",
                    "sum(rate(inkstone_parse_seconds_sum[$__rate_interval]))"
                    " / sum(rate(inkstone_parse_seconds_count[$__rate_interval]))",
                    unit="s",
                ),
                one(
                    "Files of vector stores",
                    "By what became of them.",
                    "sum by (outcome) (rate(inkstone_vector_store_files_total[$__rate_interval]))",
                    "{{outcome}}",
                    unit="reqps",
                ),
            ),
        ),
        Row(
            "Documents",
            (
                one(
                    "Documents",
                    "By what a write did.",
                    "sum by (outcome) (rate(inkstone_documents_total[$__rate_interval]))",
                    "{{outcome}}",
                    unit="reqps",
                ),
                one(
                    "Chunks a second",
                    "Embedded and stored.",
                    "sum(rate(inkstone_chunks_total[$__rate_interval]))",
                ),
                one(
                    "Chunks of a batch",
                    "Mean of what an ingestion job stored together.",
                    "sum(rate(inkstone_ingestion_batch_chunks_sum[$__rate_interval]))"
                    " / sum(rate(inkstone_ingestion_batch_chunks_count[$__rate_interval]))",
                ),
                Panel(
                    "Writes that wait",
                    "For their turn, by retriever.",
                    (Query("inkstone_writes_waiting", "{{instance}}"),),
                ),
                quantiles(
                    "Embedding of passages",
                    "One forward pass.",
                    'inkstone_embedding_seconds_bucket{kind="passage"}',
                ),
                one(
                    "Unexpected failures",
                    "Of the loops beside the requests, in an hour.",
                    "sum(increase(inkstone_upkeep_failures_total[1h]))",
                ),
            ),
        ),
    ),
)
