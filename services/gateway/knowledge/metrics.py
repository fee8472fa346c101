"""What the gateway counts of embeddings, files and vector stores."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.chassis.telemetry import SECONDS
from services.gateway.knowledge.embeddings import EmbeddingMetrics


def embedding_metrics(registry: CollectorRegistry) -> EmbeddingMetrics:
    """Make the series of embedding requests."""
    return EmbeddingMetrics(
        requests=Counter(
            "inkstone_embedding_requests_total",
            "Embedding requests of apps.",
            ["status"],
            registry=registry,
        ),
        tokens=Counter(
            "inkstone_embedding_tokens_total",
            "Tokens that apps had embedded.",
            registry=registry,
        ),
        seconds=Histogram(
            "inkstone_embedding_request_seconds",
            "Time of one embedding request of an app.",
            buckets=SECONDS,
            registry=registry,
        ),
    )


def indexed_counter(registry: CollectorRegistry) -> Counter:
    """Make the counter of vector store files that were worked on."""
    return Counter(
        "inkstone_vector_store_files_total",
        "Files of vector stores by what became of them.",
        ["outcome"],
        registry=registry,
    )
