"""Making a shared index anew: every document is written anew in it, from its text.

An index that several processes use cannot be exchanged under them. So one of them, the one that
leads, replaces document by document, each at one stroke and by the rules of every write; searches
and writes go on everywhere, and whoever leads next goes on where a killed process stood.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from services.chassis.errors import ServiceError, Unavailable
from services.contracts.ingestion import IndexBuild
from services.retriever.catalogue.members import Members
from services.retriever.catalogue.records import Place
from services.retriever.catalogue.rewriting import Rewriting
from services.retriever.errors import DocumentBusy
from services.retriever.indexing import Indexer
from services.retriever.metrics import Metrics

LOOK_SECONDS = 2.0
"""How often the one that leads looks whether the index is to be made anew."""

DOCUMENTS_AT_ONCE = 8
"""Documents that are written at the same time, so that small ones share a pass of the model."""

DOCUMENTS_A_LOOK = 256
"""Documents that are taken from the catalogue together."""

PAUSE_SECONDS = 0.2
"""How long to wait for documents that others are writing."""

_log = structlog.get_logger(__name__)


class Rewriter:
    """Writes every document anew when it is asked to."""

    def __init__(
        self, rewriting: Rewriting, members: Members, indexer: Indexer, metrics: Metrics
    ) -> None:
        self._rewriting = rewriting
        self._members = members
        self._indexer = indexer
        self._metrics = metrics
        self._given_up: set[int] = set()

    async def start(self) -> IndexBuild:
        """Ask for it, of whichever process leads.

        Raises:
            IndexBuilding: it is under way.
        """
        await self._rewriting.start()
        return await self.state()

    async def state(self) -> IndexBuild:
        """Say how far it is, whichever process is at it."""
        now = await self._rewriting.read()
        if now is None:
            return IndexBuild(status="idle")
        times = {"started_at": now.started_at, "finished_at": now.finished_at}
        if now.finished_at is None:
            done = max(now.of - now.left, 0)
            return IndexBuild(status="building", documents=done, of=now.of, **times)
        done = max(now.of - now.failed, 0)
        if not now.failed:
            return IndexBuild(status="idle", documents=done, of=now.of, **times)
        why = f"{now.failed} documents stay as they were; the log of the one that led has the cause"
        return IndexBuild(status="failed", documents=done, of=now.of, message=why, **times)

    async def keep_building(self) -> None:
        """Write the documents anew whenever that is asked for and this process leads."""
        while True:
            try:
                if await self._members.leads():
                    await self.rewrite()
            except Exception as error:  # noqa: BLE001 - the documents are there as they were
                self._metrics.upkeep_failures.inc()
                _log.error("index.not_rewritten", again_in_seconds=LOOK_SECONDS, exc_info=error)
            await asyncio.sleep(LOOK_SECONDS)

    async def rewrite(self) -> None:
        """Write anew what is still to be.

        Raises:
            ExceptionGroup: index or catalogue cannot answer now.
        """
        self._given_up.clear()
        while missing := await self._rewriting.missing(self._given_up, DOCUMENTS_A_LOOK):
            if not await self._write(missing):
                await asyncio.sleep(PAUSE_SECONDS)
            if not await self._members.leads():
                return
        now = await self._rewriting.read()
        if now is not None and now.finished_at is None:
            await self._rewriting.finish(len(self._given_up))

    async def _write(self, missing: Mapping[int, Place]) -> bool:
        """Write some documents anew; tell whether any of them is done."""
        turns = asyncio.Semaphore(DOCUMENTS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._write_one(place, revision, turns))
                for revision, place in missing.items()
            ]
        return any(task.result() for task in tasks)

    async def _write_one(self, place: Place, revision: int, turns: asyncio.Semaphore) -> bool:
        async with turns:
            try:
                await self._indexer.rewrite(place, revision)
            except DocumentBusy:
                return False
            except Unavailable:
                raise
            except ServiceError as error:
                _log.warning("document.not_rewritten", revision=revision, code=error.code)
                self._given_up.add(revision)
            except Exception as error:  # noqa: BLE001 - one bad document must not end the work
                _log.error("document.not_rewritten", revision=revision, exc_info=error)
                self._given_up.add(revision)
        return True
