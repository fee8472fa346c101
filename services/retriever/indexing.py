"""Documents into the index: written once, replaced whole, never half seen.

The catalogue decides what searches see. A write first makes its text safe there, then stores chunks
that nobody sees yet, then flips the document to them in one transaction; the former chunks are
removed behind it. Whatever dies in between, the write is done again or its traces are swept.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from services.contracts.knowledge import Document, DocumentReceipt, DocumentWrite
from services.retriever import filters, lexical
from services.retriever.catalogue.opening import Catalogue
from services.retriever.catalogue.records import Draft, Place, Write
from services.retriever.chunking import Chunk, Chunker, PageStart
from services.retriever.embedding import Embedder
from services.retriever.errors import DocumentBusy, DocumentEmpty, DocumentTooLarge, MetadataInvalid
from services.retriever.index.port import REVISION, AnyOf, ChunkPoint, Index, SparseVector
from services.retriever.metrics import Metrics
from services.retriever.settings import Limits
from services.retriever.turns import Turns

CHUNKS_A_STEP = 64
"""Chunks that are embedded and stored together, so that long documents leave room for others."""

BUSY_SECONDS = 20.0
"""How long a write waits for another process that writes the same document."""

BUSY_PAUSE_SECONDS = 0.2
"""How often it looks."""

TITLE_CHARACTERS = 200
"""How much of a title, and of each heading, is embedded with a chunk."""

CONTEXT_TOKENS = 128
"""The most that title and headings come to; the model reads no end of a text that is too long."""

PROMPT_TOKENS = 16
"""Room for the model's own prompt and the signs around a text."""

_POINT_NAMES = uuid.UUID("6f1c0d5e-8a0b-5a53-9b53-6a3c7f0f2f10")


class Indexer:
    """Writes and deletes documents."""

    def __init__(
        self,
        catalogue: Catalogue,
        index: Index,
        embedder: Embedder,
        chunker: Chunker,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._catalogue = catalogue
        self._index = index
        self._embedder = embedder
        self._chunker = chunker
        self._limits = limits
        self._metrics = metrics
        self._turns = Turns(limits.concurrent_writes, limits.max_waiting_writes, metrics)
        self.left_something = asyncio.Event()
        """Set when chunks that nobody sees wait to be removed."""

    async def write(
        self, place: Place, document: DocumentWrite, pages: Sequence[PageStart] = ()
    ) -> DocumentReceipt:
        """Store a document; an unchanged one costs nothing, a changed one replaces the former.

        Raises:
            DocumentTooLarge: the text or its number of chunks is over the limit.
            DocumentEmpty: the text holds nothing to search.
            MetadataInvalid: a value that cannot be kept.
            WritesFull: too many writes wait already.
            DocumentBusy: another process that shares the catalogue writes the document for long.
            EmbeddingMismatch: the collection was built with another embedding model.
            IndexUnavailable: the index cannot answer now; nothing was changed.
        """
        self.check_text(document.text)
        draft = draft_of(document, pages)
        async with self._turns.write(place):
            begun = await self._begin(place, draft)
            if isinstance(begun, Document):
                self._metrics.documents.labels("unchanged").inc()
                return DocumentReceipt(**begun.model_dump(), outcome="unchanged")
            return await self._finish(begun)

    async def delete(self, place: Place) -> None:
        """Remove a document.

        Raises:
            DocumentNotFound: there is no such document.
        """
        async with self._turns.hold(place):
            await self._catalogue.documents.delete(place)
        self._metrics.documents.labels("deleted").inc()
        self.left_something.set()

    async def delete_collection(self, tenant: str, name: str) -> None:
        """Remove a collection with all its documents.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        await self._catalogue.documents.delete_collection(tenant, name)
        self.left_something.set()

    async def resume(self, write: Write) -> None:
        """Do again a write that a former process left unfinished, unless it was overtaken."""
        async with self._turns.hold(write.place):
            if await self._catalogue.writes.take_over(write.revision):
                await self._finish(write)

    async def rebuild(self, place: Place, revision: int) -> None:
        """Make the chunks of a live revision anew from its text."""
        async with self._turns.hold(place):
            write = await self._catalogue.repairs.stored(place, revision)
            if write is None:
                return
            await self._index.delete(AnyOf(REVISION, (revision,)))
            chunks = await self._store(write)
            await self._catalogue.repairs.correct_chunks(revision, chunks)
            self._metrics.documents.labels("rebuilt").inc()

    async def rewrite(self, place: Place, revision: int) -> None:
        """Write a live revision anew from its text, as a new one; one that is live no more is left.

        Raises:
            DocumentBusy: another process is writing the document.
            DocumentTooLarge: it makes more chunks than allowed by now.
            IndexUnavailable: the index cannot answer now; nothing was changed.
        """
        async with self._turns.hold(place):
            write = await self._catalogue.writes.begin_anew(place, revision)
            if write is not None:
                await self._finish(write)

    async def _begin(self, place: Place, draft: Draft) -> Write | Document:
        """Record a write; one of another process is waited for, as one of this process was."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self._catalogue.writes.begin(place, draft)
            except DocumentBusy:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(BUSY_PAUSE_SECONDS)

    async def _finish(self, write: Write) -> DocumentReceipt:
        try:
            chunks = await self._store(write)
            document, replaced = await self._catalogue.writes.commit(write, chunks)
        except Exception:
            self._metrics.documents.labels("failed").inc()
            await self._catalogue.writes.abandon(write)
            raise
        finally:
            self.left_something.set()
        outcome = "replaced" if replaced else "created"
        self._metrics.documents.labels(outcome).inc()
        self._metrics.chunks.inc(chunks)
        return DocumentReceipt(**document.model_dump(), outcome=outcome)

    async def _store(self, write: Write) -> int:
        chunks = await self.chunks_of(write.draft)
        await self.store([(write, chunk) for chunk in chunks])
        return len(chunks)

    async def chunks_of(self, draft: Draft) -> list[Chunk]:
        """Cut a document.

        Raises:
            DocumentTooLarge: it makes more chunks than allowed.
            DocumentEmpty: it holds nothing to search.
        """
        chunks = await asyncio.to_thread(self._chunker.chunks, draft.text, draft.pages)
        self._check_chunks(chunks)
        return chunks

    async def store(self, chunks: Sequence[tuple[Write, Chunk]]) -> None:
        """Embed chunks, of one document or of several, and hand them to the index.

        Raises:
            IndexUnavailable: the index cannot answer now.
        """
        for at in range(0, len(chunks), CHUNKS_A_STEP):
            step = chunks[at : at + CHUNKS_A_STEP]
            contexts = [
                context_of(write.draft.title, chunk, self._embedder.count_tokens)
                for write, chunk in step
            ]
            vectors = await self._embedder.texts(contexts, "passage")
            words = await asyncio.to_thread(_words, contexts)
            points = [
                _point(write, chunk, vector.tolist(), word)
                for (write, chunk), vector, word in zip(step, vectors, words, strict=True)
            ]
            await self._index.upsert(points)

    @contextlib.asynccontextmanager
    async def holding(self, places: Iterable[Place]) -> AsyncIterator[None]:
        """Wait until nobody else writes any of the documents."""
        async with contextlib.AsyncExitStack() as stack:
            # In one order, so that two that hold several never wait for each other.
            for place in sorted(set(places), key=lambda place: place.id):
                await stack.enter_async_context(self._turns.hold(place))
            yield

    def check_text(self, text: str) -> None:
        """Refuse a text that cannot be a document.

        Raises:
            DocumentTooLarge: it is longer than allowed.
            DocumentEmpty: it holds nothing to search.
        """
        if len(text.encode()) > self._limits.max_document_bytes:
            raise DocumentTooLarge(
                f"The text is longer than {self._limits.max_document_bytes} bytes; "
                "split the document.",
                param="text",
            )
        if not text.strip("\0 \t\r\n\ufeff"):
            raise DocumentEmpty("The text holds nothing to search; send some.", param="text")

    def _check_chunks(self, chunks: Sequence[Chunk]) -> None:
        if not chunks:
            raise DocumentEmpty("The text holds nothing to search; send some.", param="text")
        if len(chunks) > self._limits.max_document_chunks:
            raise DocumentTooLarge(
                f"The text makes {len(chunks)} chunks, more than "
                f"{self._limits.max_document_chunks}; split the document.",
                param="text",
            )


def draft_of(document: DocumentWrite, pages: Sequence[PageStart]) -> Draft:
    """Prepare a document for the catalogue, with the hash that tells whether it changed.

    Raises:
        MetadataInvalid: a number or a character that JSON cannot carry back.
    """
    content = document.model_dump()
    content["pages"] = [[page.page, page.start] for page in pages]
    return Draft(
        text=document.text,
        title=document.title,
        uri=document.uri,
        metadata=dict(document.metadata),
        allowed_groups=list(document.allowed_groups),
        content_hash=hashlib.sha256(_canonical(content)).hexdigest(),
        pages=tuple(pages),
    )


def _canonical(content: dict[str, object]) -> bytes:
    form = json.JSONEncoder(
        sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    try:
        return form.encode(content).encode()
    except ValueError as error:
        raise MetadataInvalid(
            "The metadata holds a number that is not finite or half of a character; send plain "
            "values.",
            param="metadata",
        ) from error


def longest_chunk(wanted_tokens: int, model_tokens: int) -> int:
    """Give the most tokens of a chunk that the model reads whole, with what stands above it."""
    return max(min(wanted_tokens, model_tokens - CONTEXT_TOKENS - PROMPT_TOKENS), 1)


def context_of(title: str, chunk: Chunk, count_tokens: Callable[[str], int]) -> str:
    """Put what a chunk is about before it, where its own text does not say so.

    What is over `CONTEXT_TOKENS` is left out: the outermost headings, and then the title's end.
    """
    headings = [h[:TITLE_CHARACTERS] for h in chunk.headings if h not in chunk.text]
    above = [part for part in (title[:TITLE_CHARACTERS], *headings) if part]
    while above and count_tokens("\n".join(above)) > CONTEXT_TOKENS:
        above = [above[0], *above[2:]] if len(above) > 1 else [above[0][: len(above[0]) // 2]]
    return "\n".join([*above, chunk.text])


def _words(contexts: Sequence[str]) -> list[SparseVector]:
    return [lexical.passage_vector(context) for context in contexts]


def _point(write: Write, chunk: Chunk, dense: list[float], words: SparseVector) -> ChunkPoint:
    place, draft = write.place, write.draft
    return ChunkPoint(
        id=str(uuid.uuid5(_POINT_NAMES, f"{write.revision}/{chunk.number}")),
        dense=dense,
        lexical=words,
        scope=filters.scope_of(place.tenant, place.collection),
        document=place.id,
        revision=write.revision,
        readers=filters.stored_readers(place.tenant, place.collection, draft.allowed_groups),
        facts=filters.stored_facts(draft.metadata),
        numbers=filters.stored_numbers(draft.metadata),
        content={
            "chunk": chunk.number,
            "start": chunk.start,
            "end": chunk.end,
            "headings": list(chunk.headings),
            "page": chunk.page,
            "text": chunk.text,
        },
    )
