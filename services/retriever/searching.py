"""Questions to passages."""

from __future__ import annotations

import time
from array import array
from collections.abc import Collection as Names
from dataclasses import replace

from services.chassis.tracing import span
from services.contracts.knowledge import CollectionSearch, SearchResult, SearchTimings
from services.retriever import filters, lexical
from services.retriever.answerability import LOOKED_AT, answerability
from services.retriever.catalogue.documents import Documents
from services.retriever.catalogue.records import Caller
from services.retriever.embedding import Embedder, Vector
from services.retriever.fusion import Weights
from services.retriever.index.port import (
    REVISION,
    AllOf,
    AnyOf,
    Condition,
    Index,
    IndexQuery,
    NoneOf,
)
from services.retriever.metrics import Metrics
from services.retriever.ranking import Found, Ranking
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
        ranking: Ranking,
        settings: Search,
        max_conditions: int,
        metrics: Metrics,
    ) -> None:
        self._documents = documents
        self._index = index
        self._embedder = embedder
        self._ranking = ranking
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
        with span("embed"):
            dense = await self._embedder.question(search.query)
        searching = time.perf_counter()
        query = self._query(caller, search, where, dense)
        with span("index"):
            found, corpus_revision = await self._live_passages(caller, search, query)
        probability = answerability(search.query, [(it.context, it.similarity) for it in found])
        passages = await self._ranking.passages(caller, search, found)
        ended = time.perf_counter()
        self._metrics.search_seconds.labels(search.mode).observe(ended - started)
        self._metrics.passages.observe(len(passages))
        self._metrics.answerability.observe(probability)
        return SearchResult(
            data=passages,
            corpus_revision=corpus_revision,
            answerability=probability,
            timings=SearchTimings(
                embed_ms=_ms(searching - embedding),
                search_ms=_ms(ended - searching),
                total_ms=_ms(ended - started),
            ),
        )

    def _query(
        self, caller: Caller, search: CollectionSearch, where: Condition, dense: Vector
    ) -> IndexQuery:
        limit = max(self._ranking.depth(search), LOOKED_AT)
        return IndexQuery(
            where=where,
            scopes=filters.scopes(caller.tenant, search.collections),
            dense=array("f", dense.tobytes()),
            lexical=lexical.question_vector(search.query),
            by_meaning=search.mode != "lexical",
            by_words=search.mode != "dense",
            limit=limit,
            prefetch=max(self._settings.prefetch, limit),
            min_similarity=search.min_score,
            weights=self._weights(search),
            with_vectors=self._ranking.needs_vectors(search),
        )

    def _weights(self, search: CollectionSearch) -> Weights:
        if search.weights is not None:
            return Weights(search.weights.dense, search.weights.lexical)
        return Weights(self._settings.dense_weight, self._settings.lexical_weight)

    def _where(self, caller: Caller, search: CollectionSearch) -> Condition:
        conditions: list[Condition] = [
            filters.readers_condition(caller.tenant, search.collections, caller.groups)
        ]
        if search.filter is not None:
            conditions.append(filters.filter_condition(search.filter, self._max_conditions))
        return AllOf(tuple(conditions))

    async def _live_passages(
        self, caller: Caller, search: CollectionSearch, query: IndexQuery
    ) -> tuple[list[Found], int]:
        """Search; when chunks were found that nobody may see, search again without those.

        They took the places of others. What is hidden is asked anew for each round: a write that
        was under way may have become live, and what it replaced is then the one to leave out. So a
        round that left out what is live by now does not count either, and where writes keep coming
        the round that found most does.
        """
        hidden: list[int] = []
        best: tuple[list[Found], int] = ([], 0)
        for _ in range(ROUNDS):
            hits = await self._index.search(_without(query, hidden))
            revisions = {hit.revision for hit in hits}
            live, corpus_revision = await self._documents.seen(
                caller.tenant, search.collections, revisions.union(hidden)
            )
            found = [Found(hit, live[hit.revision]) for hit in hits if hit.revision in live]
            if revisions <= live.keys() and live.keys().isdisjoint(hidden):
                return found, corpus_revision
            best = max(best, (found, corpus_revision), key=lambda round_: len(round_[0]))
            hidden = await self._documents.hidden(caller.tenant)
        return best


def _without(query: IndexQuery, revisions: Names[int]) -> IndexQuery:
    if not revisions:
        return query
    fresh = NoneOf((AnyOf(REVISION, tuple(revisions)),))
    return replace(query, where=AllOf((query.where, fresh)))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
