"""The child process that owns the embedded Qdrant core, because each of its calls holds the
interpreter lock; run as `python -m services.retriever.index.edge_process SOCKET DIRECTORY SIZE`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import qdrant_edge as qdrant

from services.retriever.children import answer_parent
from services.retriever.fusion import Candidates, Ranked, Scored, rank
from services.retriever.index.payloads import DENSE, KEYWORDS, LEXICAL, payload_of
from services.retriever.index.port import (
    CONTENT,
    REVISION,
    SCOPE,
    AllOf,
    AnyOf,
    ChunkPoint,
    Condition,
    Hit,
    IndexQuery,
    InRange,
    NoneOf,
    OneOf,
)

VACUUM_AFTER = 2_000
"""Deleted points that are always put up with."""

VACUUM_SHARE = 0.2
"""The share of deleted points that is put up with; searches wait while they are cleared away."""

OWNER_PATIENCE_SECONDS = 25.0
"""How long a new process waits for the former owner of the index."""


class Shard:
    """One shard on disk: every chunk that was embedded with one model."""

    def __init__(self, directory: Path, dimensions: int) -> None:
        self._shard = _open(directory, dimensions)
        self._shard.optimize()
        self._deleted = 0

    def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Store points, all or none of them."""
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
        self._deleted += self.count(where)
        self._shard.update(qdrant.UpdateOperation.delete_points_by_filter(_filter(where)))

    def count(self, where: Condition | None) -> int:
        """Count the points that match, or all."""
        flt = None if where is None else _filter(where)
        return int(self._shard.count(qdrant.CountRequest(exact=True, filter=flt)))

    def revisions(self) -> dict[int, int]:
        """Count the points of every revision."""
        everything = max(self.count(None), 1)
        facet = qdrant.FacetRequest(key=REVISION, limit=everything, exact=True)
        hits = self._shard.facet(facet).hits
        return {int(hit.value): int(hit.count) for hit in hits if hit.count}

    def flush(self) -> None:
        """Bring everything to disk; give back the room of deleted points when it is much."""
        self._shard.flush()
        if self._deleted > max(VACUUM_AFTER, VACUUM_SHARE * self.count(None)):
            self._deleted = 0
            self._shard.optimize()

    def close(self) -> None:
        """Flush and give the lock back."""
        self._shard.flush()
        self._shard.close()

    def search(self, query: IndexQuery) -> list[Hit]:
        """Find the best points, best first."""
        where = _filter(query.where)
        ranked = rank(
            self._candidates(query, where),
            query.weights,
            min_similarity=query.min_similarity,
            limit=query.limit,
        )
        if not ranked:
            return []
        records = self._shard.retrieve(
            [found.id for found in ranked],
            with_payload=True,
            with_vector=[DENSE] if query.with_vectors else False,
        )
        known = {str(record.id): record for record in records}
        return [_hit(found, known[found.id]) for found in ranked]

    def _candidates(self, query: IndexQuery, where: qdrant.Filter) -> Candidates:
        """Run both rankings, then score what only one of them found by the other's measure too."""
        nearest = self._by_meaning(query, where, query.prefetch) if query.by_meaning else []
        told = self._by_words(query, where, query.prefetch) if query.by_words else []
        similarities, words = dict(nearest), dict(told)
        if unseen := words.keys() - similarities.keys():
            only = qdrant.Filter(must=[where, qdrant.HasIdCondition({*unseen})])
            similarities.update(self._by_meaning(query, only, len(unseen)))
        if query.by_words and (unseen := similarities.keys() - words.keys()):
            only = qdrant.Filter(must=[where, qdrant.HasIdCondition({*unseen})])
            words.update(self._by_words(query, only, len(unseen)))
        return Candidates(nearest, similarities, words)

    def _by_meaning(self, query: IndexQuery, where: qdrant.Filter, limit: int) -> list[Scored]:
        return self._nearest(
            qdrant.QueryRequest(
                limit=limit,
                query=qdrant.Query.Nearest(list(query.dense), using=DENSE),
                filter=where,
                params=qdrant.SearchParams(exact=True),
                with_payload=False,
            )
        )

    def _by_words(self, query: IndexQuery, where: qdrant.Filter, limit: int) -> list[Scored]:
        if not query.lexical.indices:
            return []
        words = qdrant.SparseVector(list(query.lexical.indices), list(query.lexical.values))
        corpus = qdrant.IdfParams(corpus=_filter(AnyOf(SCOPE, tuple(query.scopes))))
        found = self._nearest(
            qdrant.QueryRequest(
                limit=limit,
                query=qdrant.Query.Nearest(words, using=LEXICAL),
                filter=where,
                params=qdrant.SearchParams(idf=corpus),
                with_payload=False,
            )
        )
        return [scored for scored in found if scored[1] > 0]

    def _nearest(self, request: qdrant.QueryRequest) -> list[Scored]:
        return [(str(point.id), point.score) for point in self._shard.query(request)]


def _hit(found: Ranked, record: Any) -> Hit:
    dense = tuple((record.vector or {}).get(DENSE, ()))
    payload = record.payload
    return Hit(found.id, found.score, found.similarity, payload[REVISION], payload[CONTENT], dense)


@contextlib.contextmanager
def _owning(directory: Path) -> Iterator[None]:
    """Own the directory, waiting for a former owner that is still flushing.

    The engine's own lock comes too late: it reads the segments first and then waits for the log,
    which the former owner may have cut meanwhile. A shard opened in that moment lacks its last
    writes.
    """
    deadline = time.monotonic() + OWNER_PATIENCE_SECONDS
    with directory.with_suffix(".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield


def _open(directory: Path, dimensions: int) -> qdrant.EdgeShard:
    """Load the shard; one that cannot be loaded is put aside and made anew from the catalogue."""
    if any(directory.iterdir()):
        try:
            return qdrant.EdgeShard.load(str(directory))
        except Exception as error:  # noqa: BLE001 - the engine raises plain Exception
            aside = directory.with_name(f"{directory.name}.broken-{time.time_ns()}")
            sys.stderr.write(f"The index cannot be loaded and is put aside as {aside}: {error}\n")
            directory.rename(aside)
            directory.mkdir()
    return _create(directory, dimensions)


def _create(directory: Path, dimensions: int) -> qdrant.EdgeShard:
    shard = qdrant.EdgeShard.create(
        str(directory),
        qdrant.EdgeConfig(
            vectors={
                DENSE: qdrant.EdgeVectorParams(size=dimensions, distance=qdrant.Distance.Cosine)
            },
            sparse_vectors={LEXICAL: qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf)},
            hnsw_config=qdrant.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000),
            wal_enabled=True,
        ),
    )
    index_field = qdrant.UpdateOperation.create_field_index
    shard.update(index_field(SCOPE, qdrant.KeywordIndexParams(is_tenant=True)))
    shard.update(index_field(REVISION, qdrant.PayloadSchemaType.Integer))
    for field in KEYWORDS:
        shard.update(index_field(field, qdrant.PayloadSchemaType.Keyword))
    shard.flush()
    return shard


def _filter(condition: Condition) -> qdrant.Filter:
    match condition:
        case AnyOf(field, values):
            match_any = qdrant.MatchAny(list[Any](values))
            return qdrant.Filter(must=[qdrant.FieldCondition(field, match=match_any)])
        case InRange(field, gt, gte, lt, lte):
            bounds = qdrant.RangeFloat(gt=gt, gte=gte, lt=lt, lte=lte)
            return qdrant.Filter(must=[qdrant.FieldCondition(field, range=bounds)])
        case AllOf(conditions):
            return qdrant.Filter(must=[_filter(each) for each in conditions])
        case OneOf(conditions):
            return qdrant.Filter(should=[_filter(each) for each in conditions])
        case NoneOf(conditions):
            return qdrant.Filter(must_not=[_filter(each) for each in conditions])


def main() -> None:
    """Open the shard, and answer until the parent goes away."""
    descriptor, directory, dimensions = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    directory.mkdir(parents=True, exist_ok=True)
    with _owning(directory):
        shard = Shard(directory, dimensions)
        answer_parent(
            descriptor,
            {
                "open": os.getpid,
                "upsert": shard.upsert,
                "delete": shard.delete,
                "search": shard.search,
                "count": shard.count,
                "revisions": shard.revisions,
                "flush": shard.flush,
            },
        )
        shard.close()


if __name__ == "__main__":
    main()
