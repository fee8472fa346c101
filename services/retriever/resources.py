"""Everything the retriever process owns, opened and closed in one place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from services.retriever.catalogue.generations import Generations
from services.retriever.catalogue.jobs import Jobs
from services.retriever.catalogue.leases import Leases
from services.retriever.catalogue.opening import Catalogue, catalogue_over, open_database
from services.retriever.catalogue.origins import Origins
from services.retriever.catalogue.tables import Database
from services.retriever.chunking import Chunker
from services.retriever.embedding import Embedder, open_sentence_embedder
from services.retriever.embedding_model import locate_embedding_model
from services.retriever.index.places import IndexPlaces
from services.retriever.index.port import Index
from services.retriever.index.switching import SwitchingIndex, open_switching_index
from services.retriever.indexing import Indexer
from services.retriever.jobs.intake import Intake
from services.retriever.jobs.preparing import Preparer
from services.retriever.jobs.spool import Spool
from services.retriever.jobs.worker import Workers, run_workers
from services.retriever.metrics import Metrics, open_metrics
from services.retriever.parsing.parser import Parser, open_parser
from services.retriever.rebuilding import Rebuilder, run_rebuilder
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
    index: SwitchingIndex
    """The vector engine: embedded or a server."""
    embedder: Embedder
    indexer: Indexer
    searcher: Searcher
    uploader: Uploader
    intake: Intake
    """Takes ingestion jobs in."""
    rebuilder: Rebuilder
    """Makes the index anew."""

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
        places = IndexPlaces(
            settings, installation, embedder.fingerprint, embedder.dimensions, metrics
        )
        generations = Generations(database, embedder.fingerprint)
        serving = (await generations.read()).serving
        index = await stack.enter_async_context(open_switching_index(places.open, serving))
        catalogue = catalogue_over(database, embedder.fingerprint)
        chunker = Chunker(
            embedder.count_tokens,
            chunk_tokens=settings.chunk_tokens,
            overlap_tokens=settings.chunk_overlap_tokens,
        )

        def indexer_over(index: Index) -> Indexer:
            return Indexer(catalogue, index, embedder, chunker, settings.limits, metrics)

        indexer = indexer_over(index)
        searcher = Searcher(
            catalogue.documents,
            index,
            embedder,
            settings.search,
            settings.limits.max_filter_conditions,
            metrics,
        )
        parser = await stack.enter_async_context(open_parser(settings.limits, metrics))
        uploader = Uploader(parser, indexer, metrics)
        upkeep = Upkeep(catalogue, index, indexer, metrics)
        await stack.enter_async_context(run_upkeep(upkeep))
        rebuilder = Rebuilder(catalogue, generations, places, index, indexer, indexer_over, metrics)
        await stack.enter_async_context(run_rebuilder(rebuilder))
        workers = _workers(settings, database, catalogue, parser, indexer, metrics)
        intake = Intake(workers.jobs, workers.origins, workers.spool, workers, settings.jobs)
        await workers.tidy()
        await stack.enter_async_context(run_workers(workers))
        yield Resources(
            settings,
            metrics,
            catalogue,
            index,
            embedder,
            indexer,
            searcher,
            uploader,
            intake,
            rebuilder,
        )


def _workers(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    parser: Parser,
    indexer: Indexer,
    metrics: Metrics,
) -> Workers:
    leases = Leases(database, settings.jobs.lease_seconds)
    spool = Spool(settings.data_dir / "spool", settings.jobs.max_spooled_bytes, metrics)
    return Workers(
        jobs=Jobs(database),
        leases=leases,
        origins=Origins(database, leases),
        catalogue=catalogue,
        preparer=Preparer(leases, spool, parser, indexer),
        spool=spool,
        indexer=indexer,
        settings=settings.jobs,
        metrics=metrics,
    )


@contextlib.asynccontextmanager
async def _open_embedder(settings: Settings, metrics: Metrics) -> AsyncIterator[Embedder]:
    folder = await asyncio.to_thread(
        locate_embedding_model, settings.embedding_model, settings.prepared_models_dir
    )
    async with open_sentence_embedder(
        settings.embedding_model, folder, settings.embedding, metrics
    ) as embedder:
        yield embedder
