"""Searching a vector store in OpenAI's shape."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.chassis.errors import NotFound
from services.contracts.knowledge import CollectionSearch, Passage, Scalar, SearchResult
from services.contracts.vector_stores import SearchHit, SearchHits, TextContent, VectorStoreSearch
from services.gateway.clients.retriever import Retriever
from services.gateway.knowledge.stores import StoreDesk
from services.gateway.registry import files
from services.gateway.registry.changes import Registry
from services.gateway.registry.snapshot import Caller
from services.gateway.registry.vector_stores import UnknownStore


@dataclass(frozen=True, slots=True)
class StoreSearcher:
    """Finds passages of a vector store."""

    registry: Registry
    retriever: Retriever
    stores: StoreDesk

    async def search(self, caller: Caller, store: str, wish: VectorStoreSearch) -> SearchHits:
        """Find passages, best first; several queries share the places between them.

        Raises:
            UnknownStore: the tenant has no such vector store.
        """
        await self.stores.require(caller, store)
        queries = [wish.query] if isinstance(wish.query, str) else wish.query
        results = await asyncio.gather(
            *(self._search(caller, _search_of(store, query, wish)) for query in queries)
        )
        passages = _interleaved([result.data for result in results], wish.max_num_results)
        ids = {passage.document_id for passage in passages}
        names = await files.names(self.registry, caller.tenant, ids)
        return SearchHits(
            search_query=queries, data=[_hit_of(passage, names) for passage in passages]
        )

    async def _search(self, caller: Caller, search: CollectionSearch) -> SearchResult:
        try:
            return await self.retriever.search(caller, search)
        except NotFound as error:
            raise UnknownStore(search.collections[0]) from error


def _search_of(store: str, query: str, wish: VectorStoreSearch) -> CollectionSearch:
    return CollectionSearch(
        query=query,
        collections=[store],
        top_k=wish.max_num_results,
        min_score=wish.ranking_options.score_threshold,
        filter=wish.filters,
    )


def _interleaved(rankings: Sequence[Sequence[Passage]], limit: int) -> list[Passage]:
    """Take the best of every ranking, then the second of every ranking, and so on, each once."""
    longest = max(map(len, rankings))
    ranked = (ranking[at] for at in range(longest) for ranking in rankings if at < len(ranking))
    once: dict[tuple[str, int], Passage] = {}
    for passage in ranked:
        once.setdefault((passage.document_id, passage.chunk), passage)
    return list(once.values())[:limit]


def _hit_of(passage: Passage, names: Mapping[str, str]) -> SearchHit:
    return SearchHit(
        file_id=passage.document_id,
        filename=names.get(passage.document_id, passage.title or passage.document_id),
        score=min(max(passage.similarity, 0.0), 1.0),
        attributes={key: _plain(value) for key, value in passage.metadata.items()},
        content=[TextContent(text=passage.text)],
    )


def _plain(value: Scalar | list[Scalar]) -> Scalar:
    """Write a list, which attributes of OpenAI's shape cannot be, as one text."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value
