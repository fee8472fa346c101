"""The real retriever in this process, filled with a set: chunker, embedding model, index."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from corpora import Corpus
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from remembered_vectors import remembering

from services.contracts.knowledge import CollectionSearch, DocumentWrite, SearchResult
from services.retriever.catalogue.records import Caller, Place
from services.retriever.embedders.opening import open_embedder
from services.retriever.metrics import open_metrics
from services.retriever.resources import Resources, open_resources
from services.retriever.settings import Settings

CALLER = Caller("benchmark", (), curator=False)
AT_ONCE = 8
"""Documents that are written at the same time."""


class KnowledgeBase:
    """Sets as collections of one retriever."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def fill(self, corpus: Corpus) -> None:
        """Index a set as a collection of its name; each document knows its id as metadata.

        A document without text (Cranfield has some) cannot be indexed, and is never found.
        """
        started = time.monotonic()
        turns = asyncio.Semaphore(AT_ONCE)

        async def write(name: str, title: str, text: str) -> None:
            async with turns:
                place = Place(CALLER.tenant, corpus.name, name)
                document = DocumentWrite(text=text, title=title[:512], metadata={"name": name})
                await self._resources.indexer.write(place, document)

        async with asyncio.TaskGroup() as group:
            for name, (title, text) in corpus.documents.items():
                if text.strip():
                    group.create_task(write(name, title, text))
        documents = self._resources.catalogue.documents
        (known,) = await documents.collections(CALLER.tenant, corpus.name)
        rate = known.chunks / (time.monotonic() - started)
        print(f"  {corpus.name}: {known.chunks} chunks, {rate:.1f} a second", file=sys.stderr)

    async def search(self, question: str, collection: str, **fields: Any) -> SearchResult:
        """Search one set."""
        search = CollectionSearch(query=question, collections=[collection], **fields)
        return await self._resources.searcher.search(CALLER, search)


@contextlib.asynccontextmanager
async def open_knowledge_base(
    models_dir: Path | None, *, vectors: Path | None = None, **values: Any
) -> AsyncIterator[KnowledgeBase]:
    """Open an empty one.

    Args:
        models_dir: where the prepared model is kept.
        vectors: a file that remembers the vectors of passages from run to run.
        values: settings of the retriever.
    """
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = Settings(
            api_key=SecretStr("benchmark"), data_dir=Path(folder), models_dir=models_dir, **values
        )
        embedder = None
        if vectors is not None:
            metrics = open_metrics(CollectorRegistry())
            opened = await stack.enter_async_context(open_embedder(settings, set(), metrics))
            embedder = stack.enter_context(remembering(opened, vectors))
        yield KnowledgeBase(
            await stack.enter_async_context(
                open_resources(settings, CollectorRegistry(), embedder=embedder)
            )
        )
