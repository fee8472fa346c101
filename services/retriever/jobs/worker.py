"""The loops that work on ingestion jobs, beside the requests."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog

from services.chassis.errors import Unavailable
from services.retriever.catalogue.job_records import Claim
from services.retriever.catalogue.jobs import Jobs
from services.retriever.catalogue.leases import LeaseLostError, Leases
from services.retriever.catalogue.members import Members, new_name
from services.retriever.catalogue.origins import Origins
from services.retriever.jobs.preparing import Preparer
from services.retriever.jobs.running import Turn
from services.retriever.jobs.spool import Spool
from services.retriever.jobs.storing import Meter, Storer
from services.retriever.metrics import Metrics
from services.retriever.parsing.parser import Parser
from services.retriever.rooms import Rooms
from services.retriever.settings import Jobs as JobSettings

POLL_SECONDS = 1.0
"""How soon a job is seen that nobody announced: one whose lease has run out, say."""

TIDY_SECONDS = 10.0
"""How often the spool is cleared of what nobody needs."""

POSTPONE_SECONDS = 2.0
"""How long a job rests when index or model could not answer."""

RENEWALS_A_LEASE = 3
"""How often a lease is renewed in the time that it lasts."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Workers:
    """Works on several jobs at the same time."""

    jobs: Jobs
    leases: Leases
    origins: Origins
    members: Members
    rooms: Rooms
    parser: Parser
    spool: Spool
    settings: JobSettings
    metrics: Metrics
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there may be something to do."""

    async def keep_working(self) -> None:
        """Take one job after the other, a turn at a time."""
        worker = new_name()
        while True:
            claim = None
            try:
                claim = await self.leases.claim(worker)
                if claim is not None:
                    await self.work(claim)
            except Exception as error:  # noqa: BLE001 - one bad job must not end the loop
                self.metrics.upkeep_failures.inc()
                _log.error("ingestion.failed", job=claim.id if claim else None, exc_info=error)
                await asyncio.sleep(POSTPONE_SECONDS)
            if claim is None:
                await self._rest(POLL_SECONDS)

    async def work(self, claim: Claim) -> None:
        """Give a job its turn, and keep its lease meanwhile."""
        again_in_seconds = 0.0
        try:
            await self._turn(claim)
            await self.leases.finish(claim)
        except LeaseLostError:
            _log.warning("ingestion.lost", job=claim.id)
        except Unavailable as error:
            _log.warning("ingestion.postponed", job=claim.id, code=error.code)
            again_in_seconds = POSTPONE_SECONDS
        except BaseException:
            again_in_seconds = POSTPONE_SECONDS
            raise
        finally:
            # A stop gives the job back at once; after a kill the lease runs out.
            with contextlib.suppress(Exception):
                await self.leases.release(claim, again_in_seconds=again_in_seconds)

    async def keep_tidy(self) -> None:
        """Clear away bytes that were ingested and jobs that ended long ago."""
        while True:
            try:
                await self.tidy()
            except Exception as error:  # noqa: BLE001 - the next round tries again
                self.metrics.upkeep_failures.inc()
                _log.error("spool.not_tidied", exc_info=error)
            await asyncio.sleep(TIDY_SECONDS)

    async def tidy(self) -> None:
        """Count what waits, and clear away; of processes that share a catalogue one clears."""
        files, seconds = await self.jobs.backlog()
        self.metrics.ingestion_waiting_files.set(files)
        self.metrics.ingestion_lag_seconds.set(seconds)
        if not await self.members.leads():
            return
        await self.jobs.forget(time.time() - self.settings.keep_finished_seconds)
        await self.leases.drop_stale_origins()
        recorded = self.spool.recorded()
        segments = await self.jobs.segments()
        await self.spool.sweep(segments, recorded, self.settings.max_failed_bytes)

    async def _turn(self, claim: Claim) -> None:
        room = await self.rooms.of(claim.tenant, claim.collection)
        preparer = Preparer(self.leases, self.spool, self.parser, room.indexer)
        storer = Storer(claim, self.rooms, room, self.leases, self.metrics, Meter())
        turn = Turn(claim, self.leases, self.origins, preparer, storer, self.settings)
        trouble: Exception | None = None
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_lease(claim))
            try:
                await turn.work()
            except (LeaseLostError, Unavailable) as error:
                trouble = error
            finally:
                keeper.cancel()
        if trouble is not None:
            raise trouble

    async def _keep_lease(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(self.settings.lease_seconds / RENEWALS_A_LEASE)
            # A lost lease is found by the next batch, which cannot settle.
            with contextlib.suppress(LeaseLostError):
                await self.leases.renew(claim)

    async def _rest(self, seconds: float) -> None:
        # Not `wait_for`: before Python 3.12 it loses a cancellation that comes with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        self.wake.clear()


@contextlib.asynccontextmanager
async def run_workers(workers: Workers) -> AsyncIterator[None]:
    """Run the loops for as long as the context lasts."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(workers.keep_working()) for _ in range(workers.settings.concurrent)
        ]
        tasks.append(group.create_task(workers.keep_tidy()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
