"""Keeping catalogue and index in step, whatever killed a process or the power.

The catalogue is the truth. When the process starts, writes that were left unfinished are done
again, then every revision's chunks are counted: what the index lost is made anew from the stored
texts, and what it holds beyond the catalogue is removed. Of several processes that share a
catalogue one does so, and goes on to do again what others leave unfinished when they die.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator, Sequence

import structlog

from services.chassis.errors import ServiceError
from services.retriever.catalogue.members import Members, OtherModelsError
from services.retriever.catalogue.opening import Catalogue
from services.retriever.index.port import REVISION, AnyOf, Index
from services.retriever.indexing import Indexer
from services.retriever.metrics import Metrics

LEFTOVERS_A_STEP = 256
"""Revisions whose chunks are removed together."""

SWEEP_EVERY_SECONDS = 30.0
"""How long removed chunks may stay when nothing else wakes the sweeper."""

STAYS_A_LEASE = 3
"""How often a member shows that it is alive in the time that it is believed."""

FIRST_PAUSE_SECONDS = 1.0
"""How long the first repair that failed waits for its next try."""

_log = structlog.get_logger(__name__)


class Upkeep:
    """The loops that run beside the requests."""

    def __init__(
        self,
        catalogue: Catalogue,
        members: Members,
        index: Index,
        indexer: Indexer,
        metrics: Metrics,
    ) -> None:
        self._catalogue = catalogue
        self._members = members
        self._index = index
        self._indexer = indexer
        self._metrics = metrics

    async def keep_repaired(self) -> None:
        """Repair once, again later when the index could not answer; then look after the others."""
        repaired, pause = False, FIRST_PAUSE_SECONDS
        while not (repaired and self._members.alone):
            try:
                repaired = await self._look_after(repaired)
            except ServiceError as error:
                _log.warning("repair.postponed", code=error.code, again_in_seconds=pause)
                pause = min(pause * 2, SWEEP_EVERY_SECONDS)
            else:
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)

    async def _look_after(self, repaired: bool) -> bool:
        if not await self._members.leads():
            return False
        if repaired:
            await self._resume()
        else:
            await self.repair()
        return True

    async def repair(self) -> None:
        """Finish what a former process began, and make the index hold what the catalogue says."""
        await self._resume()
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

    async def _resume(self) -> None:
        for write in await self._catalogue.writes.left_behind():
            _log.info("write.resumed", revision=write.revision)
            with self._logged("write.not_resumed", write.revision):
                await self._indexer.resume(write)

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


@contextlib.asynccontextmanager
async def run_member(members: Members, models: Sequence[str]) -> AsyncIterator[None]:
    """Be a member of the catalogue, and show it, for as long as the context lasts.

    Raises:
        OtherModelsError: a member that is alive runs other embedding models.
    """
    await members.join(models)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_keep_staying(members))
        try:
            yield
        finally:
            task.cancel()
            # After a kill, or without the database, the row runs out.
            with contextlib.suppress(ServiceError):
                await members.leave()


async def _keep_staying(members: Members) -> None:
    while not members.alone:
        await asyncio.sleep(members.lease_seconds / STAYS_A_LEASE)
        try:
            await members.stay()
        except ServiceError as error:
            members.in_touch = False
            _log.warning("member.not_seen", code=error.code)
        except OtherModelsError as error:
            _log.error("member.refused", reason=str(error))
            signal.raise_signal(signal.SIGTERM)
            return
        else:
            members.in_touch = True
