"""Everything the retriever process owns, opened and closed in one place."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from services.retriever.catalogue.carrying import Carrying
from services.retriever.catalogue.database import Database
from services.retriever.catalogue.generations import Generations
from services.retriever.catalogue.jobs import Jobs
from services.retriever.catalogue.leases import Leases
from services.retriever.catalogue.members import Members
from services.retriever.catalogue.opening import Catalogue, catalogue_over, open_database
from services.retriever.catalogue.origins import Origins
from services.retriever.catalogue.rewriting import Rewriting
from services.retriever.changing import Changer, run_changer
from services.retriever.chunking import Chunker
from services.retriever.embedders.opening import open_embedder
from services.retriever.embedding import Embedder
from services.retriever.index.places import IndexPlaces, remove_unused
from services.retriever.index.port import Index
from services.retriever.index.switching import SwitchingIndex, open_switching_index
from services.retriever.indexing import Indexer, longest_chunk
from services.retriever.jobs.intake import Intake
from services.retriever.jobs.spool import Spool
from services.retriever.jobs.worker import Workers, run_workers
from services.retriever.metrics import Metrics, open_metrics
from services.retriever.parsing.parser import Parser, open_parser
from services.retriever.ranking import Ranking
from services.retriever.rebuilding import Rebuilder, run_rebuilder
from services.retriever.reranking import Reranker, open_reranker
from services.retriever.rewriting import Rewriter
from services.retriever.rooms import Room, Rooms
from services.retriever.searching import Searcher
from services.retriever.settings import Settings
from services.retriever.tuning import TuningRule
from services.retriever.upkeep import Upkeep, run_member, run_upkeep
from services.retriever.uploading import Uploader

OTHERS_SECONDS = 900.0
"""How long bytes that another process wrote are left alone, recorded or not."""


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
    rebuilder: Rebuilder | Rewriter
    """Makes the index anew."""
    rooms: Rooms
    """The embedding models that run; ask here for what concerns a collection."""
    changer: Changer
    """Brings collections to the model that runs."""

    members: Members
    """This process among those that share the catalogue."""

    def missing(self) -> dict[str, str]:
        """Name what keeps the service from its work."""
        reasons = {
            "index": "" if self.index.ready else "the vector index does not answer",
            "catalogue": "" if self.members.in_touch else "the catalogue cannot be reached",
        }
        return {name: reason for name, reason in reasons.items() if reason}


@contextlib.asynccontextmanager
async def open_resources(
    settings: Settings,
    registry: CollectorRegistry,
    *,
    embedder: Embedder | None = None,
    previous_embedder: Embedder | None = None,
) -> AsyncIterator[Resources]:
    """Open what the settings name; what a former process left undone is done again meanwhile.

    Args:
        embedder: used instead of loading the model that the settings name.
        previous_embedder: used instead of loading the one that the settings name as previous.
    """
    metrics = open_metrics(registry)
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(settings.catalogue, connections=settings.catalogue_connections)
        )
        if embedder is None:
            built_with = await database.fingerprints()
            embedder = await stack.enter_async_context(open_embedder(settings, built_with, metrics))
        if previous_embedder is None and settings.previous_embedding_model is not None:
            built_with = await database.fingerprints()
            former = _former(settings, settings.previous_embedding_model)
            previous_embedder = await stack.enter_async_context(
                open_embedder(former, built_with, metrics)
            )
        carrying = Carrying(database, embedder.fingerprint)
        reranker = await stack.enter_async_context(
            open_reranker(settings.reranking, settings.prepared_models_dir, metrics)
        )
        embedders = [embedder, previous_embedder]
        members = Members(database, settings.jobs.lease_seconds)
        running = _running(embedders)
        await stack.enter_async_context(run_member(members, [*running]))
        rooms = await _open_rooms(
            stack, settings, database, members, carrying, running, reranker, metrics
        )
        room = rooms.current
        parser = await stack.enter_async_context(open_parser(settings.limits, metrics))
        uploader = Uploader(parser, rooms, metrics)
        rebuilder = await _run_rebuilder(stack, settings, database, members, room, metrics)
        changer = Changer(rooms, Generations(database, embedder.fingerprint), members, metrics)
        await stack.enter_async_context(run_changer(changer))
        workers = _workers(settings, database, members, rooms, parser, metrics)
        intake = Intake(workers.jobs, workers.origins, workers.spool, workers, settings.jobs)
        await workers.tidy()
        await stack.enter_async_context(run_workers(workers))
        yield Resources(
            settings,
            metrics,
            room.catalogue,
            room.index,
            embedder,
            room.indexer,
            room.searcher,
            uploader,
            intake,
            rebuilder,
            rooms,
            changer,
            members,
        )


async def _open_rooms(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    database: Database,
    members: Members,
    carrying: Carrying,
    running: Mapping[str, Embedder],
    reranker: Reranker | None,
    metrics: Metrics,
) -> Rooms:
    """Open a room for each model that runs, the current one's first; clear away unused indexes."""
    await carrying.adopt_writes(running)
    remove_unused(settings.data_dir / "index", await carrying.forget_models(running))
    rooms = [
        await _open_room(stack, settings, database, members, embedder, reranker, metrics)
        for embedder in running.values()
    ]
    for room in rooms:
        upkeep = Upkeep(room.catalogue, members, room.index, room.indexer, metrics)
        await stack.enter_async_context(run_upkeep(upkeep))
    return Rooms(rooms[0], rooms[1:], carrying, settled=not await carrying.former())


async def _open_room(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    database: Database,
    members: Members,
    embedder: Embedder,
    reranker: Reranker | None,
    metrics: Metrics,
) -> Room:
    places = await _places(settings, database, embedder, metrics)
    now = await Generations(database, embedder.fingerprint).read()
    await places.remove_leftovers({now.serving, now.building})
    index = await stack.enter_async_context(open_switching_index(places.open, now.serving))
    catalogue = catalogue_over(database, embedder.fingerprint, members.name)
    indexer = _indexer(settings, catalogue, index, embedder, metrics)
    searcher = Searcher(
        catalogue.documents,
        index,
        embedder,
        Ranking(catalogue.documents, embedder, reranker, settings.search),
        settings.search,
        settings.limits.max_filter_conditions,
        metrics,
    )
    return Room(embedder, catalogue, index, indexer, searcher)


def _indexer(
    settings: Settings, catalogue: Catalogue, index: Index, embedder: Embedder, metrics: Metrics
) -> Indexer:
    chunker = Chunker(
        embedder.count_tokens,
        chunk_tokens=longest_chunk(settings.chunk_tokens, embedder.max_tokens),
        overlap_tokens=settings.chunk_overlap_tokens,
    )
    return Indexer(catalogue, index, embedder, chunker, settings.limits, metrics)


async def _places(
    settings: Settings, database: Database, embedder: Embedder, metrics: Metrics
) -> IndexPlaces:
    installation = await database.installation()
    return IndexPlaces(settings, installation, embedder.fingerprint, embedder.dimensions, metrics)


async def _run_rebuilder(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    database: Database,
    members: Members,
    room: Room,
    metrics: Metrics,
) -> Rebuilder | Rewriter:
    if not members.alone:
        rewriting = Rewriting(database, room.embedder.fingerprint)
        rewriter = Rewriter(rewriting, members, room.indexer, metrics)
        await stack.enter_async_context(run_rebuilder(rewriter))
        return rewriter

    def indexer_over(index: Index) -> Indexer:
        return _indexer(settings, room.catalogue, index, room.embedder, metrics)

    places = await _places(settings, database, room.embedder, metrics)
    generations = Generations(database, room.embedder.fingerprint)
    rebuilder = Rebuilder(
        room.catalogue,
        generations,
        places,
        room.index,
        room.indexer,
        indexer_over,
        metrics,
        TuningRule(settings.index_tune_after, settings.index_look_seconds),
    )
    await stack.enter_async_context(run_rebuilder(rebuilder))
    return rebuilder


def _running(embedders: Sequence[Embedder | None]) -> dict[str, Embedder]:
    """Name the models that run by their fingerprints, the current one first."""
    running: dict[str, Embedder] = {}
    for embedder in embedders:
        if embedder is not None:
            running.setdefault(embedder.fingerprint, embedder)
    return running


def _workers(
    settings: Settings,
    database: Database,
    members: Members,
    rooms: Rooms,
    parser: Parser,
    metrics: Metrics,
) -> Workers:
    leases = Leases(database, settings.jobs.lease_seconds)
    others = 0.0 if members.alone else OTHERS_SECONDS
    limit = settings.jobs.max_spooled_bytes
    spool = Spool(settings.spool, limit, metrics, others_seconds=others)
    return Workers(
        jobs=Jobs(database),
        leases=leases,
        origins=Origins(database, leases),
        members=members,
        rooms=rooms,
        parser=parser,
        spool=spool,
        settings=settings.jobs,
        metrics=metrics,
    )


def _former(settings: Settings, name: str) -> Settings:
    """Make settings that load a former model in the form that its collections were made with."""
    embedding = settings.embedding.model_copy(update={"backend": "auto"})
    return settings.model_copy(update={"embedding_model": name, "embedding": embedding})
