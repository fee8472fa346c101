"""One shard of the embedded Qdrant core: every chunk that was embedded with one model."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import qdrant_edge as qdrant

from services.retriever.index.conditions import filter_of
from services.retriever.index.payloads import DENSE, KEYWORDS, LEXICAL, payload_of, point_of
from services.retriever.index.port import (
    REVISION,
    SCOPE,
    ChunkPoint,
    Condition,
    Hit,
    IndexQuery,
    Wear,
)
from services.retriever.index.shard_search import ShardSearch

QUANTILE = 0.99
"""The share of a vector's values that 8 bits must cover."""

SEARCH_THREADS = 1
"""Threads that search the parts of a shard; nearly all of its points are in one part, so a second
thread only costs the hand over: 0.8 of 2.0 ms for a small shard, measured.
"""

TUNING_THREADS = 1
"""Threads that lay a shard out: the other cores are for the searches meanwhile."""


class Shard:
    """One shard on disk."""

    def __init__(self, directory: Path, dimensions: int) -> None:
        self._shard = _open(directory, dimensions)
        self._search = ShardSearch(self._shard)
        info = self._shard.info()
        # Two vectors of a point count as indexed once it is laid out, and only one before.
        self._changed = min(
            max(2 * info.points_count - info.indexed_vectors_count, 0), info.points_count
        )

    def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Store points, all or none of them."""
        self._changed += len(points)
        self._shard.update(
            qdrant.UpdateOperation.upsert_points(
                [
                    qdrant.Point(
                        point.id,
                        {
                            DENSE: list(point.dense),
                            LEXICAL: qdrant.SparseVector(
                                list(point.lexical.indices), list(point.lexical.values)
                            ),
                        },
                        payload_of(point),
                    )
                    for point in points
                ]
            )
        )

    def delete(self, where: Condition) -> None:
        """Remove the points that match."""
        self._changed += self.count(where)
        self._shard.update(qdrant.UpdateOperation.delete_points_by_filter(filter_of(where)))

    def points(self, after: str | None, limit: int) -> tuple[list[ChunkPoint], str | None]:
        """Read points back whole, in the order of their ids."""
        page = qdrant.ScrollRequest(offset=after, limit=limit, with_payload=True, with_vector=True)
        records, following = self._shard.scroll(page)
        points = [point_of(str(record.id), record.vector, record.payload) for record in records]
        return points, None if following is None else str(following)

    def count(self, where: Condition | None) -> int:
        """Count the points that match, or all."""
        flt = None if where is None else filter_of(where)
        return int(self._shard.count(qdrant.CountRequest(exact=True, filter=flt)))

    def revisions(self) -> dict[int, int]:
        """Count the points of every revision."""
        everything = max(self.count(None), 1)
        facet = qdrant.FacetRequest(key=REVISION, limit=everything, exact=True)
        hits = self._shard.facet(facet).hits
        return {int(hit.value): int(hit.count) for hit in hits if hit.count}

    def wear(self) -> Wear:
        """Say how much has changed since the shard was laid out."""
        return Wear(self._shard.info().points_count, self._changed)

    def tune(self) -> None:
        """Lay the shard out for searching; this takes seconds, in which nothing else is answered.

        Points of one tenant come to lie together, 8-bit vectors are made, and deleted points give
        their room back.
        """
        self._shard.optimize()
        self._shard.flush()
        self._changed = 0
        _give_memory_back()

    def flush(self) -> None:
        """Bring everything to disk."""
        self._shard.flush()

    def search(self, query: IndexQuery) -> list[Hit]:
        """Find the best points, best first."""
        (hits,) = self._search.hits([query])
        return hits

    def search_together(self, queries: Sequence[IndexQuery]) -> list[list[Hit]]:
        """Answer several searches for less than each would cost alone."""
        return self._search.hits(queries)

    def close(self) -> None:
        """Flush and give the lock back."""
        self._shard.flush()
        self._shard.close()


def _give_memory_back() -> None:
    """Hand to the system what tuning has freed: half of the process's memory, measured.

    Another C library than GNU's has no such call and keeps less.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _open(directory: Path, dimensions: int) -> qdrant.EdgeShard:
    """Load the shard; one that cannot be loaded is put aside and made anew from the catalogue."""
    if any(directory.iterdir()):
        try:
            return qdrant.EdgeShard.load(str(directory), _config(dimensions))
        except Exception as error:  # noqa: BLE001 - the engine raises plain Exception
            aside = directory.with_name(f"{directory.name}.broken-{time.time_ns()}")
            sys.stderr.write(f"The index cannot be loaded and is put aside as {aside}: {error}\n")
            directory.rename(aside)
            directory.mkdir()
    return _create(directory, dimensions)


def _create(directory: Path, dimensions: int) -> qdrant.EdgeShard:
    shard = qdrant.EdgeShard.create(str(directory), _config(dimensions))
    index_field = qdrant.UpdateOperation.create_field_index
    shard.update(index_field(SCOPE, qdrant.KeywordIndexParams(is_tenant=True)))
    shard.update(index_field(REVISION, qdrant.PayloadSchemaType.Integer))
    for field in KEYWORDS:
        shard.update(index_field(field, qdrant.PayloadSchemaType.Keyword))
    shard.flush()
    return shard


def _config(dimensions: int) -> qdrant.EdgeConfig:
    """Say how a shard keeps its points.

    There is no graph (`m = 0`): up to some hundred thousand points, scoring all that a filter
    leaves is exact and cheap, and 8-bit vectors make it two to three times as quick.
    """
    return qdrant.EdgeConfig(
        vectors={DENSE: qdrant.EdgeVectorParams(size=dimensions, distance=qdrant.Distance.Cosine)},
        sparse_vectors={LEXICAL: qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf)},
        hnsw_config=qdrant.HnswIndexConfig(
            m=0,
            ef_construct=100,
            full_scan_threshold=10_000,
            max_indexing_threads=TUNING_THREADS,
        ),
        quantization_config=qdrant.ScalarQuantizationConfig(
            qdrant.ScalarType.Int8, quantile=QUANTILE, always_ram=True
        ),
        max_search_threads=SEARCH_THREADS,
        wal_enabled=True,
    )
