"""One turn of one job: its files prepared one after the other, and stored in batches meanwhile.

While a batch is embedded, the next is prepared and the one before is committed, so that the
embedding model always has something to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import structlog

from services.chassis.errors import ServiceError, Unavailable
from services.retriever.catalogue.job_records import Claim, Item, Settled
from services.retriever.catalogue.leases import LeaseLostError, Leases
from services.retriever.catalogue.origins import Origins
from services.retriever.jobs.preparing import Preparer, Ready
from services.retriever.jobs.storing import Storer
from services.retriever.settings import Jobs

BATCHES_AT_ONCE = 2
"""Batches of a job that are stored at the same time: one is embedded, one is committed."""

ITEMS_A_LOOK = 256
"""Items that are taken from the catalogue together."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Batch:
    """What is stored together."""

    ready: list[Ready] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)

    @property
    def chunks(self) -> int:
        """How many chunks the documents have."""
        return sum(len(one.chunks) for one in self.ready)

    @property
    def items(self) -> set[int]:
        """The numbers of everything in it."""
        return {one.item.number for one in self.ready} | {one.item.number for one in self.settled}


class Turn:
    """Works on a claimed job until it rests, ends, or another's turn has come."""

    def __init__(
        self,
        claim: Claim,
        leases: Leases,
        origins: Origins,
        preparer: Preparer,
        storer: Storer,
        settings: Jobs,
    ) -> None:
        self._claim = claim
        self._leases = leases
        self._origins = origins
        self._preparer = preparer
        self._storer = storer
        self._settings = settings
        self._taken: set[int] = set()
        self._goes_on = True
        self._trouble: ServiceError | LeaseLostError | None = None

    async def work(self) -> None:
        """Work; what was stored when this returns is settled in the catalogue.

        Raises:
            LeaseLostError: the job is another worker's by now.
            Unavailable: index or model cannot answer now.
        """
        until = time.monotonic() + self._settings.slice_seconds
        slots = asyncio.Semaphore(BATCHES_AT_ONCE)
        async with asyncio.TaskGroup() as group, contextlib.aclosing(self._batches()) as batches:
            async for batch in batches:
                await slots.acquire()
                if not self._may_go_on:
                    break
                group.create_task(self._store(batch, slots))
                if time.monotonic() > until and await self._leases.others_wait(self._claim):
                    break
        if self._trouble is not None:
            raise self._trouble
        if self._goes_on:
            await self._remove()

    @property
    def _may_go_on(self) -> bool:
        return self._goes_on and self._trouble is None

    async def _batches(self) -> AsyncGenerator[Batch]:
        """Prepare files and gather them, until none is waiting."""
        batch = Batch()
        while items := await self._next_files():
            unchanged = await self._preparer.unchanged(self._claim, items)
            for item in items:
                prepared = unchanged.get(item.number)
                await self._add(batch, prepared, item)
                if self._is_full(batch):
                    yield batch
                    batch = Batch()
                if not self._may_go_on:
                    return
        if batch.items:
            yield batch

    async def _next_files(self) -> list[Item]:
        items = await self._leases.waiting(self._claim, self._taken, ITEMS_A_LOOK)
        files = [item for item in items if not item.removes]
        self._taken.update(item.number for item in files)
        return files

    async def _add(self, batch: Batch, unchanged: Settled | None, item: Item) -> None:
        prepared = unchanged or await self._prepare(item)
        if isinstance(prepared, Ready):
            batch.ready.append(prepared)
        else:
            batch.settled.append(prepared)

    async def _prepare(self, item: Item) -> Ready | Settled:
        try:
            return await self._preparer.prepare(self._claim, item)
        except Exception as error:  # noqa: BLE001 - one bad file must not end the job
            _log.error("ingestion.not_prepared", item=item.number, exc_info=error)
            unforeseen = "The file failed unexpectedly; the retriever's log has the cause."
            return Settled(item, "failed", code=ServiceError.code, message=unforeseen)

    def _is_full(self, batch: Batch) -> bool:
        return (
            batch.chunks >= self._settings.batch_chunks
            or len(batch.ready) >= self._settings.batch_files
            or len(batch.settled) >= ITEMS_A_LOOK
        )

    async def _store(self, batch: Batch, slots: asyncio.Semaphore) -> None:
        try:
            self._goes_on = await self._storer.store(batch.ready, batch.settled) and self._goes_on
            self._taken -= batch.items
        except (Unavailable, LeaseLostError) as error:
            self._trouble = error
        finally:
            slots.release()

    async def _remove(self) -> None:
        """Remove documents, once no file is left to be done."""
        while items := await self._leases.waiting(self._claim, (), ITEMS_A_LOOK):
            if not items[0].removes:
                return
            goes_on = await self._origins.remove(self._claim, items, self._storer.meter.lap())
            self._storer.room.indexer.left_something.set()
            if not goes_on:
                return
