"""What was found to what is shown: reread, made diverse, cut to length, put in its surroundings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.contracts.knowledge import CollectionSearch, Passage, Span, Surroundings
from services.retriever.catalogue.documents import Documents
from services.retriever.catalogue.records import Caller, Live, Place
from services.retriever.diversity import diverse
from services.retriever.embedding import Embedder
from services.retriever.errors import DocumentNotFound
from services.retriever.index.port import Hit
from services.retriever.reranking import Reranker
from services.retriever.sections import surroundings
from services.retriever.settings import Search


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk that the index found, and the live document that it is of."""

    hit: Hit
    document: Live

    @property
    def similarity(self) -> float:
        """Cosine similarity to the question."""
        return self.hit.similarity

    @property
    def context(self) -> str:
        """The chunk's text below its title and headings."""
        content = self.hit.content
        return "\n".join([self.document.title, *content["headings"], content["text"]])


class Ranking:
    """Orders what was found and turns it into passages."""

    def __init__(
        self,
        documents: Documents,
        embedder: Embedder,
        reranker: Reranker | None,
        settings: Search,
    ) -> None:
        self._documents = documents
        self._embedder = embedder
        self._reranker = reranker
        self._settings = settings

    def depth(self, search: CollectionSearch) -> int:
        """Tell how many chunks must be found for the passages that are asked for."""
        depth = search.top_k
        if self._reranker is not None:
            depth = max(depth, self._reranker.candidates)
        if self._diversity(search):
            depth = max(depth, self._settings.prefetch)
        return depth

    def needs_vectors(self, search: CollectionSearch) -> bool:
        """Tell whether the passages' own vectors are needed."""
        return self._diversity(search) > 0

    async def passages(
        self, caller: Caller, search: CollectionSearch, found: Sequence[Found]
    ) -> list[Passage]:
        """Choose the passages to show, best first."""
        found = await self._reread(search, found)
        if diversity := self._diversity(search):
            scores = [it.hit.score for it in found]
            vectors = [it.hit.dense for it in found]
            order = diverse(scores, vectors, diversity=diversity, limit=search.top_k)
            found = [found[at] for at in order]
        passages = [_passage(it) for it in found[: search.top_k]]
        if (search.expand or self._settings.expand) == "none":
            return passages
        return await self._expanded(caller, passages)

    def _diversity(self, search: CollectionSearch) -> float:
        return self._settings.diversity if search.diversity is None else search.diversity

    async def _reread(self, search: CollectionSearch, found: Sequence[Found]) -> Sequence[Found]:
        """Let the cross-encoder order as many as it should read, and at least what is shown."""
        if self._reranker is None:
            return found
        read = found[: max(self._reranker.candidates, search.top_k)]
        scores = await self._reranker.scores(search.query, [it.context for it in read])
        scored = [
            replace(it, hit=replace(it.hit, score=score))
            for it, score in zip(read, scores, strict=True)
        ]
        return sorted(scored, key=lambda it: -it.hit.score)

    async def _expanded(self, caller: Caller, passages: Sequence[Passage]) -> list[Passage]:
        """Add the surrounding section, unless a better passage brought it already.

        A passage whose document changed meanwhile stays bare.
        """
        texts: dict[Place, str] = {}
        for place in {Place(caller.tenant, it.collection, it.document_id) for it in passages}:
            try:
                texts[place] = (await self._documents.read(caller, place)).text
            except DocumentNotFound:
                continue

        return await asyncio.to_thread(self._in_sections, caller.tenant, passages, texts)

    def _in_sections(
        self, tenant: str, passages: Sequence[Passage], texts: Mapping[Place, str]
    ) -> list[Passage]:
        brought: dict[Place, list[Span]] = {}
        expanded = list(passages)
        for at, passage in enumerate(passages):
            place, span = Place(tenant, passage.collection, passage.document_id), passage.span
            text, spans = texts.get(place, ""), brought.setdefault(place, [])
            is_there = any(one.start <= span.start and span.end <= one.end for one in spans)
            if not is_there and text[span.start : span.end] == passage.text:
                around = self._around(text, span)
                spans.append(around.span)
                expanded[at] = passage.model_copy(update={"surroundings": around})
        return expanded

    def _around(self, text: str, span: Span) -> Surroundings:
        low, high = surroundings(
            text,
            span.start,
            span.end,
            budget_tokens=self._settings.section_tokens,
            count_tokens=self._embedder.count_tokens,
        )
        return Surroundings(text=text[low:high], span=Span(start=low, end=high))


def _passage(found: Found) -> Passage:
    hit, document = found.hit, found.document
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
