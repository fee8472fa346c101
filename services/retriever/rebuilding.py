"""Making the index anew from the catalogue while the old one serves."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping

import structlog

from services.chassis.errors import ServiceError
from services.contracts.ingestion import IndexBuild
from services.retriever.catalogue.generations import Generations
from services.retriever.catalogue.members import Members
from services.retriever.catalogue.opening import Catalogue
from services.retriever.catalogue.records import Place
from services.retriever.errors import IndexBuilding, IndexShared
from services.retriever.index.places import IndexPlaces
from services.retriever.index.port import REVISION, AnyOf, Index
from services.retriever.index.switching import SwitchingIndex
from services.retriever.indexing import Indexer
from services.retriever.metrics import Metrics

DOCUMENTS_AT_ONCE = 8
"""Documents that are made anew at the same time, so that small ones share a pass of the model."""

PAUSE_SECONDS = 0.05
"""How long to wait for writes that began before the new making could see them."""

_log = structlog.get_logger(__name__)

IndexerOver = Callable[[Index], Indexer]
"""Makes an indexer that stores in another index."""


class Rebuilder:
    """Makes a new index when it is asked to."""

    def __init__(
        self,
        catalogue: Catalogue,
        generations: Generations,
        members: Members,
        places: IndexPlaces,
        index: SwitchingIndex,
        indexer: Indexer,
        indexer_over: IndexerOver,
        metrics: Metrics,
    ) -> None:
        self._catalogue = catalogue
        self._generations = generations
        self._members = members
        self._places = places
        self._index = index
        self._indexer = indexer
        self._indexer_over = indexer_over
        self._metrics = metrics
        self._asked = asyncio.Event()
        self.state = IndexBuild(status="idle")
        """How far it is."""

    def start(self) -> IndexBuild:
        """Ask for a new index.

        Raises:
            IndexBuilding: one is being made.
            IndexShared: other retrievers may use the index, and would not know of the new one.
        """
        if not self._members.alone:
            raise IndexShared(
                "Several retrievers may share this index, so that none may exchange it alone: stop "
                "them all, remove the collection from the Qdrant server, and start them; the first "
                "fills it anew from the catalogue."
            )
        if self.state.status == "building":
            raise IndexBuilding("A new index is being made already; wait until it serves.")
        self.state = IndexBuild(status="building", started_at=int(time.time()))
        self._asked.set()
        return self.state

    async def keep_building(self) -> None:
        """Make an index whenever one is asked for; first the one that a killed process began."""
        if (await self._generations.read()).building is not None:
            self.start()
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self.build()
            except Exception as error:  # noqa: BLE001 - the old index goes on serving
                self._metrics.upkeep_failures.inc()
                _log.error("index.not_built", exc_info=error)
                await self._give_up(error)

    async def build(self) -> None:
        """Make a new index and let it serve."""
        former = (await self._generations.read()).serving
        generation = await self._generations.begin()
        index = await self._index.open_new(generation)
        await self._fill(index)
        await index.flush()
        await self._generations.switch()
        await self._index.switch()
        await self._places.remove(former)
        self._indexer.left_something.set()
        finished = {"status": "idle", "finished_at": int(time.time())}
        self.state = self.state.model_copy(update=finished)

    async def _fill(self, index: Index) -> None:
        """Store what the catalogue has until nothing is missing."""
        before = {write.revision for write in await self._catalogue.writes.unfinished()}
        storing = self._indexer_over(index)
        made: dict[int, int] = {}
        while True:
            under_way = {write.revision for write in await self._catalogue.writes.unfinished()}
            expected = await self._catalogue.repairs.live_chunks()
            found = await index.revisions()
            if self._index.trouble is not None:
                raise self._index.trouble
            missing = {
                revision: place
                for revision, (place, chunks) in expected.items()
                if found.get(revision, 0) != made.get(revision, chunks)
            }
            self._report(len(expected) - len(missing), len(expected))
            if not missing and not before & under_way:
                await self._catalogue.repairs.disown(found.keys() - expected.keys())
                return
            if missing:
                made |= await self._make(storing, index, missing)
            else:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _make(
        self, storing: Indexer, index: Index, missing: Mapping[int, Place]
    ) -> dict[int, int]:
        turns = asyncio.Semaphore(DOCUMENTS_AT_ONCE)
        made: dict[int, int] = {}

        async def one(revision: int, place: Place) -> None:
            async with turns, self._indexer.holding([place]):
                write = await self._catalogue.repairs.stored(place, revision)
                if write is None:
                    return
                await index.delete(AnyOf(REVISION, (revision,)))
                chunks = await storing.chunks_of(write.draft)
                await storing.store([(write, chunk) for chunk in chunks])
                made[revision] = len(chunks)
                self._report(self.state.documents + 1, self.state.of)
                await self._catalogue.repairs.correct_chunks(revision, len(chunks))

        async with asyncio.TaskGroup() as group:
            for revision, place in missing.items():
                await turns.acquire()
                turns.release()
                group.create_task(one(revision, place))
        return made

    async def _give_up(self, error: Exception) -> None:
        await self._index.drop_new()
        building = (await self._generations.read()).building
        await self._generations.give_up()
        if building is not None:
            with contextlib.suppress(ServiceError):
                await self._places.remove(building)
        reason = error.message if isinstance(error, ServiceError) else "the log has the cause"
        failed = {"status": "failed", "message": f"The old index serves on: {reason}"}
        self.state = self.state.model_copy(update={**failed, "finished_at": int(time.time())})

    def _report(self, done: int, of: int) -> None:
        self.state = self.state.model_copy(update={"documents": done, "of": of})


@contextlib.asynccontextmanager
async def run_rebuilder(rebuilder: Rebuilder) -> AsyncIterator[None]:
    """Run the loop for as long as the context lasts."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rebuilder.keep_building())
        try:
            yield
        finally:
            task.cancel()
