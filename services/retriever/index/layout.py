"""How a Qdrant server keeps the chunks: shards, copies, graphs, memory."""

from __future__ import annotations

from typing import Any

from qdrant_client import models

from services.retriever.index.payloads import DENSE, KEYWORDS, LEXICAL
from services.retriever.index.port import REVISION, SCOPE
from services.retriever.settings import Cluster

QUANTILE = 0.99
"""Scalar quantization: the share of a vector's values that its range must cover."""


def collection_options(dimensions: int, cluster: Cluster) -> dict[str, Any]:
    """Say how the collection is made; the server keeps it so from then on.

    There is a graph for each tenant's collection (`payload_m`) and none over all of them (`m`): no
    search crosses tenants, and one graph would have to wade through everybody's chunks.
    """
    dense = models.VectorParams(
        size=dimensions,
        distance=models.Distance.COSINE,
        hnsw_config=models.HnswConfigDiff(m=0, payload_m=cluster.links),
        quantization_config=_quantization(cluster),
        on_disk=cluster.vectors_on_disk,
    )
    words = models.SparseVectorParams(
        modifier=models.Modifier.IDF,
        index=models.SparseIndexParams(on_disk=cluster.vectors_on_disk),
    )
    return {
        "vectors_config": {DENSE: dense},
        "sparse_vectors_config": {LEXICAL: words},
        "shard_number": cluster.shards,
        "replication_factor": cluster.replicas,
        "write_consistency_factor": cluster.write_consistency,
        "on_disk_payload": True,
    }


def field_indexes() -> dict[str, Any]:
    """Say which payload fields are indexed; only the scope may have graphs of its own."""
    keyword, integer = models.KeywordIndexType.KEYWORD, models.IntegerIndexType.INTEGER
    revision = models.IntegerIndexParams(type=integer, lookup=True, range=False, enable_hnsw=False)
    return {
        SCOPE: models.KeywordIndexParams(type=keyword, is_tenant=True),
        REVISION: revision,
        **{field: models.KeywordIndexParams(type=keyword, enable_hnsw=False) for field in KEYWORDS},
    }


def _quantization(cluster: Cluster) -> Any:
    if cluster.quantization == "scalar":
        scalar = models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8, quantile=QUANTILE, always_ram=True
        )
        return models.ScalarQuantization(scalar=scalar)
    if cluster.quantization == "turbo":
        turbo = models.TurboQuantQuantizationConfig(
            bits=models.TurboQuantBitSize.BITS4, always_ram=True
        )
        return models.TurboQuantization(turbo=turbo)
    return None
