"""Everything the retriever process owns, opened and closed in one place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from services.retriever.catalogue.opening import Catalogue, catalogue_over
from services.retriever.catalogue.tables import open_database
from services.retriever.chunking import Chunker
from services.retriever.embedding import Embedder, open_sentence_embedder
from services.retriever.embedding_model import locate_embedding_model
from services.retriever.index.edge import open_edge_index
from services.retriever.index.port import Index
from services.retriever.indexing import Indexer
from services.retriever.metrics import Metrics, open_metrics
from services.retriever.parsing.parser import open_parser
from services.retriever.ranking import Ranking
from services.retriever.reranking import open_reranker
from services.retriever.searching import Searcher
from services.retriever.settings import Settings
from services.retriever.upkeep import Upkeep, run_upkeep
from services.retriever.uploading import Uploader


@dataclass(frozen=True, slots=True)
class Resources:
    """What requests borrow from the process."""

    settings: Settings
    metrics: Metrics
    catalogue: Catalogue
    index: Index
    """The vector engine: embedded or a server."""
    embedder: Embedder
    indexer: Indexer
    searcher: Searcher
    uploader: Uploader

    def missing(self) -> dict[str, str]:
        """Name what keeps the service from its work."""
        return {} if self.index.ready else {"index": "the vector index does not answer"}


@contextlib.asynccontextmanager
async def open_resources(
    settings: Settings, registry: CollectorRegistry, *, embedder: Embedder | None = None
) -> AsyncIterator[Resources]:
    """Open what the settings name; what a former process left undone is done again meanwhile.

    Args:
        embedder: used instead of loading the model that the settings name.
    """
    metrics = open_metrics(registry)
    async with contextlib.AsyncExitStack() as stack:
        if embedder is None:
            embedder = await stack.enter_async_context(_open_embedder(settings, metrics))
        database = await stack.enter_async_context(
            open_database(settings.data_dir / "catalogue.sqlite3")
        )
        installation = await database.installation()
        index = await stack.enter_async_context(
            _open_index(settings, embedder, installation, metrics)
        )
        catalogue = catalogue_over(database, embedder.fingerprint)
        chunker = Chunker(
            embedder.count_tokens,
            chunk_tokens=settings.chunk_tokens,
            overlap_tokens=settings.chunk_overlap_tokens,
        )
        indexer = Indexer(catalogue, index, embedder, chunker, settings.limits, metrics)
        reranker = await stack.enter_async_context(
            open_reranker(settings.reranking, settings.prepared_models_dir, metrics)
        )
        ranking = Ranking(catalogue.documents, embedder, reranker, settings.search)
        searcher = Searcher(
            catalogue.documents,
            index,
            embedder,
            ranking,
            settings.search,
            settings.limits.max_filter_conditions,
            metrics,
        )
        parser = await stack.enter_async_context(open_parser(settings.limits, metrics))
        uploader = Uploader(parser, indexer, metrics)
        upkeep = Upkeep(catalogue, index, indexer, metrics)
        await stack.enter_async_context(run_upkeep(upkeep))
        yield Resources(settings, metrics, catalogue, index, embedder, indexer, searcher, uploader)


@contextlib.asynccontextmanager
async def _open_embedder(settings: Settings, metrics: Metrics) -> AsyncIterator[Embedder]:
    folder = await asyncio.to_thread(
        locate_embedding_model, settings.embedding_model, settings.prepared_models_dir
    )
    async with open_sentence_embedder(
        settings.embedding_model, folder, settings.embedding, metrics
    ) as embedder:
        yield embedder


@contextlib.asynccontextmanager
async def _open_index(
    settings: Settings, embedder: Embedder, installation: str, metrics: Metrics
) -> AsyncIterator[Index]:
    if settings.qdrant_url is None:
        directory = settings.data_dir / "index" / embedder.fingerprint
        async with open_edge_index(
            directory, embedder.dimensions, metrics, settings.index_flush_seconds
        ) as index:
            yield index
        return
    from services.retriever.index.server import open_server_index

    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    collection = f"inkstone-{installation}-{embedder.fingerprint}"
    async with open_server_index(
        settings.qdrant_url, key, collection, embedder.dimensions, metrics
    ) as server:
        yield server
