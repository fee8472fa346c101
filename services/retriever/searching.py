"""Questions to passages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection as Names
from dataclasses import replace

from services.contracts.knowledge import (
    CollectionSearch,
    Passage,
    SearchResult,
    SearchTimings,
    Span,
)
from services.retriever import filters, lexical
from services.retriever.catalogue.documents import Documents
from services.retriever.catalogue.records import Caller, Live
from services.retriever.embedding import Embedder, Vector
from services.retriever.fusion import Weights
from services.retriever.index.port import (
    REVISION,
    AllOf,
    AnyOf,
    Condition,
    Hit,
    Index,
    IndexQuery,
    NoneOf,
)
from services.retriever.metrics import Metrics
from services.retriever.settings import Search

ROUNDS = 5
"""How often a search is repeated when documents were replaced while it ran."""


class Searcher:
    """Finds passages that a caller may see."""

    def __init__(
        self,
        documents: Documents,
        index: Index,
        embedder: Embedder,
        settings: Search,
        max_conditions: int,
        metrics: Metrics,
    ) -> None:
        self._documents = documents
        self._index = index
        self._embedder = embedder
        self._settings = settings
        self._max_conditions = max_conditions
        self._metrics = metrics

    async def search(self, caller: Caller, search: CollectionSearch) -> SearchResult:
        """Find the passages nearest to a question, best first.

        Raises:
            CollectionNotFound: a collection does not exist.
            EmbeddingMismatch: a collection was built with another embedding model.
            FilterInvalid: the metadata filter compares what cannot be compared.
            IndexUnavailable: the index cannot answer now.
        """
        started = time.perf_counter()
        where = self._where(caller, search)
        embedding = time.perf_counter()
        dense = await self._embedded(caller, search)
        searching = time.perf_counter()
        query = IndexQuery(
            where=where,
            scopes=filters.scopes(caller.tenant, search.collections),
            dense=dense.tolist(),
            lexical=lexical.question_vector(search.query),
            by_meaning=search.mode != "lexical",
            by_words=search.mode != "dense",
            limit=search.top_k,
            prefetch=max(self._settings.prefetch, search.top_k),
            min_similarity=search.min_score,
            weights=Weights(self._settings.dense_weight, self._settings.lexical_weight),
        )
        passages, corpus_revision = await self._live_passages(caller, query)
        ended = time.perf_counter()
        self._metrics.search_seconds.labels(search.mode).observe(ended - started)
        self._metrics.passages.observe(len(passages))
        return SearchResult(
            data=passages,
            corpus_revision=corpus_revision,
            timings=SearchTimings(
                embed_ms=_ms(searching - embedding),
                search_ms=_ms(ended - searching),
                total_ms=_ms(ended - started),
            ),
        )

    async def _embedded(self, caller: Caller, search: CollectionSearch) -> Vector:
        """Embed the question while the catalogue tells whether the collections exist."""
        embedding = asyncio.ensure_future(self._embedder.question(search.query))
        try:
            await self._documents.require(caller.tenant, set(search.collections))
            return await embedding
        finally:
            embedding.cancel()

    def _where(self, caller: Caller, search: CollectionSearch) -> Condition:
        conditions: list[Condition] = [
            filters.scopes_condition(caller.tenant, search.collections),
            filters.groups_condition(caller.groups),
        ]
        if search.filter is not None:
            conditions.append(filters.filter_condition(search.filter, self._max_conditions))
        return AllOf(tuple(conditions))

    async def _live_passages(self, caller: Caller, query: IndexQuery) -> tuple[list[Passage], int]:
        """Search; when chunks were found that nobody may see, search again without those.

        They took the places of others. What is hidden is asked anew for each round: a write that
        was under way may have become live, and what it replaced is then the one to leave out.
        """
        hidden: list[int] = []
        for _ in range(ROUNDS):
            hits = await self._index.search(_without(query, hidden))
            revisions = {hit.revision for hit in hits}
            live, corpus_revision = await self._documents.live(caller.tenant, revisions)
            if revisions <= live.keys():
                break
            hidden = await self._documents.hidden(caller.tenant)
        passages = [_passage(hit, live[hit.revision]) for hit in hits if hit.revision in live]
        return passages, corpus_revision


def _without(query: IndexQuery, revisions: Names[int]) -> IndexQuery:
    if not revisions:
        return query
    fresh = NoneOf((AnyOf(REVISION, tuple(revisions)),))
    return replace(query, where=AllOf((query.where, fresh)))


def _passage(hit: Hit, document: Live) -> Passage:
    content = hit.content
    return Passage(
        collection=document.place.collection,
        document_id=document.place.id,
        chunk=content["chunk"],
        title=document.title,
        uri=document.uri,
        headings=content["headings"],
        page=content["page"],
        text=content["text"],
        span=Span(start=content["start"], end=content["end"]),
        score=hit.score,
        similarity=hit.similarity,
        metadata=document.metadata,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
