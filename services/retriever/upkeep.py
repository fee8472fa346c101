"""Keeping catalogue and index in step, whatever killed a process or the power.

The catalogue is the truth. When the process starts, writes that were left unfinished are done
again, then every revision's chunks are counted: what the index lost is made anew from the stored
texts, and what it holds beyond the catalogue is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import structlog

from services.chassis.errors import ServiceError
from services.retriever.catalogue.opening import Catalogue
from services.retriever.index.port import REVISION, AnyOf, Index
from services.retriever.indexing import Indexer
from services.retriever.metrics import Metrics

LEFTOVERS_A_STEP = 256
"""Revisions whose chunks are removed together."""

SWEEP_EVERY_SECONDS = 30.0
"""How long removed chunks may stay when nothing else wakes the sweeper."""

FIRST_PAUSE_SECONDS = 1.0
"""How long the first repair that failed waits for its next try."""

_log = structlog.get_logger(__name__)


class Upkeep:
    """The loops that run beside the requests."""

    def __init__(
        self, catalogue: Catalogue, index: Index, indexer: Indexer, metrics: Metrics
    ) -> None:
        self._catalogue = catalogue
        self._index = index
        self._indexer = indexer
        self._metrics = metrics

    async def keep_repaired(self) -> None:
        """Repair once; again later when the index could not answer."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self.repair()
            except ServiceError as error:
                _log.warning("repair.postponed", code=error.code, again_in_seconds=pause)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, SWEEP_EVERY_SECONDS)

    async def repair(self) -> None:
        """Finish what a former process began, and make the index hold what the catalogue says."""
        for write in await self._catalogue.writes.unfinished():
            _log.info("write.resumed", revision=write.revision)
            with self._logged("write.not_resumed", write.revision):
                await self._indexer.resume(write)
        # The catalogue first: a revision that is committed meanwhile is then no surprise.
        expected = await self._catalogue.repairs.live_chunks()
        counts = await self._index.revisions()
        await self._catalogue.repairs.disown(counts.keys() - expected.keys())
        self._indexer.left_something.set()
        for revision, (place, chunks) in expected.items():
            found = counts.get(revision, 0)
            if found != chunks:
                _log.warning("document.rebuilt", revision=revision, chunks=chunks, found=found)
                with self._logged("document.not_rebuilt", revision):
                    await self._indexer.rebuild(place, revision)

    async def keep_sweeping(self) -> None:
        """Remove chunks that nobody sees, soon after they became so."""
        wake = self._indexer.left_something
        while True:
            wake.clear()
            with self._logged("sweep.postponed", None):
                await self.sweep()
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_EVERY_SECONDS):
                    await wake.wait()

    async def sweep(self) -> None:
        """Remove the chunks of every leftover revision."""
        while revisions := await self._catalogue.repairs.leftovers(LEFTOVERS_A_STEP):
            await self._index.delete(AnyOf(REVISION, tuple(revisions)))
            await self._catalogue.repairs.forget(revisions)

    @contextlib.contextmanager
    def _logged(self, event: str, revision: int | None) -> Iterator[None]:
        """Go on after a failure: the next round or the next start tries again."""
        try:
            yield
        except ServiceError as error:
            _log.warning(event, revision=revision, code=error.code)
        except Exception as error:  # noqa: BLE001 - one bad document must not end the loop
            self._metrics.upkeep_failures.inc()
            _log.error(event, revision=revision, exc_info=error)


@contextlib.asynccontextmanager
async def run_upkeep(upkeep: Upkeep) -> AsyncIterator[None]:
    """Run the loops for as long as the context lasts."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(upkeep.keep_repaired()),
            group.create_task(upkeep.keep_sweeping()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
