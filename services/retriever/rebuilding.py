"""Making the index anew while the old one serves: from the catalogue when it is asked for, as a
copy that is laid out for searching when much has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping

import structlog

from services.chassis.errors import ServiceError
from services.contracts.ingestion import IndexBuild
from services.retriever.catalogue.generations import Generations
from services.retriever.catalogue.opening import Catalogue
from services.retriever.catalogue.records import Place
from services.retriever.errors import IndexBuilding, IndexUnavailable
from services.retriever.index.places import IndexPlaces
from services.retriever.index.port import REVISION, AnyOf, Index
from services.retriever.index.switching import SwitchingIndex
from services.retriever.indexing import Indexer
from services.retriever.metrics import Metrics
from services.retriever.rewriting import Rewriter
from services.retriever.tuning import TuningRule, copy_points

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
        places: IndexPlaces,
        index: SwitchingIndex,
        indexer: Indexer,
        indexer_over: IndexerOver,
        metrics: Metrics,
        rule: TuningRule,
    ) -> None:
        self._catalogue = catalogue
        self._generations = generations
        self._places = places
        self._index = index
        self._indexer = indexer
        self._indexer_over = indexer_over
        self._metrics = metrics
        self._rule = rule
        self._asked = asyncio.Event()
        self._state = IndexBuild(status="idle")

    async def start(self) -> IndexBuild:
        """Ask for a new index.

        Raises:
            IndexBuilding: one is being made.
        """
        if self._state.status == "building":
            raise IndexBuilding("A new index is being made already; wait until it serves.")
        self._state = IndexBuild(status="building", started_at=int(time.time()))
        self._asked.set()
        return self._state

    async def state(self) -> IndexBuild:
        """Say how far it is."""
        return self._state

    async def keep_building(self) -> None:
        """Make an index whenever one is asked for, first the one that a killed process began; lay
        it out anew whenever that is due.
        """
        if (await self._generations.read()).building is not None:
            await self.start()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rule.look_seconds):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            try:
                if asked:
                    await self.build()
                elif await self._is_worn():
                    await self.tune()
            except Exception as error:  # noqa: BLE001 - the old index goes on serving
                self._metrics.upkeep_failures.inc()
                _log.error("index.not_built", asked_for=asked, exc_info=error)
                await self._give_up()
                if asked:
                    self._report_failure(error)

    async def build(self) -> None:
        """Make a new index from the catalogue and let it serve."""
        generation = await self._generations.begin()
        index = await self._index.open_new(generation)
        await self._fill(index)
        await self._let_serve(index)
        finished = {"status": "idle", "finished_at": int(time.time())}
        self._state = self._state.model_copy(update=finished)

    async def tune(self) -> None:
        """Make a copy of the index, lay it out for searching and let it serve.

        Nothing is noted before the switch: a kill leaves a folder that the next start removes.
        """
        generation = (await self._generations.read()).serving + 1
        if not await self._places.have_room_for_a_copy(generation - 1):
            _log.warning("index.not_tuned", reason="the disk has no room for a second index")
            self._rule.give_up()
            return
        await self._places.remove(generation)
        with self._metrics.index_seconds.labels("copy").time():
            index = await self._index.open_new(generation)
            await copy_points(self._index, index)
            await self._fill(index)
        await self._let_serve(index)

    async def _let_serve(self, index: Index) -> None:
        """Lay the new index out, and switch once it has everything."""
        former = (await self._generations.read()).serving
        await self._index.tune_new()
        await index.flush()
        await self._index.caught_up()
        await self._generations.begin()
        await self._generations.switch()
        await self._index.switch()
        await self._places.remove(former)
        self._indexer.left_something.set()

    async def _fill(self, index: Index) -> None:
        """Store what the catalogue has until nothing is missing."""
        before = {write.revision for write in await self._catalogue.writes.unfinished()}
        storing = self._indexer_over(index)
        made: dict[int, int] = {}
        while True:
            under_way = {write.revision for write in await self._catalogue.writes.unfinished()}
            await self._index.caught_up()
            expected = await self._catalogue.repairs.live_chunks()
            found = await index.revisions()
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
                self._report(self._state.documents + 1, self._state.of)
                await self._catalogue.repairs.correct_chunks(revision, len(chunks))

        async with asyncio.TaskGroup() as group:
            for revision, place in missing.items():
                await turns.acquire()
                turns.release()
                group.create_task(one(revision, place))
        return made

    async def _is_worn(self) -> bool:
        try:
            return self._rule.is_due(await self._index.wear())
        except IndexUnavailable:
            return False

    async def _give_up(self) -> None:
        await self._index.drop_new()
        self._rule.give_up()
        await self._generations.give_up()
        with contextlib.suppress(ServiceError):
            await self._places.remove((await self._generations.read()).serving + 1)

    def _report_failure(self, error: Exception) -> None:
        reason = error.message if isinstance(error, ServiceError) else "the log has the cause"
        failed = {"status": "failed", "message": f"The old index serves on: {reason}"}
        self._state = self._state.model_copy(update={**failed, "finished_at": int(time.time())})

    def _report(self, done: int, of: int) -> None:
        if self._state.status != "building":
            return
        self._state = self._state.model_copy(update={"documents": done, "of": of})


@contextlib.asynccontextmanager
async def run_rebuilder(rebuilder: Rebuilder | Rewriter) -> AsyncIterator[None]:
    """Run the loop for as long as the context lasts."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rebuilder.keep_building())
        try:
            yield
        finally:
            task.cancel()
