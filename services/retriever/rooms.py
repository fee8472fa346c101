"""The embedding models that run, each with its index; which one has a collection, and how to ask.

Usually there is one. After a change of the model there may be two, until every collection has been
embedded anew; a collection is always wholly the one's or the other's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from services.contracts.knowledge import (
    CollectionSearch,
    DocumentReceipt,
    DocumentWrite,
    Passage,
    SearchResult,
    SearchTimings,
)
from services.retriever.catalogue.carrying import Carrying, Former
from services.retriever.catalogue.opening import Catalogue
from services.retriever.catalogue.records import Caller, Place
from services.retriever.chunking import PageStart
from services.retriever.embedding import Embedder
from services.retriever.errors import EmbeddingMismatch, Reembedding
from services.retriever.index.switching import SwitchingIndex
from services.retriever.indexing import Indexer
from services.retriever.searching import Searcher

TRIES = 3
"""How often a call is made anew because its collection changed the model meanwhile."""

RETRY_AFTER_SECONDS = 10.0
"""When a caller may come back whose collection no running model has."""


@dataclass(frozen=True, slots=True)
class Room:
    """One embedding model and what works with its vectors."""

    embedder: Embedder
    catalogue: Catalogue
    index: SwitchingIndex
    indexer: Indexer
    searcher: Searcher


class Rooms:
    """The model that new documents are for, and former ones that still have collections."""

    def __init__(
        self, current: Room, former: Sequence[Room], carrying: Carrying, *, settled: bool
    ) -> None:
        self.current = current
        self.carrying = carrying
        self.settled = settled
        """Whether every collection is the current model's, so that none has to be looked up."""
        self._by_model: Mapping[str, Room] = {
            room.embedder.fingerprint: room for room in (*former, current)
        }
        self._closed: dict[tuple[str, str], asyncio.Event] = {}

    async def of(self, tenant: str, collection: str) -> Room:
        """Find the room that has a collection; a new one is the current model's.

        Raises:
            Reembedding: a model has it that does not run.
        """
        if self.settled:
            return self.current
        fingerprint = await self.carrying.fingerprint_of(tenant, collection)
        if fingerprint is None:
            return self.current
        room = self._by_model.get(fingerprint)
        if room is None:
            done, of = await self.carrying.progress()
            raise Reembedding(
                f"Collection {collection!r} was built with embedding model {fingerprint}, which "
                f"does not run, and is embedded anew: {done} of {of} documents are done. Come "
                "back, or set the former model as previous_embedding_model.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        return room

    async def write(
        self, place: Place, document: DocumentWrite, pages: Sequence[PageStart] = ()
    ) -> DocumentReceipt:
        """Store a document with the model that has its collection; see `Indexer.write`."""
        for _ in range(TRIES):
            await self.opened(place.tenant, place.collection)
            room = await self.of(place.tenant, place.collection)
            with contextlib.suppress(EmbeddingMismatch):
                return await room.indexer.write(place, document, pages)
        return await self.current.indexer.write(place, document, pages)

    async def delete(self, place: Place) -> None:
        """Remove a document; see `Indexer.delete`."""
        await self.opened(place.tenant, place.collection)
        await (await self._room_or_current(place.tenant, place.collection)).indexer.delete(place)

    async def delete_collection(self, tenant: str, name: str) -> None:
        """Remove a collection; see `Indexer.delete_collection`."""
        room = await self._room_or_current(tenant, name)
        await room.indexer.delete_collection(tenant, name)

    async def search(self, caller: Caller, search: CollectionSearch) -> SearchResult:
        """Find passages, with the model that has the collections; see `Searcher.search`.

        Collections of two models are searched by both, and the two rankings, whose scores cannot
        be compared, are merged place by place.
        """
        for _ in range(TRIES):
            if self.settled:
                break
            rooms: dict[str, tuple[Room, list[str]]] = {}
            for name in search.collections:
                room = await self.of(caller.tenant, name)
                rooms.setdefault(room.embedder.fingerprint, (room, []))[1].append(name)
            with contextlib.suppress(EmbeddingMismatch):
                parts = [
                    room.searcher.search(
                        caller, search.model_copy(update={"collections": collections})
                    )
                    for room, collections in rooms.values()
                ]
                return _merged(await asyncio.gather(*parts), search.top_k)
        return await self.current.searcher.search(caller, search)

    async def opened(self, tenant: str, collection: str) -> None:
        """Wait while a collection changes the model."""
        if (closed := self._closed.get((tenant, collection))) is not None:
            await closed.wait()

    @contextlib.asynccontextmanager
    async def closed(self, former: Former) -> AsyncIterator[None]:
        """Hold up new changes of a collection's documents, for the moment of its switch.

        It holds up those of this process; the switch itself waits for everybody's.
        """
        opened = self._closed[former.tenant, former.name] = asyncio.Event()
        try:
            yield
        finally:
            del self._closed[former.tenant, former.name]
            opened.set()

    async def _room_or_current(self, tenant: str, collection: str) -> Room:
        try:
            return await self.of(tenant, collection)
        except Reembedding:
            return self.current


def _merged(results: Sequence[SearchResult], top_k: int) -> SearchResult:
    if len(results) == 1:
        return results[0]
    ranked: list[Passage] = []
    for place in range(top_k):
        ranked += [result.data[place] for result in results if place < len(result.data)]
    # Scores of two models cannot be compared; a score that falls from place to place can.
    ranked = [
        passage.model_copy(update={"score": 1 / (1 + place)})
        for place, passage in enumerate(ranked[:top_k])
    ]
    timings = [result.timings for result in results]
    return SearchResult(
        data=ranked,
        corpus_revision=max(result.corpus_revision for result in results),
        timings=SearchTimings(
            embed_ms=max(each.embed_ms for each in timings),
            search_ms=max(each.search_ms for each in timings),
            total_ms=max(each.total_ms for each in timings),
        ),
    )
