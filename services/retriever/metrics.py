"""What the retriever counts and times."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.chassis.telemetry import SECONDS
from services.retriever.parsing.outcomes import FileCode

WRITTEN = ("created", "replaced", "unchanged", "failed")
"""What becomes of a document that is written, and of a file when no code says more."""

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
_FAST_SECONDS = (0.0005, 0.001, 0.0025, *SECONDS)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Every metric of the process, in its own registry."""

    registry: CollectorRegistry
    embedding_batch_size: Histogram
    embedding_seconds: Histogram
    index_seconds: Histogram
    index_restarts: Counter
    search_seconds: Histogram
    rerank_seconds: Histogram
    answerability: Histogram
    passages: Histogram
    documents: Counter
    files: Counter
    parse_seconds: Histogram
    chunks: Counter
    writes_waiting: Gauge
    query_cache_hits: Counter
    upkeep_failures: Counter
    spool_bytes: Gauge
    ingestion_batch_chunks: Histogram
    ingestion_waiting_files: Gauge
    ingestion_lag_seconds: Gauge


def open_metrics(registry: CollectorRegistry) -> Metrics:
    """Register the retriever's metrics."""
    metrics = Metrics(
        registry=registry,
        embedding_batch_size=Histogram(
            "inkstone_embedding_batch_size",
            "Texts in one forward pass of the embedding model.",
            ["kind"],
            registry=registry,
            buckets=_BATCHES,
        ),
        embedding_seconds=Histogram(
            "inkstone_embedding_seconds",
            "Time of one forward pass of the embedding model.",
            ["kind"],
            registry=registry,
            buckets=SECONDS,
        ),
        index_seconds=Histogram(
            "inkstone_index_seconds",
            "Time of one call to the vector index.",
            ["operation"],
            registry=registry,
            buckets=_FAST_SECONDS,
        ),
        index_restarts=Counter(
            "inkstone_index_restarts",
            "Times that the embedded index was started again after it died.",
            registry=registry,
        ),
        search_seconds=Histogram(
            "inkstone_search_seconds",
            "Time of one search, embedding included.",
            ["mode"],
            registry=registry,
            buckets=SECONDS,
        ),
        rerank_seconds=Histogram(
            "inkstone_rerank_seconds",
            "Time of one question's cross-encoding.",
            registry=registry,
            buckets=SECONDS,
        ),
        answerability=Histogram(
            "inkstone_search_answerability",
            "How probable an answer was after a search.",
            registry=registry,
            buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
        ),
        passages=Histogram(
            "inkstone_search_passages",
            "Passages that one search returned.",
            registry=registry,
            buckets=(0, 1, 2, 3, 5, 10, 20, 50, 100),
        ),
        documents=Counter(
            "inkstone_documents",
            "Document writes and deletes by what they did.",
            ["outcome"],
            registry=registry,
        ),
        files=Counter(
            "inkstone_files",
            "Uploaded files by what became of them.",
            ["outcome"],
            registry=registry,
        ),
        parse_seconds=Histogram(
            "inkstone_parse_seconds",
            "Time to turn one file into text.",
            registry=registry,
            buckets=SECONDS,
        ),
        chunks=Counter(
            "inkstone_chunks",
            "Chunks that were embedded and stored.",
            registry=registry,
        ),
        writes_waiting=Gauge(
            "inkstone_writes_waiting",
            "Document writes that wait for their turn.",
            registry=registry,
        ),
        query_cache_hits=Counter(
            "inkstone_query_cache_hits",
            "Questions whose vector was remembered.",
            registry=registry,
        ),
        upkeep_failures=Counter(
            "inkstone_upkeep_failures",
            "Unexpected failures of the loops beside the requests.",
            registry=registry,
        ),
        spool_bytes=Gauge(
            "inkstone_spool_bytes",
            "Bytes of files that wait to be ingested or tried again.",
            registry=registry,
        ),
        ingestion_batch_chunks=Histogram(
            "inkstone_ingestion_batch_chunks",
            "Chunks that an ingestion job stored together.",
            registry=registry,
            buckets=(1, 8, 32, 64, 128, 256, 512, 1024, 4096),
        ),
        ingestion_waiting_files=Gauge(
            "inkstone_ingestion_waiting_files",
            "Files of ingestion jobs that wait their turn; retrievers on one catalogue say the "
            "same.",
            registry=registry,
        ),
        ingestion_lag_seconds=Gauge(
            "inkstone_ingestion_lag_seconds",
            "For how long an ingestion job with files that could be worked on has had no turn.",
            registry=registry,
        ),
    )
    # A counter that begins at 1 hides its first file from `increase()`.
    for outcome in (*WRITTEN, *FileCode):
        metrics.files.labels(outcome)
    for outcome in (*WRITTEN, "deleted", "rebuilt", "reembedded"):
        metrics.documents.labels(outcome)
    return metrics
