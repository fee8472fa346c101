"""Bringing collections to another embedding model, in the background and each at one stroke.

A collection's texts are embedded into the new model's index while the former model goes on
answering. When nothing is missing, one transaction makes the collection the new model's. What was
embedded is noted document by document, so that a killed process goes on where it stood. Of several
processes that share the catalogue one leads the change; the others follow it from call to call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import structlog

from services.contracts.ingestion import EmbeddingChange
from services.retriever.catalogue.carrying import Former
from services.retriever.catalogue.generations import Generations
from services.retriever.catalogue.members import Members
from services.retriever.catalogue.records import Place
from services.retriever.index.port import REVISION, AnyOf
from services.retriever.metrics import Metrics
from services.retriever.rooms import Rooms

DOCUMENTS_AT_ONCE = 8
"""Documents that are embedded at the same time, so that small ones share a pass of the model."""

DOCUMENTS_A_LOOK = 256
"""Documents that are taken from the catalogue together."""

PAUSE_SECONDS = 0.05
"""How long to wait for writes that are under way."""

AGAIN_SECONDS = 2.0
"""How long a change that failed waits for its next try."""

_log = structlog.get_logger(__name__)


class Changer:
    """Brings every collection to the model that runs."""

    def __init__(
        self, rooms: Rooms, generations: Generations, members: Members, metrics: Metrics
    ) -> None:
        self._rooms = rooms
        self._members = members
        self._generations = generations
        self._metrics = metrics

    async def state(self) -> EmbeddingChange:
        """Say how far it is."""
        fingerprint = self._rooms.current.embedder.fingerprint
        left = [] if self._rooms.settled else await self._rooms.carrying.former()
        if not left:
            return EmbeddingChange(status="idle", fingerprint=fingerprint)
        done, of = await self._rooms.carrying.progress()
        return EmbeddingChange(
            status="changing",
            fingerprint=fingerprint,
            collections=len(left),
            documents=done,
            of=of,
        )

    async def keep_changing(self) -> None:
        """Bring every collection over, or wait until it is; again later when something failed."""
        while not self._rooms.settled:
            try:
                if await self._members.leads():
                    await self.change()
                elif await self._rooms.carrying.former():
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    self._rooms.settled = True
            except Exception as error:  # noqa: BLE001 - the former model goes on answering
                self._metrics.upkeep_failures.inc()
                _log.error("embedding.not_changed", exc_info=error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def change(self) -> None:
        """Bring every collection over."""
        if (await self._generations.read()).building is not None:
            await asyncio.sleep(PAUSE_SECONDS)
            return
        carrying, current = self._rooms.carrying, self._rooms.current
        await carrying.forget_lost(await current.index.revisions())
        while left := await carrying.former():
            await self._bring(left[0])
            await self._purge()
        self._rooms.settled = True
        _log.info("embedding.changed", fingerprint=current.embedder.fingerprint)

    async def _bring(self, former: Former) -> None:
        _log.info("embedding.changing", collection=former.name, former=former.fingerprint)
        while missing := await self._rooms.carrying.missing(former, DOCUMENTS_A_LOOK):
            await self._carry(missing)
        async with self._rooms.closed(former):
            while not await self._rooms.carrying.switch(former):
                missing = await self._rooms.carrying.missing(former, DOCUMENTS_A_LOOK)
                await self._carry(missing)
                if former not in await self._rooms.carrying.former():
                    return
                await asyncio.sleep(PAUSE_SECONDS)

    async def _carry(self, missing: Mapping[int, Place]) -> None:
        turns = asyncio.Semaphore(DOCUMENTS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for revision, place in missing.items():
                group.create_task(self._carry_one(revision, place, turns))

    async def _carry_one(self, revision: int, place: Place, turns: asyncio.Semaphore) -> None:
        current = self._rooms.current
        # Without the document's lock: a revision never changes, and one that is replaced meanwhile
        # is purged.
        async with turns:
            write = await current.catalogue.repairs.stored(place, revision)
            if write is None:
                return
            await current.index.delete(AnyOf(REVISION, (revision,)))
            chunks = await current.indexer.chunks_of(write.draft)
            await current.indexer.store([(write, chunk) for chunk in chunks])
            await self._rooms.carrying.record(revision, len(chunks))
            self._metrics.documents.labels("reembedded").inc()

    async def _purge(self) -> None:
        """Remove from the new index what was replaced or deleted on the way."""
        current = self._rooms.current
        found = await current.index.revisions()
        live = await current.catalogue.repairs.live_chunks()
        if strays := await current.catalogue.repairs.disown(found.keys() - live.keys()):
            # At once: that the former model still has to remove them hides them from the sweeper.
            await current.index.delete(AnyOf(REVISION, tuple(strays)))


@contextlib.asynccontextmanager
async def run_changer(changer: Changer) -> AsyncIterator[None]:
    """Run it for as long as the context lasts."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(changer.keep_changing())
        try:
            yield
        finally:
            task.cancel()
